// Reads the block of columns that flame put into the page (html/block.rs describes it).

export const DAMAGED = 'The profile in this page is damaged.';

/**
 * @typedef {object} Columns
 * @property {any} header
 * @property {string[]} strings
 * @property {Uint32Array} moduleNames
 * @property {Uint32Array} modulePaths
 * @property {Uint32Array} moduleBuilds
 * @property {Uint32Array} frameNames
 * @property {Uint32Array} frameFiles
 * @property {Uint32Array} frameModules
 * @property {Uint32Array} frameKinds
 * @property {Uint32Array} frameLines
 * @property {Uint32Array} levels
 * @property {Uint32Array} nodeFrames
 * @property {Float64Array} nodeLines
 * @property {[string, string][][]} labelSets keys and values
 * @property {Uint32Array} sampleNodes
 * @property {Uint32Array} sampleLabels rows of labelSets
 * @property {OtherLines | undefined} sampleLines undefined where none is other than its node's
 * @property {Float64Array[]} values by sample type and sample
 */

/**
 * The frames of samples that are at other lines than their nodes.
 * @typedef {object} OtherLines
 * @property {Uint32Array} starts where those of each sample start, and the last end
 * @property {Uint32Array} ups how many callers each is from the innermost
 * @property {Uint32Array} lines
 */

/**
 * The columns of a block. Throws if they do not fit together.
 * @param {Uint8Array} block
 * @returns {Columns}
 */
export function decode(block) {
  if (block.length < 4) throw new Error(DAMAGED);
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const headerEnd = 4 + view.getUint32(0, true);
  const utf8 = new TextDecoder();
  const header = JSON.parse(utf8.decode(block.subarray(4, headerEnd)));
  if (header.version !== 2) throw new Error(DAMAGED);
  /** @type {Map<string, Uint8Array>} */
  const sections = new Map();
  let at = headerEnd;
  for (const [name, length] of header.sections) {
    sections.set(name, block.subarray(at, at + length));
    at += length;
  }
  if (at !== block.length) throw new Error(DAMAGED);
  const section = (/** @type {string} */ name) => sections.get(name) ?? new Uint8Array(0);

  const strings = utf8.decode(section('strings')).split('\n');
  strings.pop();
  const { nodes, frames } = header;
  const rows = (/** @type {string} */ name, /** @type {number} */ count,
    /** @type {number} */ below) => readUnsigned(section(name), new Uint32Array(count), below);
  const modules = numbersIn(section('module_names'));
  const labelSets = readLabelSets(section('labels'), section('label_sets'), strings);
  const sampleNodes = readNodes(section('sample_nodes'), nodes);
  const samples = sampleNodes.length;
  const counted = header.samples.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b);
  if (counted !== samples) throw new Error(DAMAGED);
  return {
    header,
    strings,
    moduleNames: rows('module_names', modules, strings.length),
    modulePaths: rows('module_paths', modules, strings.length),
    moduleBuilds: rows('module_builds', modules, strings.length),
    frameNames: rows('frame_names', frames, strings.length),
    frameFiles: rows('frame_files', frames, strings.length),
    frameModules: rows('frame_modules', frames, modules),
    frameKinds: rows('frame_kinds', frames, 32),
    frameLines: rows('frame_lines', frames, 2 ** 32),
    levels: rows('levels', nodes, 2 ** 32),
    nodeFrames: rows('node_frames', nodes, frames),
    nodeLines: readSigned(section('node_lines'), nodes),
    labelSets,
    sampleNodes,
    sampleLabels: rows('sample_labels', samples, labelSets.length),
    sampleLines: sections.has('sample_lines') ? readLines(section('sample_lines'), samples) : undefined,
    values: header.types.map((/** @type {unknown} */ _, /** @type {number} */ type) =>
      readSigned(section(`values_${type}`), samples)),
  };
}

/**
 * How many numbers a section holds.
 * @param {Uint8Array} bytes
 */
