// Puts the views together.

import { decode, unpack } from './decode.js';
import { Flamegraph, ROW_HEIGHT } from './flamegraph.js';
import { Model } from './model.js';
import { assignSlots } from './palette.js';
import { findFrames, heaviestMatch, matchedTotal, parseSearch, quoted } from './search.js';
import { FunctionTable } from './table.js';
import { element, sentence, showTooltip } from './tooltip.js';
import { formatCount, formatShare, formatValue } from './units.js';
import { ZoomHistory } from './zoom.js';

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
function part(id) {
  return /** @type {T} */ (document.getElementById(id));
}

/** The page at work. */
class App {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    const { slots, legend } = assignSlots(model);
    const parts = {
      pane: part('graph'),
      space: part('space'),
      canvas: /** @type {HTMLCanvasElement} */ (part('canvas')),
      hover: part('hover'),
      cursor: part('cursor'),
    };
    this.pane = parts.pane;
    this.hover = parts.hover;
    this.graph = new Flamegraph(model, slots, parts);
    this.search = /** @type {HTMLInputElement} */ (part('search'));
    this.typeSelect = /** @type {HTMLSelectElement} */ (part('type'));
    this.tooltip = part('tooltip');
    this.table = new FunctionTable(this.graph, {
      table: part('table'),
      title: part('table-title'),
      more: part('more'),
    }, (name) => {
      this.search.value = `^${quoted(name)}$`;
      this.applySearch();
    });
    const { header } = model;
    const profile = `${header.start_ms} ${model.count} ${model.total(model.shown)[0]}`;
    this.history = new ZoomHistory(profile, model.count, (node) => this.showZoom(node));
    this.showLegend(legend);
    this.offerTypes();
    this.listen();
  }

  /** Shows everything; the table, which takes longer to add up, a moment later. */
  start() {
    this.showStatus();
    this.showZoom(this.history.current.node);
  }

  /** @param {{name: string, slot: number}[]} legend */
  showLegend(legend) {
    part('legend').replaceChildren(...legend.map(({ name, slot }) => {
      const item = element('li', name);
      item.prepend(element('span', '', `swatch slot-${slot}`));
      return item;
    }));
  }

  offerTypes() {
    const { types, shown } = this.model;
    this.typeSelect.append(...types.map(({ kind, unit }, type) => {
      const option = element('option', unit === 'count' ? kind : `${kind} (${unit})`);
      option.setAttribute('value', String(type));
      return option;
    }));
    this.typeSelect.value = String(shown);
    part('type-label').hidden = types.length < 2;
  }

  showStatus() {
    const { header, types } = this.model;
    const { type } = this.graph;
    const texts = [`${formatValue(this.model.total(type)[0], types[type].unit)} ${types[type].kind}`];
    const counted = types.findIndex(({ kind, unit }) => kind === 'samples' && unit === 'count');
    if (counted >= 0 && counted !== type) {
      texts.push(`${formatCount(this.model.total(counted)[0])} samples`);
    }
    texts.push(`${formatCount(header.stacks)} distinct stacks`);
    if (header.duration_ns > 0) {
      texts.push(`recorded for ${formatValue(header.duration_ns, 'nanoseconds')}`);
    }
    if (header.start_ms > 0) {
      const start = new Date(header.start_ms).toISOString();
      texts.push(`${start.slice(0, 10)} ${start.slice(11, 19)} UTC`);
    }
    part('status').textContent = texts.join(' · ');
  }

  /** @param {number} node */
  showZoom(node) {
    this.tooltip.hidden = true;
    this.graph.zoomTo(node);
    /** @type {HTMLButtonElement} */ (part('back')).disabled = !this.history.canGoBack;
    /** @type {HTMLButtonElement} */ (part('reset')).disabled = node === 0;
    this.tell(node);
    this.showMatched();
    this.updateTable();
  }

  /** The table is added up after the graph was painted. */
  updateTable() {
    clearTimeout(this.tableTimer);
    this.tableTimer = setTimeout(() => this.table.update(), this.model.count > 50_000 ? 30 : 0);
  }

  /** @param {number} node */
  tell(node) {
    const prefix = node === this.graph.zoom && node !== 0 ? 'Zoomed: ' : '';
    part('detail').textContent = prefix + sentence(this.graph, node);
  }

  /** @param {number} type */
  showType(type) {
    this.graph.type = type;
    this.typeSelect.value = String(type);
    this.showStatus();
    this.showZoom(this.graph.zoom);
  }

  applySearch() {
    const parsed = parseSearch(this.search.value);
    this.plain = parsed?.plain ?? false;
    this.graph.found = parsed && findFrames(this.model, parsed.expression);
    this.graph.ask();
    this.showMatched();
    this.table.show();
  }

  showMatched() {
    const { found, type, zoom } = this.graph;
    if (!found) {
      part('matched').textContent = '';
      return;
    }
    const totals = this.model.total(type);
    const value = matchedTotal(this.model, type, 0, found);
    const { unit } = this.model.types[type];
    let text = `${formatShare(value, totals[0])} matched (${formatValue(value, unit)})`;
    if (zoom !== 0) {
      const inside = matchedTotal(this.model, type, zoom, found);
      text += `, ${formatShare(inside, totals[zoom])} of zoomed`;
    }
    if (this.plain) text += ', as plain text';
    part('matched').textContent = text;
  }

  /** @param {number} step */
  nextMatch(step) {
    const matches = this.graph.matches();
    if (matches.length === 0) {
      // All are too narrow to draw here, or there is none.
      const { found, type, zoom } = this.graph;
      const node = found && heaviestMatch(this.model, type, zoom, found);
      if (node !== undefined) this.history.go(node);
      return;
    }
    const at = matches.indexOf(this.graph.cursor);
    const next = at < 0 && step < 0 ? -1 : at + step;
    this.moveTo(matches[(next + matches.length) % matches.length]);
  }

  /** @param {number | undefined} node */
  moveTo(node) {
    if (node === undefined) return;
    this.pane.classList.add('keyboard');
    this.graph.moveTo(node);
    this.tell(node);
  }

  listen() {
    this.typeSelect.addEventListener('change', () => this.showType(Number(this.typeSelect.value)));
    this.search.addEventListener('input', () => this.applySearch());
    part('tools').addEventListener('submit', (event) => {
      event.preventDefault();
      this.nextMatch(1);
    });
    part('back').addEventListener('click', () => this.history.back());
    part('reset').addEventListener('click', () => this.history.go(0));
    const help = /** @type {HTMLDialogElement} */ (part('help'));
    part('help-open').addEventListener('click', () => help.showModal());
    this.pane.addEventListener('pointermove', (event) => this.point(event));
    this.pane.addEventListener('pointerleave', () => this.point(undefined));
    this.pane.addEventListener('scroll', () => this.point(undefined));
    this.pane.addEventListener('click', (event) => {
      this.pane.classList.remove('keyboard');
      const node = this.graph.nodeAt(event.clientX, event.clientY);
      if (node !== undefined) this.history.go(node < 0 ? -1 - node : node);
    });
    document.addEventListener('keydown', (event) => {
      if (this.press(event)) event.preventDefault();
    });
  }

  /** @param {PointerEvent | undefined} event */
  point(event) {
    const node = event && this.graph.nodeAt(event.clientX, event.clientY);
    this.graph.mark(this.hover, node);
    this.pane.classList.toggle('over', node !== undefined);
    if (event && node !== undefined) showTooltip(this.tooltip, this.graph, node, event);
    else this.tooltip.hidden = true;
  }

  /**
   * Does what a key stands for, if anything.
   * @param {KeyboardEvent} event
   * @returns {boolean}
   */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest('dialog')) return false;
    if (target === this.search) {
      if (event.key !== 'Escape') return false;
      this.search.value = '';
      this.applySearch();
      this.pane.focus();
      return true;
    }
    if (target.closest('input, select')) return false;
    const inGraph = target === this.pane;
    switch (event.key) {
      case '/': this.search.focus(); this.search.select(); return true;
      case 'n': this.nextMatch(1); return true;
      case 'N': this.nextMatch(-1); return true;
      case 't': this.showType((this.graph.type + 1) % this.model.types.length); return true;
      case '?': /** @type {HTMLDialogElement} */ (part('help')).showModal(); return true;
      case 'Backspace':
      case 'Escape': return this.leave();
      default: return inGraph && this.pressInGraph(event.key);
    }
  }

  /** Back to the view before; with none, the search is given up. */
  leave() {
    if (this.history.canGoBack) {
      this.history.back();
    } else if (this.search.value) {
      this.search.value = '';
      this.applySearch();
    } else {
      return false;
    }
    return true;
  }

  /** @param {string} key */
  pressInGraph(key) {
    switch (key) {
      case 'ArrowUp': this.moveTo(this.graph.neighbour('up')); return true;
      case 'ArrowDown': this.moveTo(this.graph.neighbour('down')); return true;
      case 'ArrowLeft': this.moveTo(this.graph.neighbour('left')); return true;
      case 'ArrowRight': this.moveTo(this.graph.neighbour('right')); return true;
      case 'Enter': this.history.go(this.graph.cursor); return true;
      case 'Home': this.history.go(0); return true;
      default: return false;
    }
  }
}

async function main() {
  const message = part('message');
  message.textContent = 'Reading the profile…';
  try {
    const data = part('flame-data');
    const block = await unpack(data.textContent ?? '');
    data.remove();
    const model = new Model(decode(block));
    part('app').hidden = false;
    part('graph').style.setProperty('--row', `${ROW_HEIGHT}px`);
    new App(model).start();
    message.hidden = true;
  } catch (error) {
    message.textContent = error instanceof Error ? error.message : String(error);
    throw error;
  }
}

main();
