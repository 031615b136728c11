// Call trees as columns, in pre-order. No DOM here.

import { DAMAGED } from './decode.js';

/**
 * A tree of frames. Node 0 is the root. In a tree of callers and callees the callees of the root's
 * function come first and its callers from `split` on, which stand above it.
 */
export class Tree {
  /**
   * @param {Uint32Array} frameOf
   * @param {Int32Array} parent
   * @param {Uint32Array} level
   * @param {Uint32Array} end the node after the last one below each node
   * @param {Uint32Array} [source] the node of the profile's own tree that each stands for
   * @param {number} [split]
   */
  constructor(frameOf, parent, level, end, source, split = frameOf.length) {
    this.count = frameOf.length;
    this.frameOf = frameOf;
    this.parent = parent;
    this.level = level;
    this.end = end;
    this.source = source;
    this.split = split;
  }

  /**
   * The tree of a block.
   * @param {import('./decode.js').Columns} columns
   */
  static of({ nodeFrames, levels }) {
    const count = nodeFrames.length;
    const level = new Uint32Array(count);
    const parent = new Int32Array(count);
    const end = new Uint32Array(count);
    parent[0] = -1;
    // The nodes from the root to the one before.
    const path = [0];
    for (let node = 1; node < count; node++) {
      const own = path.length - levels[node];
      if (own < 1) throw new Error(DAMAGED);
      while (path.length > own) end[/** @type {number} */ (path.pop())] = node;
      level[node] = own;
      parent[node] = path[own - 1];
      path.push(node);
    }
    for (const node of path) end[node] = count;
    return new Tree(nodeFrames, parent, level, end);
  }

  /**
   * Makes the value of each node that of all at or below it.
   * @param {Float64Array} values
   */
  addUp(values) {
    const { parent, split } = this;
    for (let node = this.count - 1; node > 0; node--) {
      // The callees of the root's function have its whole value, and so have its callers.
      if (parent[node] > 0 || node < split) values[parent[node]] += values[node];
    }
    return values;
  }

  /**
   * The callees of a node, as they are stored; of the root of callers and callees the callees.
   * @param {number} node
   * @param {boolean} [above] the callers of the root instead
   */
  children(node, above = false) {
    const { end } = this;
    const last = node === 0 && !above ? Math.min(end[0], this.split) : end[node];
    const children = [];
    for (let child = above ? this.split : node + 1; child < last; child = end[child]) {
      children.push(child);
    }
    return children;
  }

  /**
   * By node, how many of the siblings before it have its name.
   * @param {ArrayLike<number>} names by frame
   * @param {number} most how many names there are
   */
  twins(names, most) {
    const { count, end, frameOf, split } = this;
    const twins = new Uint32Array(count);
    // By name, whose child had it last, and how many of that one's children before had it.
    const parents = new Int32Array(most).fill(-1);
    const before = new Uint32Array(most);
    for (let parent = 0; parent < count; parent++) {
      for (let child = parent + 1; child < end[parent]; child = end[child]) {
        const name = names[frameOf[child]];
        // The callers of the root are no siblings of its callees.
        const of = parent === 0 && child >= split ? count : parent;
        before[name] = parents[name] === of ? before[name] + 1 : 0;
        parents[name] = of;
        twins[child] = before[name];
      }
    }
    return twins;
  }
}

/** Grows a tree node by node; a caller's nodes of the same frame are one. */
export class Grower {
  /** @param {number} root the frame of the root */
  constructor(root) {
    this.count = 1;
    this.parent = new Int32Array(1024);
    this.frame = new Int32Array(1024);
    this.source = new Uint32Array(1024);
    this.parent[0] = -1;
    this.frame[0] = root;
    // Places of nodes by their parent and frame, -1 where there is none; a power of two of them.
    this.table = new Int32Array(4096).fill(-1);
    /** @type {number | undefined} */
    this.firstCaller = undefined;
    /** How many nodes may grow. */
    this.most = Infinity;
  }

  /**
   * The node of `frame` below `parent`; -1 where no more may grow.
   * @param {number} parent
   * @param {number} frame
   * @param {number} source the node of the profile's tree that a new one stands for
   */
  child(parent, frame, source) {
    let at = this.#place(parent, frame);
    if (this.table[at] >= 0) return this.table[at];
    if (this.count >= this.most) return -1;
    if (this.count === this.parent.length) {
      this.#widen();
      at = this.#place(parent, frame);
    }
    const node = this.count++;
    this.parent[node] = parent;
    this.frame[node] = frame;
    this.source[node] = source;
    this.table[at] = node;
    return node;
  }

  /**
   * @param {number} parent
   * @param {number} frame
   */
  #place(parent, frame) {
    const mask = this.table.length - 1;
    let at = Math.imul(Math.imul(parent, 0x9e3779b1) ^ frame, 0x85ebca6b);
    at = (at ^ (at >>> 15)) & mask;
    for (let node = this.table[at]; node >= 0; node = this.table[at]) {
      if (this.parent[node] === parent && this.frame[node] === frame && !this.#between(node)) break;
      at = (at + 1) & mask;
    }
    return at;
  }

  /**
   * Whether a node is a callee of the root, while its callers grow.
   * @param {number} node
   */
  #between(node) {
    return this.firstCaller !== undefined && node < this.firstCaller;
  }

  #widen() {
    for (const name of /** @type {const} */ (['parent', 'frame'])) {
      const wide = new Int32Array(2 * this.count);
      wide.set(this[name]);
      this[name] = wide;
    }
    const source = new Uint32Array(2 * this.count);
    source.set(this.source);
    this.source = source;
    this.table = new Int32Array(8 * this.count).fill(-1);
    for (let node = this.firstCaller ?? 1; node < this.count; node++) {
      this.table[this.#place(this.parent[node], this.frame[node])] = node;
    }
  }

  /** From here on what grows below the root stands above it. */
  turn() {
    this.firstCaller = this.count;
  }

  /**
   * The tree in pre-order, and the place in it of each node that grew.
   * @returns {{tree: Tree, place: Uint32Array}}
   */
  finish() {
    const { count } = this;
    const size = new Uint32Array(count).fill(1);
    for (let node = count - 1; node > 0; node--) size[this.parent[node]] += size[node];
    const place = new Uint32Array(count);
    const next = new Uint32Array(count);
    const frameOf = new Uint32Array(count);
    const parent = new Int32Array(count);
    const level = new Uint32Array(count);
    const end = new Uint32Array(count);
    const source = new Uint32Array(count);
    let split = count;
    for (let node = 0; node < count; node++) {
      const above = this.parent[node];
      const at = node === 0 ? 0 : next[above];
      if (node === this.firstCaller) split = at;
      if (node > 0) next[above] += size[node];
      place[node] = at;
      next[node] = at + 1;
      frameOf[at] = this.frame[node];
      parent[at] = node === 0 ? -1 : place[above];
      level[at] = node === 0 ? 0 : level[parent[at]] + 1;
      end[at] = at + size[node];
      source[at] = this.source[node];
    }
    return { tree: new Tree(frameOf, parent, level, end, source, split), place };
  }
}