function numbersIn(bytes) {
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count++;
  return count;
}

/**
 * @param {Uint8Array} bytes differences
 * @param {number} nodes
 */
function readNodes(bytes, nodes) {
  const steps = readSigned(bytes, numbersIn(bytes));
  let node = 0;
  return Uint32Array.from(steps, (step) => {
    node += step;
    if (!(node >= 0 && node < nodes)) throw new Error(DAMAGED);
    return node;
  });
}

/**
 * @param {Uint8Array} bytes
 * @param {number} samples
 * @returns {OtherLines}
 */
function readLines(bytes, samples) {
  const numbers = readUnsigned(bytes, new Uint32Array(numbersIn(bytes)), 2 ** 32);
  const frames = (numbers.length - samples) / 2;
  if (!(frames >= 0 && Number.isInteger(frames))) throw new Error(DAMAGED);
  const starts = new Uint32Array(samples + 1);
  const [ups, lines] = [new Uint32Array(frames), new Uint32Array(frames)];
  let at = 0;
  for (let sample = 0, frame = 0; sample < samples; sample++) {
    const count = numbers[at++];
    if (!(count <= frames - frame)) throw new Error(DAMAGED);
    for (const end = frame + count; frame < end; frame++) {
      ups[frame] = numbers[at++];
      lines[frame] = numbers[at++];
    }
    starts[sample + 1] = frame;
  }
  if (at !== numbers.length) throw new Error(DAMAGED);
  return { starts, ups, lines };
}

/**
 * @param {Uint8Array} labels
 * @param {Uint8Array} sets
 * @param {string[]} strings
 * @returns {[string, string][][]}
 */
function readLabelSets(labels, sets, strings) {
  const texts = readUnsigned(labels, new Uint32Array(numbersIn(labels)), strings.length);
  const numbers = readUnsigned(sets, new Uint32Array(numbersIn(sets)), 2 ** 32);
  /** @type {[string, string][][]} */
  const all = [];
  for (let at = 0; at < numbers.length;) {
    const rows = numbers.subarray(at + 1, at += 1 + numbers[at]);
    if (at > numbers.length) throw new Error(DAMAGED);
    all.push(Array.from(rows, (row) => {
      if (2 * row >= texts.length) throw new Error(DAMAGED);
      return [strings[texts[2 * row]], strings[texts[2 * row + 1]]];
    }));
  }
  return all;
}

/**
 * Fills `to` with LEB128 numbers, each below `below`.
 * @param {Uint8Array} bytes
 * @param {Uint32Array} to
 * @param {number} below
 */
export function readUnsigned(bytes, to, below) {
  let at = 0;
  for (let i = 0; i < to.length; i++) {
    // Past the end a byte is undefined, which ends the number and fails the test below.
    let byte = bytes[at++];
    let number = byte & 0x7f;
    // Beyond 31 bits only multiplication is exact.
    for (let scale = 128; byte >= 0x80; scale *= 128) {
      byte = bytes[at++];
      number += (byte & 0x7f) * scale;
    }
    if (!(number < below)) throw new Error(DAMAGED);
    to[i] = number;
  }
  if (at !== bytes.length) throw new Error(DAMAGED);
  return to;
}

/**
 * LEB128 numbers with the sign in the lowest bit. Beyond 2^53 they are the nearest that there is.
 * @param {Uint8Array} bytes
 * @param {number} count
 */
export function readSigned(bytes, count) {
  const values = new Float64Array(count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    let byte = bytes[at++];
    // The sign is taken apart first: a rounded sum would have lost it.
    const negative = byte & 1;
    let number = (byte & 0x7f) >> 1;
    for (let scale = 64; byte >= 0x80; scale *= 128) {
      byte = bytes[at++];
      number += (byte & 0x7f) * scale;
    }
    if (!(number < Infinity)) throw new Error(DAMAGED);
    values[i] = negative ? -number - 1 : number;
  }
  if (at !== bytes.length) throw new Error(DAMAGED);
  return values;
}
