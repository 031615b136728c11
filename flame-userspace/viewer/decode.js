// Reads the block of columns that flame put into the page (html/block.rs describes it).

export const DAMAGED = 'The profile in this page is damaged.';

/**
 * The block from its text in the page.
 * @param {string} base64
 * @returns {Promise<Uint8Array>}
 */
export async function unpack(base64) {
  if (typeof DecompressionStream === 'undefined') {
    throw new Error('This browser is too old to unpack the profile.');
  }
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * @typedef {object} Columns
 * @property {any} header
 * @property {string[]} strings
 * @property {Uint32Array} frameNames
 * @property {Uint32Array} frameFiles
 * @property {Uint32Array} frameModules
 * @property {Uint32Array} frameKinds
 * @property {Uint32Array} frameLines
 * @property {Uint32Array} levels
 * @property {Uint32Array} nodeFrames
 * @property {Float64Array} nodeLines
 * @property {Float64Array[]} selfValues by sample type
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
  if (header.version !== 1) throw new Error(DAMAGED);
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
  return {
    header,
    strings,
    frameNames: rows('frame_names', frames, strings.length),
    frameFiles: rows('frame_files', frames, strings.length),
    frameModules: rows('frame_modules', frames, strings.length),
    frameKinds: rows('frame_kinds', frames, 8),
    frameLines: rows('frame_lines', frames, 2 ** 32),
    levels: rows('levels', nodes, 2 ** 32),
    nodeFrames: rows('node_frames', nodes, frames),
    nodeLines: readSigned(section('node_lines'), nodes),
    selfValues: header.types.map((/** @type {unknown} */ _, /** @type {number} */ type) =>
      readSigned(section(`self_${type}`), nodes)),
  };
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
