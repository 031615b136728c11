// The table of the heaviest functions.

import { shortName } from './names.js';
import { element } from './tooltip.js';
import { formatShare, formatValue } from './units.js';

const FIRST_ROWS = 25;
const MORE_ROWS = 100;

/** @typedef {'self' | 'total' | 'name' | 'module'} Key */

/** @type {{key: Key, text: string, numeric: boolean}[]} */
const COLUMNS = [
  { key: 'self', text: 'Self', numeric: true },
  { key: 'total', text: 'Total', numeric: true },
  { key: 'name', text: 'Function', numeric: false },
  { key: 'module', text: 'Module', numeric: false },
];

export class FunctionTable {
  /**
   * @param {import('./flamegraph.js').Flamegraph} graph
   * @param {{table: HTMLTableElement, title: HTMLElement, more: HTMLButtonElement}} parts
   * @param {(name: string) => void} onPick
   */
  constructor(graph, parts, onPick) {
    this.graph = graph;
    this.parts = parts;
    this.onPick = onPick;
    /** @type {Key} */
    this.key = 'self';
    this.falling = true;
    this.limit = FIRST_ROWS;
    /** @type {ReturnType<import('./model.js').Model['functions']>} */
    this.rows = [];
    this.#makeHead();
    parts.more.addEventListener('click', () => {
      this.limit += MORE_ROWS;
      this.show();
    });
  }

  #makeHead() {
    const head = /** @type {HTMLTableSectionElement} */ (this.parts.table.tHead).insertRow();
    this.heads = COLUMNS.map(({ key, text, numeric }) => {
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

  /** Adds up again, after another sample type or zoom. */
  update() {
    const { model, type, zoom } = this.graph;
    this.rows = model.functions(zoom, type);
    this.limit = FIRST_ROWS;
    this.parts.title.textContent = zoom === 0
      ? 'Heaviest functions'
      : `Heaviest functions in ${shortName(model.name(zoom))}`;
    this.parts.title.title = zoom === 0 ? '' : model.name(zoom);
    this.show();
  }

  /** Shows the rows that a search found, in order. */
  show() {
    const { frames } = this.graph.model;
    const { found } = this.graph;
    const text = (/** @type {{frame: number}} */ row) =>
      this.key === 'name' ? frames.name(row.frame) : frames.module(row.frame);
    const { key } = this;
    const sign = this.falling ? -1 : 1;
    const rows = this.rows.filter((row) => !found || found[row.frame]);
    if (key === 'self' || key === 'total') {
      rows.sort((a, b) => sign * (a[key] - b[key]) || b.total - a.total);
    } else {
      const order = new Intl.Collator('en', { numeric: true });
      rows.sort((a, b) => sign * order.compare(text(a), text(b)) || b.self - a.self);
    }
    for (const { key: of, cell } of this.heads ?? []) {
      if (of === key) cell.setAttribute('aria-sort', this.falling ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    }
    const body = this.parts.table.tBodies[0];
    body.replaceChildren(...rows.slice(0, this.limit).map((row) => this.#row(row)));
    if (rows.length === 0) {
      const cell = document.createElement('tr').insertCell();
      cell.colSpan = COLUMNS.length;
      cell.textContent = 'No function matches.';
      body.insertRow().append(cell);
    }
    this.parts.more.hidden = rows.length <= this.limit;
    this.parts.more.textContent = `Show more of ${rows.length} functions`;
  }

  /** @param {{frame: number, self: number, total: number}} row */
  #row(row) {
    const { model, type, zoom } = this.graph;
    const { unit } = model.types[type];
    const whole = model.total(type)[zoom];
    const made = document.createElement('tr');
    for (const value of [row.self, row.total]) {
      const cell = element('td', '', 'number');
      const bar = element('span', '', 'bar');
      bar.style.width = `${Math.min(100, Math.max(0, (100 * value) / whole || 0))}%`;
      cell.append(bar, element('span', formatShare(value, whole), 'share'));
      cell.append(element('span', formatValue(value, unit), 'value'));
      made.append(cell);
    }
    const name = model.frames.name(row.frame);
    const button = element('button', name, 'name');
    button.setAttribute('type', 'button');
    button.title = 'Show in the graph';
    button.addEventListener('click', () => this.onPick(name));
    const cell = element('td', '', 'function');
    cell.append(button);
    const { frames } = model;
    const module = frames.side(row.frame) === 'process' ? '(process)' : frames.module(row.frame);
    made.append(cell, element('td', module, 'module'));
    return made;
  }
}
