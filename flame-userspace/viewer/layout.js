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
 * The rows of the view zoomed to `zoom`, from top to bottom: its callers at full width, then itself
 * and what is below; around one function, the callers above it too. Costs what is drawn, not what
 * there is.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {number} zoom
 * @param {number} width
 * @param {boolean} [byName] whether neighbours stand by name, and not by width
 * @returns {{rows: Row[], base: number}} `base` is the row of the root
 */
export function layOut(view, type, zoom, width, byName = false) {
  const { tree } = view;
  const widths = view.widths(type);
  /** @type {Row[]} */
  const below = [];
  /** @type {Row[]} by level, without the root's */
  const above = [];
  const add = (/** @type {number} */ depth, /** @type {number} */ node, /** @type {number} */ x,
    /** @type {number} */ w) => {
    const row = depth < 0 ? (above[-depth - 1] ??= { x: [], width: [], node: [] })
      : (below[depth] ??= { x: [], width: [], node: [] });
    row.x.push(x);
    row.width.push(w);
    row.node.push(node);
  };
  for (let node = tree.parent[zoom]; node >= 0; node = tree.parent[node]) {
    add(view.depth(node), node, 0, width);
  }
  add(view.depth(zoom), zoom, 0, width);
  const scale = width / widths[zoom];
  /** Lays out what is below a node (above it, for callers of the root). */
  const descend = (/** @type {boolean} */ up) => {
    const stack = [{ node: zoom, x: 0, right: width }];
    for (let box = stack.pop(); box; box = stack.pop()) {
      if (box.node < 0) {
        const depth = view.depth(-1 - box.node);
        add(up ? depth - 1 : depth + 1, box.node, box.x, box.right - box.x);
        continue;
      }
      if (box.node !== zoom) add(view.depth(box.node), box.node, box.x, box.right - box.x);
      const children = view.children(box.node, type, up && box.node === 0);
      const drawn = [];
      let x = box.x;
      let wide = children.findIndex((child) => !(widths[child] * scale >= NARROWEST));
      if (wide < 0) wide = children.length;
      let rest = 0;
      for (const child of children.splice(wide)) rest += Math.max(0, widths[child]);
      if (byName) children.sort((a, b) => (view.name(a) < view.name(b) ? -1 : 1));
      for (const child of children) {
        const w = Math.min(widths[child] * scale, box.right - x);
        if (w >= NARROWEST) {
          drawn.push({ node: child, x, right: x + w });
          x += w;
        } else {
          rest += widths[child];
        }
      }
      const restWidth = Math.min(rest * scale, box.right - x);
      if (restWidth >= NARROWEST) drawn.push({ node: -1 - box.node, x, right: x + restWidth });
      // The leftmost on top, so that every row is filled from left to right.
      for (let i = drawn.length - 1; i >= 0; i--) stack.push(drawn[i]);
    }
  };
  if (widths[zoom] > 0) {
    const split = tree.split < tree.count;
    if (zoom < tree.split) descend(false);
    if (split && (zoom === 0 || zoom >= tree.split)) descend(true);
  }
  return { rows: [...above.reverse(), ...below], base: above.length };
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
