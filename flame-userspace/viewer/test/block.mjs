// Makes blocks as flame does, for the tests of what reads them.

/** @param {bigint | number} number */
export function leb128(number) {
  const bytes = [];
  let rest = BigInt(number);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

/** @param {bigint | number} number */
export function zigzag(number) {
  const value = BigInt(number);
  return leb128(value < 0n ? -value * 2n - 1n : value * 2n);
}

/**
 * A block of the nodes `[level, name, self values, module]`, in pre-order, after the root's. The
 * name may end in `:line`; a module `[kernel]` is the kernel's.
 * @param {[number, string, (number | bigint)[], string?][]} nodes
 * @param {{types?: {kind: string, unit: string}[], shown?: number}} [options]
 */
export function makeBlock(nodes, { types = [{ kind: 'samples', unit: 'count' }], shown = 0 } = {}) {
  const strings = [''];
  const row = (/** @type {string} */ text) => {
    if (!strings.includes(text)) strings.push(text);
    return strings.indexOf(text);
  };
  const all = [[0, 'all', types.map(() => 0), undefined], ...nodes];
  const frames = [];
  const columns = { frame_names: [], frame_files: [], frame_modules: [], frame_kinds: [],
    frame_lines: [], levels: [], node_frames: [], node_lines: [] };
  let before = -1;
  for (const [level, named, , module = 'app'] of all) {
    const [, name, line = '0'] = /^(.*?)(?::(\d+))?$/s.exec(named);
    const key = `${name}\n${module}`;
    if (!frames.includes(key)) {
      frames.push(key);
      columns.frame_names.push(...leb128(row(name)));
      columns.frame_files.push(...leb128(row(line === '0' ? '' : 'a.c')));
      columns.frame_modules.push(...leb128(row(level === 0 ? '' : module)));
      columns.frame_kinds.push(level === 0 ? 0 : module === '[kernel]' ? 3 : 2);
      columns.frame_lines.push(...leb128(line));
    }
    columns.levels.push(...leb128(before < 0 ? 0 : before + 1 - level));
    columns.node_frames.push(...leb128(frames.indexOf(key)));
    columns.node_lines.push(0);
    before = level;
  }
  const sections = [['strings', [...new TextEncoder().encode(`${strings.join('\n')}\n`)]],
    ...Object.entries(columns)];
  types.forEach((_, type) => {
    sections.push([`self_${type}`, all.flatMap(([, , values]) => zigzag(values[type]))]);
  });
  const header = {
    version: 1, types, shown, nodes: all.length, frames: frames.length, stacks: nodes.length,
    start_ms: 0, duration_ns: 0, sections: sections.map(([name, bytes]) => [name, bytes.length]),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, json.length, true);
  return Uint8Array.from([...length, ...json, ...sections.flatMap(([, bytes]) => bytes)]);
}
