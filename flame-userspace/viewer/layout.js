// Where the boxes of the visible frames lie. No DOM here.

/** Narrower boxes are not drawn, in CSS pixels. */
export const NARROWEST = 0.5;

/**
 * The boxes of one level, from left to right.
 * @typedef {object} Row
 * @property {number[]} x
 * @property {number[]} width
 * @property {number[]} node for a box that stands for callees too narrow to draw, their caller,
 *   as -1 - caller
 */

/**
 * The rows of the view zoomed to `zoom`: its callers at full width, then itself and what is below.
 * Costs what is drawn, not what there is.
 * @param {import('./model.js').Model} model
 * @param {number} type
 * @param {number} zoom
 * @param {number} width
 * @returns {Row[]}
 */
export function layOut(model, type, zoom, width) {
  const totals = model.total(type);
  /** @type {Row[]} */
  const rows = [];
  const add = (/** @type {number} */ level, /** @type {number} */ node, /** @type {number} */ x,
    /** @type {number} */ w) => {
    rows[level] ??= { x: [], width: [], node: [] };
    rows[level].x.push(x);
    rows[level].width.push(w);
    rows[level].node.push(node);
  };
  for (let node = model.parent[zoom]; node >= 0; node = model.parent[node]) {
    add(model.level[node], node, 0, width);
  }
  const whole = totals[zoom];
  if (!(whole > 0)) {
    add(model.level[zoom], zoom, 0, width);
    return rows;
  }
  const scale = width / whole;
  const stack = [{ node: zoom, x: 0, right: width }];
  for (let box = stack.pop(); box; box = stack.pop()) {
    if (box.node < 0) {
      add(model.level[-1 - box.node] + 1, box.node, box.x, box.right - box.x);
      continue;
    }
    add(model.level[box.node], box.node, box.x, box.right - box.x);
    const children = model.children(box.node, type);
    const drawn = [];
    let x = box.x;
    let next = 0;
    for (; next < children.length; next++) {
      const w = Math.min(totals[children[next]] * scale, box.right - x);
      if (!(w >= NARROWEST)) break;
      drawn.push({ node: children[next], x, right: x + w });
      x += w;
    }
    let rest = 0;
    for (; next < children.length; next++) rest += Math.max(0, totals[children[next]]);
    const restWidth = Math.min(rest * scale, box.right - x);
    if (restWidth >= NARROWEST) drawn.push({ node: -1 - box.node, x, right: x + restWidth });
    // The leftmost on top, so that every row is filled from left to right.
    for (let i = drawn.length - 1; i >= 0; i--) stack.push(drawn[i]);
  }
  return rows;
}

/**
 * The box at a point; undefined where there is none.
 * @param {Row | undefined} row
 * @param {number} x
 * @returns {number | undefined} its place in the row
 */
export function boxAt(row, x) {
  if (!row) return undefined;
  let low = 0;
  let high = row.x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.x[middle] <= x) low = middle + 1;
    else high = middle;
  }
  const at = low - 1;
  return at >= 0 && x < row.x[at] + row.width[at] ? at : undefined;
}
