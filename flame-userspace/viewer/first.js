// Which functions to look at first, as a few buttons above the graph.

import { shortName } from './names.js';
import { element } from './tooltip.js';
import { formatChange, formatDelta, formatShare, formatValue } from './units.js';

const MOST_FIRST = 3;

/** Where no function takes this share by itself, what it calls counts too. */
const STANDS_OUT = 0.1;

/**
 * The function at the end of the path on which more than half of everything lies; undefined if
 * that is the root or a process.
 * @param {import('./view.js').View} view
 * @param {number} type
 */
function halfPath(view, type) {
  const widths = view.widths(type);
  let node = 0;
  for (;;) {
    const [heaviest] = view.children(node, type);
    if (heaviest === undefined || !(widths[heaviest] > widths[0] / 2)) break;
    node = heaviest;
  }
  const side = view.model.frames.side(view.tree.frameOf[node]);
  return side === 'root' || side === 'process' ? undefined : node;
}

/**
 * Shows the rows of the table that matter the most.
 * @param {HTMLElement} list
 * @param {HTMLElement} title
 * @param {import('./table.js').FunctionTable} table
 * @param {{find: (frame: number) => void, zoom: (node: number) => void}} actions
 */
export function showFirst(list, title, table, actions) {
  const { view, type } = table.graph;
  const { frames, types } = view.model;
  const { unit } = types[type];
  const totals = view.totals(type);
  const whole = totals[0];
  const size = (/** @type {import('./table.js').Row} */ row) =>
    (table.diff ? Math.abs(row.change) : row.self);
  const rows = table.rows.filter((row) => size(row) > 0 && frames.side(row.frame) !== 'process')
    .sort((a, b) => size(b) - size(a)).slice(0, MOST_FIRST);
  const cards = rows.map((row) => ({
    frame: row.frame,
    figure: table.diff ? formatChange(row.self, row.before) : formatShare(row.self, whole),
    about: table.diff ? `${formatDelta(row.change, unit)} of its own`
      : `${formatValue(row.self, unit)} in itself`,
    part: table.diff ? size(row) / size(rows[0]) : row.self / whole,
    less: table.diff && row.change < 0,
    run: () => actions.find(row.frame),
  }));
  if (!table.diff && view.query.order === 'down' && !(rows[0]?.self > STANDS_OUT * whole)) {
    const node = halfPath(view, type);
    if (node !== undefined) {
      cards.unshift({
        frame: view.tree.frameOf[node],
        figure: formatShare(totals[node], whole),
        about: `${formatValue(totals[node], unit)} with all that it calls`,
        part: totals[node] / whole,
        less: false,
        run: () => actions.zoom(node),
      });
    }
  }
  title.textContent = table.diff ? 'What changed the most' : 'Look here first';
  list.replaceChildren(...cards.slice(0, MOST_FIRST).map((card) => {
    const item = document.createElement('li');
    const button = element('button', '');
    const name = frames.name(card.frame);
    button.setAttribute('type', 'button');
    button.title = `${name}: show in the graph`;
    const bar = element('span', '', card.less ? 'bar less' : 'bar');
    bar.style.width = `${100 * card.part}%`;
    button.append(element('strong', card.figure), element('span', shortName(name), 'what'),
      element('span', `${card.about} · ${frames.module(card.frame)}`, 'about'), bar);
    button.addEventListener('click', card.run);
    item.append(button);
    return item;
  }));
}
