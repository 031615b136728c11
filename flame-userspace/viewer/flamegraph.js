// The flamegraph on its canvas. The canvas is as large as what is seen of it, never as tall as the
// graph; the pane around it scrolls.

import { Labels } from './labels.js';
import { boxAt, layOut } from './layout.js';
import { KERNEL_SLOT, PALETTES, PROCESS_SLOT, SHADES, mix, shadedFills } from './palette.js';

/** The height of a level in CSS pixels. */
export const ROW_HEIGHT = 20;
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const PADDING = 5;
/** Boxes narrower than this have no text. */
const NARROWEST_TEXT = 24;
/** How much of what a search did not find the background takes. */
export const FADING = 0.75;
/** A canvas of more device pixels than this is drawn at a lower resolution. */
const MOST_PIXELS = 16e6;

export class Flamegraph {
  /**
   * @param {import('./model.js').Model} model
   * @param {Uint8Array} slots the colour of each frame
   * @param {{pane: HTMLElement, space: HTMLElement, canvas: HTMLCanvasElement,
   *   hover: HTMLElement, cursor: HTMLElement}} parts
   */
  constructor(model, slots, parts) {
    this.model = model;
    this.slots = slots;
    this.parts = parts;
    this.type = model.shown;
    this.zoom = 0;
    /** @type {Uint8Array | undefined} the frames that a search found */
    this.found = undefined;
    /** The node that the keyboard is at. */
    this.cursor = 0;
    /** @type {import('./layout.js').Row[]} */
    this.rows = [];
    this.context = /** @type {CanvasRenderingContext2D} */ (parts.canvas.getContext('2d'));
    this.labels = new Labels(model.frames, (text) => this.context.measureText(text).width);
    this.asked = false;
    this.dark = matchMedia('(prefers-color-scheme: dark)');
    this.dark.addEventListener('change', () => this.ask());
    parts.pane.addEventListener('scroll', () => this.ask(), { passive: true });
    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = parts.pane;
      if (clientWidth !== this.width || clientHeight !== this.height) this.resize();
    }).observe(parts.pane);
  }

  get palette() {
    return this.dark.matches ? PALETTES.dark : PALETTES.light;
  }

  /** Fits the canvas to the pane and lays the boxes out anew. */
  resize() {
    const { pane, canvas, space } = this.parts;
    const width = pane.clientWidth;
    if (width === 0) return;
    this.rows = layOut(this.model, this.type, this.zoom, width);
    space.style.height = `${this.rows.length * ROW_HEIGHT}px`;
    const height = Math.max(ROW_HEIGHT, pane.clientHeight);
    this.width = width;
    this.height = pane.clientHeight;
    this.ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (width * height)));
    canvas.width = Math.round(width * this.ratio);
    canvas.height = Math.round(height * this.ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    this.mark(this.parts.hover, undefined);
    this.placeCursor();
    this.draw();
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
   * Shows `node` at full width, with its callers above.
   * @param {number} node
   */
  zoomTo(node) {
    this.zoom = node;
    this.cursor = node;
    this.resize();
    // Some callers stay in sight, so that the reader knows where the view is.
    this.parts.pane.scrollTop = Math.max(0, (this.model.level[node] - 4) * ROW_HEIGHT);
    this.ask();
  }

  draw() {
    const { context, palette, ratio = 1 } = this;
    const { canvas, pane } = this.parts;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = palette.background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.font = FONT;
    context.textBaseline = 'middle';
    const strong = shadedFills(palette, 0);
    const fills = this.found ? shadedFills(palette, FADING) : strong;
    const callers = fills.map(() => fills[PROCESS_SLOT * SHADES]);
    const top = pane.scrollTop;
    const last = Math.min(this.rows.length, Math.ceil((top + canvas.height / ratio) / ROW_HEIGHT));
    for (let level = Math.floor(top / ROW_HEIGHT); level < last; level++) {
      const row = this.rows[level];
      const y = level * ROW_HEIGHT - top;
      const calling = level < this.model.level[this.zoom];
      for (let at = 0; at < row.x.length; at++) {
        this.#drawBox(row, at, y, calling ? callers : fills, strong);
      }
    }
  }

  /**
   * @param {import('./layout.js').Row} row
   * @param {number} at
   * @param {number} y
   * @param {string[]} fills
   * @param {string[]} strong the fills of what a search found
   */
  #drawBox(row, at, y, fills, strong) {
    const { context, palette, ratio = 1 } = this;
    const node = row.node[at];
    // Edges on whole device pixels, with one between neighbours.
    const left = Math.round(row.x[at] * ratio);
    const right = Math.round((row.x[at] + row.width[at]) * ratio);
    const width = Math.max(1, right - left - (right - left > 2 ? 1 : 0));
    const up = Math.round(y * ratio);
    const height = Math.round((y + ROW_HEIGHT) * ratio) - up - 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (node < 0) {
      context.fillStyle = mix(palette.quiet, palette.background, 0.75);
      context.fillRect(left, up + Math.round(height * 0.3), width, Math.round(height * 0.4));
      return;
    }
    const frame = this.model.frameOf[node];
    const slot = this.slots[frame];
    const fill = slot * SHADES + (this.model.frames.functionOf[frame] % SHADES);
    context.fillStyle = this.found?.[frame] ? strong[fill] : fills[fill];
    context.fillRect(left, up, width, height);
    if (slot === KERNEL_SLOT && width > 4) {
      // The kernel is told apart by more than its colour.
      const line = Math.max(1, Math.round(2 * ratio));
      context.fillStyle = mix(String(context.fillStyle), palette.text, 0.35);
      context.fillRect(left, up + height - line, width, line);
    }
    if (row.width[at] >= NARROWEST_TEXT) {
      const text = this.labels.fit(frame, row.width[at] - 2 * PADDING);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = palette.text;
      context.fillText(text, left / ratio + PADDING, y + ROW_HEIGHT / 2);
    }
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
    const level = this.model.level[node];
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
    const top = this.model.level[node] * ROW_HEIGHT;
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
    const place = this.place(this.cursor);
    if (!place) return this.zoom;
    if (direction === 'up') {
      const caller = this.model.parent[this.cursor];
      return caller < 0 ? undefined : caller;
    }
    if (direction === 'down') {
      const below = this.rows[place.level + 1];
      const at = below?.node.findIndex((node) => this.model.parent[node] === this.cursor);
      return at === undefined || at < 0 ? undefined : below.node[at];
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
      row.node.filter((node) => node >= 0 && found[this.model.frameOf[node]]));
  }
}
