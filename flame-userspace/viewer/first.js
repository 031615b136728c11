// Which functions to look at first, as a few buttons above the graph.

import { shortName } from './names.js';
import { element } from './tooltip.js';
import { formatChange, formatDelta, formatShare, formatValue } from './units.js';

const MOST_FIRST = 3;

/**
 * Shows the rows of the table that matter the most.
 * @param {HTMLElement} list
 * @param {HTMLElement} title
 * @param {import('./table.js').FunctionTable} table
 * @param {(frame: number) => void} pick
 */
export function showFirst(list, title, table, pick) {
  const { view, type } = table.graph;
  const { frames, types } = view.model;
  const { unit } = types[type];
  const whole = view.totals(type)[0];
  const size = (/** @type {import('./table.js').Row} */ row) =>
    (table.diff ? Math.abs(row.change) : row.self);
  const rows = table.rows.filter((row) => size(row) > 0 && frames.side(row.frame) !== 'process')
    .sort((a, b) => size(b) - size(a)).slice(0, MOST_FIRST);
  const heaviest = rows.length ? size(rows[0]) : 0;
  title.textContent = table.diff ? 'What changed the most' : 'Look here first';
  list.replaceChildren(...rows.map((row) => {
    const item = document.createElement('li');
    const button = element('button', '');
    button.setAttribute('type', 'button');
    button.title = `${frames.name(row.frame)}: show in the graph`;
    const figure = table.diff ? formatChange(row.self, row.before) : formatShare(row.self, whole);
    const about = table.diff
      ? `${formatDelta(row.change, unit)} of its own, ${frames.module(row.frame)}`
      : `${formatValue(row.self, unit)} in itself, ${frames.module(row.frame)}`;
    const bar = element('span', '', row.change < 0 && table.diff ? 'bar less' : 'bar');
    bar.style.width = `${(100 * size(row)) / heaviest}%`;
    button.append(element('strong', figure), element('span', shortName(frames.name(row.frame)), 'what'),
      element('span', about, 'about'), bar);
    button.addEventListener('click', () => pick(row.frame));
    item.append(button);
    return item;
  }));
}
