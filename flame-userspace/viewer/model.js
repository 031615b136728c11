// The profile as the views read it: frames, the call tree, and samples. No DOM here.

import { Tree } from './tree.js';

/** @typedef {import('./decode.js').Columns} Columns */
/** @typedef {{kind: string, unit: string}} SampleType */

const SIDES = /** @type {const} */ (['root', 'process', 'user', 'kernel']);

/** What the nodes are instances of. */
export class Frames {
  /** @param {Columns} columns */
  constructor(columns) {
    this.columns = columns;
    this.count = columns.frameNames.length;
    /** @type {Map<string, number>} */
    const rows = new Map();
    /**
     * Frames that a reader would call the same function (inlined or not) share a row here; the root,
     * processes, and functions of programs and of the kernel have none in common.
     * @type {Uint32Array}
     */
    this.functionOf = new Uint32Array(this.count);
    /** @type {number[]} the first frame of each function */
    this.functions = [];
    for (let frame = 0; frame < this.count; frame++) {
      const module = columns.moduleNames[columns.frameModules[frame]];
      const key = `${columns.frameNames[frame]} ${module} ${columns.frameKinds[frame] & 3}`;
      let row = rows.get(key);
      if (row === undefined) {
        row = this.functions.push(frame) - 1;
        rows.set(key, row);
      }
      this.functionOf[frame] = row;
    }
  }

  /** @param {number} frame */
  name(frame) {
    return this.columns.strings[this.columns.frameNames[frame]];
  }

  /** @param {number} frame */
  file(frame) {
    return this.columns.strings[this.columns.frameFiles[frame]];
  }

  /** @param {number} frame */
  module(frame) {
    const { strings, moduleNames, frameModules } = this.columns;
    return strings[moduleNames[frameModules[frame]]];
  }

  /** @param {number} frame */
  path(frame) {
    const { strings, modulePaths, frameModules } = this.columns;
    return strings[modulePaths[frameModules[frame]]];
  }

  /** @param {number} frame */
  buildId(frame) {
    const { strings, moduleBuilds, frameModules } = this.columns;
    return strings[moduleBuilds[frameModules[frame]]];
  }

  /** @param {number} frame */
  side(frame) {
    return SIDES[this.columns.frameKinds[frame] & 3];
  }

  /** @param {number} frame */
  inlined(frame) {
    return (this.columns.frameKinds[frame] & 4) !== 0;
  }

  /**
   * Whether it only passes on what it is asked for, as allocators and the C library do.
   * @param {number} frame
   */
  passesOn(frame) {
    return (this.columns.frameKinds[frame] & 8) !== 0;
  }

  /**
   * Whether its name says that it allocates.
   * @param {number} frame
   */
  allocates(frame) {
    return (this.columns.frameKinds[frame] & 16) !== 0;
  }
}

/** The profile; of a difference, both. */
export class Model {
  /** @param {Columns} columns */
  constructor(columns) {
    const { header } = columns;
    this.header = header;
    /** @type {SampleType[]} */
    this.types = header.types;
    /** @type {number} the sample type to show first */
    this.shown = header.shown;
    /** @type {{ratios: number[], base: string, new: string} | undefined} by type, what the base's values are multiplied with */
    this.diff = header.diff;
    this.frames = new Frames(columns);
    this.tree = Tree.of(columns);
    this.nodeLines = columns.nodeLines;
    this.labelSets = columns.labelSets;
    this.sampleNodes = columns.sampleNodes;
    this.sampleLabels = columns.sampleLabels;
    this.sampleLines = columns.sampleLines;
    this.values = columns.values;
    /** How many samples are the new profile's; the base's follow. */
    this.newSamples = header.samples[0];
    /** @type {Map<string, Float64Array | undefined>} */
    this.spreads = new Map();
  }

  /** How many samples there are in all, as distinct stacks and labels. */
  get samples() {
    return this.sampleNodes.length;
  }

  /**
   * The source line of a node of the profile's tree; 0 if unknown.
   * @param {number} node
   */
  line(node) {
    return this.nodeLines[node] + this.frames.columns.frameLines[this.tree.frameOf[node]];
  }

  /** Whether it knows of source lines. */
  get hasLines() {
    return this.frames.columns.frameLines.some((line) => line > 0);
  }

  /** @param {string} kind */
  typeOf(kind) {
    return this.types.findIndex((type) => type.kind === kind);
  }

  /**
   * The sample types of bytes and of objects that belong to a type of a heap, such as
   * `inuse_space` and `inuse_objects`; undefined for others.
   * @param {number} type
   */
  heapPair(type) {
    const [, stem] = /^(.+)_(?:space|objects)$/.exec(this.types[type].kind) ?? [];
    const bytes = this.typeOf(`${stem}_space`);
    const objects = this.typeOf(`${stem}_objects`);
    return bytes < 0 || objects < 0 ? undefined : { bytes, objects };
  }

  /**
   * By sample, the variance of its value of a type that sampling causes; undefined where the
   * profile does not tell how it was sampled.
   *
   * Of n samples of a clock, each worth v / n, the variance is v² / n (Poisson). Allocations of
   * size s are sampled with the probability p = 1 - exp(-s / period), so that the estimate of N of
   * them has the variance N (1 - p) / p, and that of their bytes s² times as much.
   * @param {number} type
   * @returns {Float64Array | undefined}
   */
  variances(type) {
    const { kind } = this.types[type];
    if (this.spreads.has(kind)) return this.spreads.get(kind);
    const variances = this.#clockVariances(type) ?? this.#heapVariances(type);
    this.spreads.set(kind, variances);
    return variances;
  }

  /** @param {number} type */
  #clockVariances(type) {
    const counted = this.typeOf('samples');
    if (counted < 0 || !['samples', 'cpu', 'wall'].includes(this.types[type].kind)) return undefined;
    const counts = this.values[counted];
    return this.values[type].map((value, at) => (counts[at] > 0 ? (value * value) / counts[at] : 0));
  }

  /** @param {number} type */
  #heapVariances(type) {
    const { period } = this.header;
    const pair = this.heapPair(type);
    if (!pair || period?.unit !== 'bytes') return undefined;
    const [bytes, objects] = [this.values[pair.bytes], this.values[pair.objects]];
    return bytes.map((total, at) => {
      const count = objects[at];
      if (!(count > 0 && total > 0)) return 0;
      const size = total / count;
      const missed = Math.exp(-size / period.value);
      const variance = (count * missed) / (1 - missed);
      return type === pair.bytes ? variance * size * size : variance;
    });
  }
}
