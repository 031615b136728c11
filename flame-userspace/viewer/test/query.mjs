// What a view shows if the reader chooses nothing, for the tests.

import { decode } from '../decode.js';
import { Model } from '../model.js';
import { View } from '../view.js';
import { makeBlock } from './block.mjs';

/** @param {Partial<import('../view.js').Query>} [changes] */
export function query(changes = {}) {
  return { type: 0, order: 'down', of: -1, fold: false, filters: [], widths: 'both', shares: false,
    ...changes };
}

/**
 * The view of a block's nodes.
 * @param {any} nodes as for `makeBlock`
 * @param {any} [changes]
 * @param {any} [options]
 */
export function viewOf(nodes, changes, options) {
  return new View(new Model(decode(makeBlock(nodes, options))), query(changes));
}

/**
 * Each node of a view as its path and the value there.
 * @param {View} view
 * @param {number} [type]
 */
export function paths(view, type = 0) {
  const totals = view.totals(type);
  return Array.from({ length: view.tree.count }, (_, node) => {
    const names = [];
    for (let at = node; at > 0; at = view.tree.parent[at]) names.push(view.name(at));
    const above = node >= view.tree.split ? '^' : '';
    return `${above}${names.reverse().join('/')} ${totals[node]}`;
  });
}
