// The profile as the views read it: the call tree in pre-order, and its frames. No DOM here.

import { DAMAGED } from './decode.js';

/** @typedef {import('./decode.js').Columns} Columns */

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
     * Frames that a reader would call the same function (inlined or not) share a row here.
     * @type {Uint32Array}
     */
    this.functionOf = new Uint32Array(this.count);
    /** @type {number[]} the first frame of each function */
    this.functions = [];
    for (let frame = 0; frame < this.count; frame++) {
      const key = `${columns.frameNames[frame]} ${columns.frameModules[frame]}`;
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
    return this.columns.strings[this.columns.frameModules[frame]];
  }

  /** @param {number} frame */
  side(frame) {
    return SIDES[this.columns.frameKinds[frame] & 3];
  }

  /** @param {number} frame */
  inlined(frame) {
    return (this.columns.frameKinds[frame] & 4) !== 0;
  }
}

/** The call tree. Node 0 is the root, of all samples. */
export class Model {
  /** @param {Columns} columns */
  constructor(columns) {
    const count = columns.nodeFrames.length;
    this.header = columns.header;
    /** @type {{kind: string, unit: string}[]} */
    this.types = columns.header.types;
    /** @type {number} the sample type to show first */
    this.shown = columns.header.shown;
    this.count = count;
    this.frames = new Frames(columns);
    this.frameOf = columns.nodeFrames;
    this.selfValues = columns.selfValues;
    this.nodeLines = columns.nodeLines;
    this.level = new Uint32Array(count);
    this.parent = new Int32Array(count);
    /** The node after the last one below each node. */
    this.end = new Uint32Array(count);
    this.#connect(columns.levels);
    /** @type {(Float64Array | undefined)[]} */
    this.totals = [];
  }

  /** @param {Uint32Array} ups */
  #connect(ups) {
    const { level, parent, end, count } = this;
    parent[0] = -1;
    /** @type {number[]} the nodes from the root to the one before */
    const path = [0];
    for (let node = 1; node < count; node++) {
      const own = path.length - ups[node];
      if (own < 1) throw new Error(DAMAGED);
      while (path.length > own) end[/** @type {number} */ (path.pop())] = node;
      level[node] = own;
      parent[node] = path[own - 1];
      path.push(node);
    }
    for (const node of path) end[node] = count;
  }

  /**
   * The value of the samples at or below each node.
   * @param {number} type
   * @returns {Float64Array}
   */
  total(type) {
    let totals = this.totals[type];
    if (!totals) {
      totals = this.selfValues[type].slice();
      for (let node = this.count - 1; node > 0; node--) totals[this.parent[node]] += totals[node];
      this.totals[type] = totals;
    }
    return totals;
  }

  /**
   * The callees of a node, heaviest first.
   * @param {number} node
   * @param {number} type
   * @returns {number[]}
   */
  children(node, type) {
    const { end } = this;
    const children = [];
    for (let child = node + 1; child < end[node]; child = end[child]) children.push(child);
    if (type !== this.shown) {
      const totals = this.total(type);
      children.sort((a, b) => totals[b] - totals[a] || a - b);
    }
    return children;
  }

  /** @param {number} node */
  name(node) {
    return this.frames.name(this.frameOf[node]);
  }

  /**
   * The source line of a node; 0 if unknown.
   * @param {number} node
   */
  line(node) {
    return this.nodeLines[node] + this.frames.columns.frameLines[this.frameOf[node]];
  }

  /**
   * Every function at or below `root`, with the value of the samples in which it is the innermost
   * frame, and of those in which it stands at all, each counted once however often it recurs.
   * @param {number} root
   * @param {number} type
   * @returns {{frame: number, self: number, total: number}[]}
   */
  functions(root, type) {
    const { frameOf, end } = this;
    const { functionOf, functions } = this.frames;
    const self = this.selfValues[type];
    const totals = this.total(type);
    const rows = functions.map((frame) => ({ frame, self: 0, total: 0, seen: false }));
    const open = new Uint32Array(functions.length);
    /** @type {number[]} */
    const path = [];
    for (let node = root; node < end[root]; node++) {
      while (path.length && end[path[path.length - 1]] <= node) {
        open[functionOf[frameOf[/** @type {number} */ (path.pop())]]]--;
      }
      const of = functionOf[frameOf[node]];
      const row = rows[of];
      row.seen = true;
      row.self += self[node];
      if (open[of]++ === 0) row.total += totals[node];
      path.push(node);
    }
    return rows.filter((row) => row.seen && this.frames.side(row.frame) !== 'root');
  }
}
