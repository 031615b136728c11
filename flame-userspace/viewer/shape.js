// Trees made from the profile's own: without hidden frames, folded, turned round, around one
// function. Each tells by node of the tree that it came from where the samples there end. No DOM.

import { Grower } from './tree.js';

/**
 * @typedef {object} Shape
 * @property {import('./tree.js').Tree} tree
 * @property {Int32Array[]} ends where the samples of each node of the tree before end, -1 where
 *   they are left out; around one function they end twice, among its callees and its callers
 * @property {boolean} cut whether the outermost frames of some stacks are left out
 */

/**
 * No more callers grow, and no more frames are passed on the way to them: a chain of 30,000 functions
 * that all take time would have 450 million. With the root they fill arrays that double as they grow.
 */
export const MOST_CALLERS = 2 ** 22 - 1;
const MOST_PASSED = 2 ** 26;

/**
 * `tree` without the frames that are hidden, whose callees their callers get, and with frames of
 * functions that are on the path already folded into the first.
 * @param {import('./tree.js').Tree} tree
 * @param {Uint32Array} functionOf the function of each frame
 * @param {Uint8Array | undefined} hidden by frame
 * @param {boolean} fold
 * @returns {Shape}
 */
export function reshape(tree, functionOf, hidden, fold) {
  const grower = new Grower(tree.frameOf[0]);
  const at = new Int32Array(tree.count);
  const path = fold ? new FoldedPath(tree, functionOf.length) : undefined;
  for (let node = 1; node < tree.count; node++) {
    const frame = tree.frameOf[node];
    const above = at[tree.parent[node]];
    const grow = () => grower.child(above, frame, tree.source?.[node] ?? node);
    if (hidden?.[frame]) {
      at[node] = above;
      path?.skip(node);
    } else {
      at[node] = path ? path.enter(node, functionOf[frame], grow) : grow();
    }
  }
  const { tree: made, place } = grower.finish();
  return { tree: made, ends: [at.map((node) => place[node])], cut: false };
}

/**
 * The path to the node at hand in a folded tree, while the tree that it is made from is walked in
 * pre-order. What folds into an outer frame goes on from there: until the walk has left it, the
 * functions between are not on the path.
 */
class FoldedPath {
  /**
   * @param {import('./tree.js').Tree} tree the one that is walked
   * @param {number} functions how many there may be
   */
  constructor(tree, functions) {
    this.tree = tree;
    /** By node of that tree, its level in the folded one. */
    this.levels = new Uint32Array(tree.count);
    /** By level, the node of the folded tree on the path, and its function; the root has none. */
    this.nodes = [0];
    this.functions = [-1];
    /** By function, the level of it that was entered last: on the path if it is the one there. */
    this.levelOf = new Uint32Array(functions);
    /** @type {{end: number, level: number, node: number, other: number, of: number, was: number}[]} */
    this.entered = [];
  }

  /**
   * Leaves a hidden node to its caller.
   * @param {number} node
   */
  skip(node) {
    this.levels[node] = this.levels[this.tree.parent[node]];
  }

  /**
   * The node of the folded tree that `node` becomes: one on the path already, or the one that grows.
   * @param {number} node
   * @param {number} of its function
   * @param {() => number} grow
   */
  enter(node, of, grow) {
    this.#leave(node);
    const { nodes, functions, levelOf } = this;
    const above = this.levels[this.tree.parent[node]];
    const outer = levelOf[of];
    if (outer <= above && functions[outer] === of) {
      this.levels[node] = outer;
      return nodes[outer];
    }
    const level = above + 1;
    this.entered.push({ end: this.tree.end[node], level, node: nodes[level] ?? 0,
      other: functions[level] ?? -1, of, was: outer });
    this.levels[node] = level;
    nodes[level] = grow();
    functions[level] = of;
    levelOf[of] = level;
    return nodes[level];
  }

  /**
   * Makes the path again what it was before the nodes that `node` is not below.
   * @param {number} node
   */
  #leave(node) {
    const { entered } = this;
    while (entered.length > 0 && entered[entered.length - 1].end <= node) {
      const last = /** @type {typeof entered[number]} */ (entered.pop());
      this.nodes[last.level] = last.node;
      this.functions[last.level] = last.other;
      this.levelOf[last.of] = last.was;
    }
  }
}

