// Who a heap's memory belongs to: the innermost function of each stack that does not only pass on
// what it is asked for, as allocators, containers and the C library do. No DOM here.

import { NEW } from './view.js';

/**
 * @typedef {object} Holder
 * @property {number} frame
 * @property {number} value of the samples that are its own
 * @property {number} through the frame by which most of it was asked for; its own where no other is
 */

/**
 * By node of the stacks' tree, the node that what ends there belongs to.
 * @param {import('./view.js').View} view
 */
function holdingNodes(view) {
  const { frameOf, parent, count } = view.stacks;
  const { frames } = view.model;
  const holder = new Uint32Array(count);
  // By node, whether it allocates: what an allocator calls without a name is a part of it.
  const allocates = new Uint8Array(count);
  for (let node = 1; node < count; node++) {
    const above = holder[parent[node]];
    const side = frames.side(frameOf[above]);
    const caller = side === 'user' || side === 'kernel';
    const frame = frameOf[node];
    const part = allocates[parent[node]] === 1 && frames.side(frame) === 'user'
      && frames.name(frame).startsWith('[');
    allocates[node] = frames.allocates(frame) || part ? 1 : 0;
    holder[node] = caller && (part || frames.passesOn(frame)) ? above : node;
  }
  return holder;
}

/**
 * What each function holds, by function.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {number} [side]
 * @returns {Holder[]}
 */
export function holders(view, type, side = NEW) {
  const { frameOf } = view.stacks;
  const { functionOf, functions } = view.model.frames;
  const nodes = holdingNodes(view);
  const rows = functions.map((frame) => ({ frame, value: 0, through: frame }));
  /** @type {Map<number, number>[]} by holder, and then by the innermost function */
  const parts = functions.map(() => new Map());
  view.within(0, type, side).forEach((value, node) => {
    if (value === 0 || node === 0) return;
    const of = functionOf[frameOf[nodes[node]]];
    const leaf = functionOf[frameOf[node]];
    rows[of].value += value;
    parts[of].set(leaf, (parts[of].get(leaf) ?? 0) + value);
  });
  parts.forEach((of, row) => {
    const [most] = [...of].sort((a, b) => b[1] - a[1]);
    if (most) rows[row].through = functions[most[0]];
  });
  return rows;
}
