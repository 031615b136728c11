// The table of the heaviest functions, or of those that changed the most.

import { shortName } from './names.js';
import { element } from './tooltip.js';
import { formatChange, formatDelta, formatShare, formatValue } from './units.js';
import { BASE, NEW } from './view.js';

const FIRST_ROWS = 50;
const MORE_ROWS = 200;

/**
 * @typedef {object} Row
 * @property {number} frame
 * @property {number} line of a source line; 0 of a function
 * @property {number} self
 * @property {number} total
 * @property {number} before self in the base
 * @property {number} totalBefore
 * @property {number} change of self
 * @property {number} totalChange
 * @property {number | undefined} size of an object, in bytes, on average
 */
/** @typedef {'self' | 'total' | 'before' | 'change' | 'totalChange' | 'name'} Key */

/** @type {{key: Key, text: string}[]} */
const COLUMNS = [{ key: 'self', text: 'Self' }, { key: 'total', text: 'Total' },
  { key: 'name', text: 'Function' }];
/** @type {{key: Key, text: string}[]} */
const DIFF_COLUMNS = [{ key: 'change', text: 'Self change' },
  { key: 'totalChange', text: 'Total change' }, { key: 'name', text: 'Function' }];

export class FunctionTable {
  /**
   * @param {import('./flamegraph.js').Flamegraph} graph
   * @param {{table: HTMLTableElement, title: HTMLElement, more: HTMLButtonElement}} parts
   * @param {{find: (name: string) => void, around: (frame: number) => void}} actions
   */
  constructor(graph, parts, actions) {
    this.graph = graph;
    this.parts = parts;
    this.actions = actions;
    this.diff = graph.view.model.diff !== undefined;
    this.columns = this.diff ? DIFF_COLUMNS : COLUMNS;
    this.key = this.columns[0].key;
    this.falling = true;
    this.limit = FIRST_ROWS;
    /** Whether its rows are source lines. */
    this.lines = false;
    /** @type {Row[]} */
    this.rows = [];
    this.#makeHead();
    parts.more.addEventListener('click', () => {
      this.limit += MORE_ROWS;
      this.show();
    });
  }

