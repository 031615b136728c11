// The flamegraph on its canvas. The canvas is as large as what is seen of it, never as tall as the
// graph; the pane around it scrolls.

import { Labels } from './labels.js';
import { boxAt, layOut } from './layout.js';
import { KERNEL_SLOT, PROCESS_SLOT, SHADES, mix, shadedFills } from './palette.js';
import { formatChange } from './units.js';
import { BASE, NEW } from './view.js';

/** The height of a level in CSS pixels. */
export const ROW_HEIGHT = 20;
export const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const PADDING = 5;
/** Boxes narrower than this have no text. */
const NARROWEST_TEXT = 24;
/** From this width on the box of a difference tells its change. */
const CHANGE_TEXT = 150;
/** How much of what a search did not find the background takes. */
export const FADING = 0.75;
/** A canvas of more device pixels than this is drawn at a lower resolution. */
const MOST_PIXELS = 16e6;

export class Flamegraph {
  /**
   * @param {import('./view.js').View} view
   * @param {{pane: HTMLElement, space: HTMLElement, canvas: HTMLCanvasElement,
   *   hover: HTMLElement, cursor: HTMLElement}} parts
   * @param {import('./theme.js').Theme} theme
   */
  constructor(view, parts, theme) {
    this.view = view;
    this.parts = parts;
    this.theme = theme;
    this.type = view.query.type;
    this.zoom = 0;
    /** Whether the root stands at the bottom. */
    this.flipped = false;
    /** Whether neighbours stand by name. */
    this.byName = false;
    /** @type {import('./colours.js').Colouring | undefined} */
    this.colours = undefined;
    /** @type {Uint8Array | undefined} the frames that a search found */
    this.found = undefined;
    /** The node that the keyboard is at. */
    this.cursor = 0;
    /** @type {import('./layout.js').Row[]} */
    this.rows = [];
    /** The row of the root. */
    this.base = 0;
    this.context = /** @type {CanvasRenderingContext2D} */ (parts.canvas.getContext('2d'));
    this.context.font = FONT;
    this.labels = new Labels(view.model.frames, (text) => this.context.measureText(text).width);
    this.asked = false;
    theme.onChange(() => this.ask());
    parts.pane.addEventListener('scroll', () => this.ask(), { passive: true });
    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = parts.pane;
      if (clientWidth === this.width && clientHeight === this.height) return;
      this.resize();
      // A new canvas is empty, and this frame of the screen has asked what to draw already.
      this.draw();
    }).observe(parts.pane);
  }

  /** Fits the canvas to the pane and lays the boxes out anew; what draws them comes after. */
  resize() {
    const { pane, canvas, space } = this.parts;
    const width = pane.clientWidth;
    if (width === 0) return;
    const { rows, base } = layOut(this.view, this.type, this.zoom, width, this.byName);
    this.rows = this.flipped ? rows.reverse() : rows;
    this.base = this.flipped ? rows.length - 1 - base : base;
    space.style.height = `${rows.length * ROW_HEIGHT}px`;
    const height = Math.max(ROW_HEIGHT, pane.clientHeight);
    this.width = width;
    this.height = pane.clientHeight;
    this.ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (width * height)));
    const [wide, high] = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    // Setting its size empties a canvas, and costs a new one.
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    this.mark(this.parts.hover, undefined);
    this.placeCursor();
  }

  /** Draws at the next frame of the screen. */
  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  /**
   * The row that a node stands in.
   * @param {number} node
   */
  rowOf(node) {
    return this.base + (this.flipped ? -1 : 1) * this.view.depth(node);
  }

  /**
   * Shows `node` at full width, with what leads to it.
   * @param {number} node
   */
  zoomTo(node) {
    this.zoom = node;
    this.cursor = node;
    this.resize();
    // Some callers stay in sight, so that the reader knows where the view is.
    const { pane } = this.parts;
    const { clientHeight } = pane;
    const y = this.rowOf(node) * ROW_HEIGHT;
    const split = this.view.tree.split < this.view.tree.count;
    if (split && node === 0) pane.scrollTop = y - clientHeight / 2;
    else if (this.flipped !== this.view.depth(node) < 0) pane.scrollTop = y + 5 * ROW_HEIGHT - clientHeight;
    else pane.scrollTop = y - 4 * ROW_HEIGHT;
    this.ask();
  }

  draw() {
    const { context, ratio = 1, colours } = this;
    if (!colours) return;
    const { canvas, pane } = this.parts;
    const { palette } = this.theme;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = palette.background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.font = FONT;
    context.textBaseline = 'middle';
    const strong = shadedFills(palette, colours.fills, 0);
    const fills = this.found ? shadedFills(palette, colours.fills, FADING) : strong;
    const paint = { strong, fills, calling: palette.modules[PROCESS_SLOT],
      narrow: mix(palette.quiet, palette.background, 0.75) };
    const top = pane.scrollTop;
    const last = Math.min(this.rows.length, Math.ceil((top + canvas.height / ratio) / ROW_HEIGHT));
    const leading = this.#leading();
    for (let level = Math.floor(top / ROW_HEIGHT); level < last; level++) {
      const row = this.rows[level];
      const y = level * ROW_HEIGHT - top;
      for (let at = 0; at < row.x.length; at++) {
        this.#drawBox(row, at, y, leading.has(row.node[at]), paint);
      }
    }
  }

  /** The nodes that lead to what is zoomed. */
  #leading() {
    const { parent } = this.view.tree;
    const leading = new Set();
    for (let node = parent[this.zoom]; node >= 0; node = parent[node]) leading.add(node);
    return leading;
  }

  /**
   * @param {import('./layout.js').Row} row
   * @param {number} at
   * @param {number} y
   * @param {boolean} leading whether it leads to what is zoomed
   * @param {{strong: string[], fills: string[], calling: string, narrow: string}} paint
   */
  #drawBox(row, at, y, leading, paint) {
    const { context, ratio = 1, view } = this;
    const { palette } = this.theme;
    const node = row.node[at];
    // Edges on whole device pixels, with one between neighbours.
    const left = Math.round(row.x[at] * ratio);
    const right = Math.round((row.x[at] + row.width[at]) * ratio);
    const width = Math.max(1, right - left - (right - left > 2 ? 1 : 0));
    const up = Math.round(y * ratio);
    const height = Math.round((y + ROW_HEIGHT) * ratio) - up - 1;
    if (node < 0) {
      context.fillStyle = paint.narrow;
      context.fillRect(left, up + Math.round(height * 0.3), width, Math.round(height * 0.4));
      return;
    }
    const frame = view.tree.frameOf[node];
    const fill = this.fillOf(frame, node);
    const modules = this.colours?.fills === 'modules';
    context.fillStyle = leading ? paint.calling
      : this.found?.[frame] ? paint.strong[fill] : paint.fills[fill];
    context.fillRect(left, up, width, height);
    if (modules && width > 4 && Math.floor(fill / SHADES) === KERNEL_SLOT) {
      // The kernel is told apart by more than its colour.
      const line = Math.max(1, Math.round(2 * ratio));
      context.fillStyle = mix(String(context.fillStyle), palette.text, 0.35);
      context.fillRect(left, up + height - line, width, line);
    }
    if (row.width[at] >= NARROWEST_TEXT) {
      const text = this.text(node, row.width[at] - 2 * PADDING);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = palette.text;
      context.fillText(text, left / ratio + PADDING, y + ROW_HEIGHT / 2);
      context.setTransform(1, 0, 0, 1, 0, 0);
    }
  }

  /**
   * The colour of a node, as a place among the shaded fills.
   * @param {number} frame the node's
   * @param {number} node
   */
  fillOf(frame, node) {
    const slot = this.colours?.slot(frame, node) ?? 0;
    return slot * SHADES + (this.view.model.frames.functionOf[frame] % SHADES);
  }

  /**
   * What a box of this width says.
   * @param {number} node
   * @param {number} width
   */
  text(node, width) {
    const { view, type } = this;
    const frame = view.tree.frameOf[node];
    if (!view.model.diff || width < CHANGE_TEXT) return this.labels.fit(frame, width);
    const change = formatChange(view.totals(type, NEW)[node], view.totals(type, BASE)[node]);
    let room = width;
    for (const char of change) room -= this.labels.width(char);
    return `${this.labels.fit(frame, room - 10)}  ${change}`;
  }

  /**
   * What lies at a point of the window: a node, or -1 - the caller of frames too narrow to draw.
   * @param {number} clientX
   * @param {number} clientY
   * @returns {number | undefined}
   */
  nodeAt(clientX, clientY) {
    const box = this.parts.space.getBoundingClientRect();
    const row = this.rows[Math.floor((clientY - box.top) / ROW_HEIGHT)];
    const at = boxAt(row, clientX - box.left);
    return at === undefined ? undefined : row.node[at];
  }

  /**
   * Where a node is drawn; undefined if it is not.
   * @param {number} node
   */
  place(node) {
    const level = this.rowOf(node);
    const at = this.rows[level]?.node.indexOf(node) ?? -1;
    return at < 0 ? undefined : { level, at, row: this.rows[level] };
  }

  /**
   * Lays a frame around a node; none if it is undefined or not drawn.
   * @param {HTMLElement} mark
   * @param {number | undefined} node
   */
  mark(mark, node) {
    const place = node === undefined || node < 0 ? undefined : this.place(node);
    mark.hidden = !place;
    if (!place) return;
    mark.style.left = `${place.row.x[place.at]}px`;
    mark.style.width = `${Math.max(2, place.row.width[place.at])}px`;
    mark.style.top = `${place.level * ROW_HEIGHT}px`;
    mark.style.height = `${ROW_HEIGHT}px`;
  }

  placeCursor() {
    this.mark(this.parts.cursor, this.cursor);
  }

  /**
   * Moves the keyboard's cursor to a node and scrolls to it.
   * @param {number} node
   */
  moveTo(node) {
    this.cursor = node;
    this.placeCursor();
    const { pane } = this.parts;
    const top = this.rowOf(node) * ROW_HEIGHT;
    if (top < pane.scrollTop) pane.scrollTop = top;
    const bottom = top + ROW_HEIGHT - pane.clientHeight;
    if (bottom > pane.scrollTop) pane.scrollTop = bottom;
  }

  /**
   * The node that an arrow key leads to from the cursor; undefined if there is none.
   * @param {'up' | 'down' | 'left' | 'right'} direction
   * @returns {number | undefined}
   */
  neighbour(direction) {
    const { parent } = this.view.tree;
    const place = this.place(this.cursor);
    if (!place) return this.zoom;
    if (direction === 'up' || direction === 'down') {
      const next = this.rows[place.level + (direction === 'up' ? -1 : 1)];
      return next?.node.find((node) =>
        node === parent[this.cursor] || (node >= 0 && parent[node] === this.cursor));
    }
    const step = direction === 'left' ? -1 : 1;
    for (let at = place.at + step; at in place.row.node; at += step) {
      if (place.row.node[at] >= 0) return place.row.node[at];
    }
    return undefined;
  }

  /** The drawn nodes that a search found, from the top left on. */
  matches() {
    const { found } = this;
    if (!found) return [];
    return this.rows.flatMap((row) =>
      row.node.filter((node) => node >= 0 && found[this.view.tree.frameOf[node]]));
  }
}
