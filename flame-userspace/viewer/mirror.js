// The frames around the keyboard's cursor as elements of a tree, for people who do not see the
// canvas: the frame, its caller, its callees and its neighbours.

import { element, sentence } from './tooltip.js';

/** No more elements than this stand beside one another. */
const MOST_BESIDE = 50;

/**
 * Makes the elements, and tells the graph which of them is the active one.
 * @param {HTMLElement} mirror
 * @param {HTMLElement} pane
 * @param {import('./flamegraph.js').Flamegraph} graph
 */
export function showMirror(mirror, pane, graph) {
  const { cursor, type, view } = graph;
  const { tree } = view;
  const item = (/** @type {number} */ node, /** @type {number} */ place,
    /** @type {number} */ size) => {
    const made = element('div', sentence(graph, node));
    made.id = `frame-${node}`;
    made.setAttribute('role', 'treeitem');
    made.setAttribute('aria-level', String(tree.level[node] + 1));
    made.setAttribute('aria-posinset', String(place + 1));
    made.setAttribute('aria-setsize', String(size));
    made.setAttribute('aria-selected', String(node === cursor));
    if (tree.end[node] > node + 1) made.setAttribute('aria-expanded', 'true');
    return made;
  };
  const parent = tree.parent[cursor];
  const siblings = parent < 0 ? [cursor]
    : view.children(parent, type, parent === 0 && cursor >= tree.split);
  const at = siblings.indexOf(cursor);
  const first = Math.max(0, at - MOST_BESIDE / 2);
  const children = view.children(cursor, type);
  mirror.replaceChildren(
    ...(parent < 0 ? [] : [item(parent, 0, 1)]),
    ...siblings.slice(first, first + MOST_BESIDE).map((node, i) => item(node, first + i, siblings.length)),
    ...children.slice(0, MOST_BESIDE).map((node, i) => item(node, i, children.length)),
  );
  pane.setAttribute('aria-activedescendant', `frame-${cursor}`);
}