  #makeHead() {
    const head = /** @type {HTMLTableSectionElement} */ (this.parts.table.tHead).insertRow();
    this.heads = this.columns.map(({ key, text }) => {
      const numeric = key !== 'name';
      const cell = element('th', '', numeric ? 'number' : '');
      cell.setAttribute('scope', 'col');
      const button = element('button', text);
      button.setAttribute('type', 'button');
      button.addEventListener('click', () => {
        this.falling = this.key === key ? !this.falling : numeric;
        this.key = key;
        this.show();
      });
      cell.append(button);
      head.append(cell);
      return { key, cell };
    });
  }

  /** The rows of all functions, whatever is zoomed and whatever rows are shown. */
  functions() {
    return this.lines || this.graph.zoom !== 0 ? this.#add(0, false) : this.rows;
  }

  /**
   * @param {number} node whose samples are added up
   * @param {boolean} lines whether the rows are source lines
   */
  #add(node, lines) {
    const { view, type } = this.graph;
    const sums = (/** @type {number} */ of, /** @type {number} */ side) =>
      (lines ? view.lines(node, of, side) : view.functions(node, of, side));
    const now = sums(type, NEW);
    const before = this.diff ? sums(type, BASE) : now;
    const { frames } = view.model;
    const pair = view.model.heapPair(type);
    const bytes = pair && sums(pair.bytes, NEW);
    const objects = pair && sums(pair.objects, NEW);
    /** @type {Row[]} */
    const rows = [];
    now.forEach(({ frame, line, self, total }, at) => {
      const { self: selfBefore, total: totalBefore } = before[at];
      if (frames.side(frame) === 'root' || (total === 0 && totalBefore === 0 && self === 0)) return;
      rows.push({ frame, line, self, total, before: selfBefore, totalBefore,
        change: self - selfBefore, totalChange: total - totalBefore,
        size: bytes && objects?.[at].total ? bytes[at].total / objects[at].total : undefined });
    });
    return rows;
  }

  /** Adds up again, after another view or zoom. */
  update() {
    const { view, zoom } = this.graph;
    this.rows = this.#add(zoom, this.lines);
    this.limit = FIRST_ROWS;
    const what = this.diff ? 'Largest changes' : `Heaviest ${this.lines ? 'lines' : 'functions'}`;
    this.parts.title.textContent = zoom === 0 ? what : `${what} in ${shortName(view.name(zoom))}`;
    this.parts.title.title = zoom === 0 ? '' : view.name(zoom);
    this.show();
  }

  /** The rows that a search found, in order. */
  sorted() {
    const { found } = this.graph;
    const { key } = this;
    const sign = this.falling ? -1 : 1;
    const rows = this.rows.filter((row) => !found || found[row.frame]);
    if (key === 'name') {
      const order = new Intl.Collator('en', { numeric: true });
      rows.sort((a, b) => sign * order.compare(this.text(a), this.text(b)) || b.self - a.self);
    } else {
      // Changes are sorted by how large they are, more and less alike.
      const size = (/** @type {Row} */ row) => (this.diff ? Math.abs(row[key]) : row[key]);
      rows.sort((a, b) => sign * (size(a) - size(b)) || b.total - a.total);
    }
    return rows;
  }

  show() {
    const rows = this.sorted();
    for (const { key: of, cell } of this.heads ?? []) {
      if (of === 'name' && cell.firstChild) cell.firstChild.textContent = this.lines ? 'Line' : 'Function';
      if (of === this.key) cell.setAttribute('aria-sort', this.falling ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    }
    const body = this.parts.table.tBodies[0];
    const scale = this.#scale();
    body.replaceChildren(...rows.slice(0, this.limit).map((row) => this.#row(row, scale)));
    if (rows.length === 0) {
      const cell = body.insertRow().insertCell();
      cell.colSpan = this.columns.length;
      cell.textContent = `No ${this.lines ? 'line' : 'function'} matches.`;
    }
    this.parts.more.hidden = rows.length <= this.limit;
    this.parts.more.textContent = `Show more of ${rows.length} ${this.lines ? 'lines' : 'functions'}`;
  }

  /** The value of a full bar: where values below zero leave no whole, the largest there is. */
  #scale() {
    const { view, type, zoom } = this.graph;
    const whole = view.totals(type)[zoom];
    if (!this.diff && whole > 0) return whole;
    /** @type {('self' | 'total' | 'change' | 'totalChange')[]} */
    const keys = this.diff ? ['change', 'totalChange'] : ['self', 'total'];
    return this.rows.reduce((most, row) =>
      Math.max(most, ...keys.map((key) => Math.abs(row[key]))), 0);
  }

  /**
   * @param {Row} row
   * @param {number} scale
   */
  #row(row, scale) {
    const { view, type, zoom } = this.graph;
    const { frames } = view.model;
    const { unit } = view.model.types[type];
    const whole = view.totals(type)[zoom];
    const made = document.createElement('tr');
    const cells = this.diff
      ? [[row.change, formatChange(row.self, row.before), formatDelta(row.change, unit)],
        [row.totalChange, formatChange(row.total, row.totalBefore), formatDelta(row.totalChange, unit)]]
      : [row.self, row.total].map((value) =>
        [value, formatShare(value, whole), formatValue(value, unit)]);
    for (const [value, share, text] of /** @type {[number, string, string][]} */ (cells)) {
      const cell = element('td', '', 'number');
      const bar = element('span', '', value < 0 ? 'bar less' : 'bar');
      bar.style.width = `${Math.min(100, (100 * Math.abs(value)) / scale || 0)}%`;
      cell.append(element('span', share, 'share'), element('span', text, 'value'), bar);
      made.append(cell);
    }
    made.append(this.#nameCell(row));
    if (this.diff) {
      made.title = `self: base ${formatValue(row.before, unit)}, new ${formatValue(row.self, unit)}; `
        + `total: base ${formatValue(row.totalBefore, unit)}, new ${formatValue(row.total, unit)}`;
    }
    return made;
  }

  /**
   * What a row is called: its function, or its source line.
   * @param {Row} row
   */
  text({ frame, line }) {
    const { frames } = this.graph.view.model;
    return line === 0 ? frames.name(frame) : `${frames.file(frame)}:${line}`;
  }

  /** @param {Row} row */
  #nameCell(row) {
    const { frame, size } = row;
    const { frames } = this.graph.view.model;
    const name = frames.name(frame);
    const cell = element('td', '', 'function');
    const button = element('button', this.text(row), 'name');
    button.setAttribute('type', 'button');
    button.title = 'Show in the graph';
    button.addEventListener('click', () => this.actions.find(name));
    cell.append(button);
    const process = frames.side(frame) === 'process';
    const of = row.line === 0 ? '' : `${shortName(name)} · `;
    const line = element('span', process ? 'process' : `${of}${frames.module(frame)}`, 'module');
    if (size !== undefined) {
      line.append(' · ', element('span', `average ${formatValue(size, 'bytes')}`, 'whole'));
    }
    if (!process) {
      const around = element('button', '⇅', 'around');
      around.setAttribute('type', 'button');
      around.title = 'Callers and callees';
      around.setAttribute('aria-label', `Callers and callees of ${name}`);
      around.addEventListener('click', () => this.actions.around(frame));
      cell.append(around);
    }
    cell.append(line);
    return cell;
  }
}
