// Trees made from the profile's own: without hidden frames, folded, turned round, around one
// function. Each tells by node of the tree that it came from where the samples there end. No DOM.

import { Grower } from './tree.js';

/**
 * @typedef {object} Shape
 * @property {import('./tree.js').Tree} tree
 * @property {Int32Array[]} ends where the samples of each node of the tree before end, -1 where
 *   they are left out; around one function they end twice, among its callees and its callers
 */

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
  for (let node = 1; node < tree.count; node++) {
    const frame = tree.frameOf[node];
    const above = at[tree.parent[node]];
    if (hidden?.[frame]) {
      at[node] = above;
      continue;
    }
    let same = fold ? above : 0;
    while (same > 0 && functionOf[grower.frame[same]] !== functionOf[frame]) {
      same = grower.parent[same];
    }
    at[node] = same > 0 ? same : grower.child(above, frame, tree.source?.[node] ?? node);
  }
  const { tree: made, place } = grower.finish();
  return { tree: made, ends: [at.map((node) => place[node])] };
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
  for (let node = 1; node < tree.count; node++) {
    if (!ending[node]) continue;
    let at = 0;
    for (let from = node; from > 0; from = tree.parent[from]) {
      at = grower.child(at, functions[functionOf[tree.frameOf[from]]], tree.source?.[from] ?? from);
    }
    end[node] = at;
  }
  const { tree: made, place } = grower.finish();
  return { tree: made, ends: [end.map((node) => place[node])] };
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
  for (const top of tops) {
    let at = 0;
    for (let from = tree.parent[top]; from > 0; from = tree.parent[from]) {
      at = grower.child(at, frame(from), tree.source?.[from] ?? from);
    }
    if (at > 0) caller.fill(at, top, tree.end[top]);
  }
  const { tree: made, place } = grower.finish();
  const placed = (/** @type {Int32Array} */ ends) =>
    ends.map((node) => (node < 0 ? -1 : place[node]));
  return { tree: made, ends: [placed(callee), placed(caller)] };
}
