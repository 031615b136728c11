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
 * A block of the nodes `[level, name, self values, module, label]`, in pre-order, after the root's.
 * The name may end in `:line`; a module `[kernel]` is the kernel's, and what `libc` has only passes
 * on what it is asked for; a label is `key=value`. With
 * `base`, the self values of each node there, it is a block of a difference. `again` are more
 * samples: the node, its values, and the frames at other lines than their nodes, as how many callers
 * each is from the innermost, and the line.
 * @param {[number, string, (number | bigint)[], string?, string?][]} nodes
 * @param {{types?: {kind: string, unit: string}[], shown?: number, period?: any,
 *   base?: number[][], ratio?: number, again?: [number, number[], [number, number][]][]}} [options]
 */
export function makeBlock(nodes, { types = [{ kind: 'samples', unit: 'count' }], shown = 0,
  period = null, base, ratio = 1, again = [] } = {}) {
  const strings = [''];
  const row = (/** @type {string} */ text) => {
    if (!strings.includes(text)) strings.push(text);
    return strings.indexOf(text);
  };
  const all = [[0, 'all', types.map(() => 0), undefined], ...nodes];
  const frames = [];
  const columns = { module_names: [], module_paths: [], module_builds: [], frame_names: [],
    frame_files: [], frame_modules: [], frame_kinds: [], frame_lines: [], levels: [],
    node_frames: [], node_lines: [] };
  /** @type {string[]} */
  const modules = [];
  let before = -1;
  for (const [level, named, , module = 'app'] of all) {
    const [, name, line = '0'] = /^(.*?)(?::(\d+))?$/s.exec(named);
    const key = `${name}\n${module}`;
    if (!frames.includes(key)) {
      frames.push(key);
      columns.frame_names.push(...leb128(row(name)));
      columns.frame_files.push(...leb128(row(line === '0' ? '' : 'a.c')));
      const of = level === 0 ? '' : module;
      if (!modules.includes(of)) {
        modules.push(of);
        columns.module_names.push(...leb128(row(of)));
        columns.module_paths.push(...leb128(row(of && `/lib/${of}`)));
        columns.module_builds.push(...leb128(row('')));
      }
      columns.frame_modules.push(...leb128(modules.indexOf(of)));
      columns.frame_kinds.push(level === 0 ? 0 : module === '[kernel]' ? 3 : module === 'libc' ? 2 + 8 : module === 'alloc' ? 2 + 8 + 16 : 2);
      columns.frame_lines.push(...leb128(line));
    }
    columns.levels.push(...leb128(before < 0 ? 0 : before + 1 - level));
    columns.node_frames.push(...leb128(frames.indexOf(key)));
    columns.node_lines.push(0);
    before = level;
  }
  const labels = [...new Set(all.map(([, , , , label = '']) => label))];
  // A label is `key=value`; the empty one is none.
  const texts = labels.filter((label) => label).map((label) => label.split('='));
  const samples = base ? [...all, ...all]
    : [...all, ...again.map(([, of]) => [0, '', of, undefined, undefined])];
  const values = (/** @type {number} */ type) => samples.flatMap(([, , of], at) =>
    zigzag((at < all.length || !base ? of : base[at - all.length - 1] ?? of.map(() => 0))[type]));
  const nodeOf = (/** @type {number} */ at) => (base ? at % all.length
    : at < all.length ? at : again[at - all.length][0]);
  const sections = [['sample_nodes', samples.flatMap((_, at) =>
    zigzag(at === 0 ? 0 : nodeOf(at) - nodeOf(at - 1)))],
  ['sample_labels', samples.flatMap(([, , , , label = '']) => leb128(labels.indexOf(label)))],
  ['labels', texts.flatMap(([key, value]) => [...leb128(row(key)), ...leb128(row(value))])],
  ['label_sets', labels.flatMap((label, at) => (label
    ? [1, ...leb128(labels.slice(0, at).filter((other) => other).length)] : [0]))],
  ...Object.entries(columns)];
  if (again.length > 0) {
    sections.push(['sample_lines', [...all.map(() => 0), ...again.flatMap(([, , lines]) =>
      [lines.length, ...lines.flat()].flatMap(leb128))]]);
  }
  types.forEach((_, type) => sections.push([`values_${type}`, values(type)]));
  sections.push(['strings', [...new TextEncoder().encode(`${strings.join('\n')}\n`)]]);
  const header = {
    version: 2, types, shown, nodes: all.length, frames: frames.length,
    samples: base ? [all.length, all.length] : [samples.length], start_ms: 0, duration_ns: 0, period,
    ...(base && { diff: { ratios: types.map(() => ratio), base: 'before', new: 'after' } }),
    sections: sections.map(([name, bytes]) => [name, bytes.length]),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, json.length, true);
  return Uint8Array.from([...length, ...json, ...sections.flatMap(([, bytes]) => bytes)]);
}