/**
 * Callees above their callers: the innermost functions of all samples first.
 * @param {import('./tree.js').Tree} tree
 * @param {Uint32Array} functionOf
 * @param {ArrayLike<number>} functions a frame of each function
 * @param {Uint8Array} ending 1 for the nodes at which samples end
 * @returns {Shape}
 */
export function turn(tree, functionOf, functions, ending) {
  const grower = new Grower(tree.frameOf[0]);
  const end = new Int32Array(tree.count);
  const starts = [];
  for (let node = 1; node < tree.count; node++) if (ending[node]) starts.push(node);
  const { reached, cut } = growCallers(grower, tree, starts,
    (node) => functions[functionOf[tree.frameOf[node]]]);
  starts.forEach((node, start) => { end[node] = reached[start]; });
  const { tree: made, place } = grower.finish();
  return { tree: made, ends: [end.map((node) => place[node])], cut };
}

/**
 * Grows nodes and their callers below the root, the outermost last. All go on by one caller at a
 * time, so that where they are too many it is the outermost that are missing, of all alike.
 * @param {Grower} grower
 * @param {import('./tree.js').Tree} tree
 * @param {number[]} starts
 * @param {(node: number) => number} frame what grows for a node
 * @returns {{reached: Int32Array, cut: boolean}} by start, the outermost that grew; the root if none
 */
function growCallers(grower, tree, starts, frame) {
  grower.most = grower.count + MOST_CALLERS;
  const reached = new Int32Array(starts.length);
  const next = Int32Array.from(starts);
  // The starts that have callers left, in front.
  const climbing = new Uint32Array(starts.length).map((_, start) => start);
  let left = climbing.length;
  let passed = 0;
  let cut = false;
  while (left > 0) {
    passed += left;
    if (passed > MOST_PASSED) return { reached, cut: true };
    let kept = 0;
    for (const start of climbing.subarray(0, left)) {
      const node = next[start];
      if (node === 0) continue;
      const grown = grower.child(reached[start], frame(node), tree.source?.[node] ?? node);
      if (grown < 0) {
        cut = true;
        continue;
      }
      reached[start] = grown;
      next[start] = tree.parent[node];
      if (next[start] > 0) climbing[kept++] = start;
    }
    left = kept;
  }
  return { reached, cut };
}

/**
 * The callees of a function below it and its callers above it. What recurs below its outermost
 * frame is a callee of it.
 * @param {import('./tree.js').Tree} tree
 * @param {Uint32Array} functionOf
 * @param {ArrayLike<number>} functions a frame of each function
 * @param {number} of the function
 * @returns {Shape}
 */
export function surround(tree, functionOf, functions, of) {
  const grower = new Grower(functions[of]);
  const frame = (/** @type {number} */ node) => functions[functionOf[tree.frameOf[node]]];
  const callee = new Int32Array(tree.count).fill(-1);
  const caller = new Int32Array(tree.count).fill(-1);
  /** @type {number[]} */
  const tops = [];
  for (let node = 1; node < tree.count; node++) {
    const above = callee[tree.parent[node]];
    if (above >= 0) {
      callee[node] = grower.child(above, frame(node), tree.source?.[node] ?? node);
    } else if (functionOf[tree.frameOf[node]] === of) {
      callee[node] = 0;
      if (tops.length === 0) grower.source[0] = tree.source?.[node] ?? node;
      tops.push(node);
    }
  }
  grower.turn();
  const { reached, cut } = growCallers(grower, tree, tops.map((top) => tree.parent[top]), frame);
  tops.forEach((top, start) => {
    if (reached[start] > 0) caller.fill(reached[start], top, tree.end[top]);
  });
  const { tree: made, place } = grower.finish();
  const placed = (/** @type {Int32Array} */ ends) =>
    ends.map((node) => (node < 0 ? -1 : place[node]));
  return { tree: made, ends: [placed(callee), placed(caller)], cut };
}
