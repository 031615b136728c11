// Which functions to look at first, as a few buttons above the graph.

import { holders } from './holders.js';
import { shortName } from './names.js';
import { element } from './tooltip.js';
import { formatChange, formatDelta, formatShare, formatValue } from './units.js';
import { BASE } from './view.js';

const MOST_FIRST = 3;

/** Where none takes this share, none stands out. */
const LITTLE = 0.01;

/** Where no function takes this share by itself, what it calls counts too. */
const STANDS_OUT = 0.1;

/**
 * The function on the path on which more than half of everything lies that is the program's own
 * and has a name, the innermost such; without one, the last of the path. Undefined if that is the
 * root or a process.
 * @param {import('./view.js').View} view
 * @param {number} type
 */
function halfPath(view, type) {
  const { frames } = view.model;
  const widths = view.widths(type);
  let node = 0;
  let own;
  for (;;) {
    const [heaviest] = view.children(node, type);
    if (heaviest === undefined || !(widths[heaviest] > widths[0] / 2)) break;
    node = heaviest;
    const frame = view.tree.frameOf[node];
    if (frames.side(frame) === 'user' && !frames.passesOn(frame)
      && !frames.name(frame).startsWith('[')) own = node;
  }
  const side = frames.side(view.tree.frameOf[node]);
  return own ?? (side === 'root' || side === 'process' ? undefined : node);
}

/** @typedef {{frame: number, value: number, before: number, about: string}} Weight */

/**
 * What each function is worth by itself; of a heap, what it holds.
 * @param {import('./table.js').FunctionTable} table
 * @returns {Weight[]}
 */
function weights(table) {
  const { view, type } = table.graph;
  const { frames } = view.model;
  const about = table.diff ? 'of its own' : 'in itself';
  if (!view.model.heapPair(type)) {
    return table.functions().filter((row) => frames.side(row.frame) !== 'process').map((row) =>
      ({ frame: row.frame, value: row.self, before: row.before, about }));
  }
  const before = table.diff ? holders(view, type, BASE) : [];
  return holders(view, type).map(({ frame, value, through }, at) => ({ frame, value,
    before: before[at]?.value ?? 0,
    about: through === frame ? 'by itself' : `through ${shortName(frames.name(through))}` }));
}

/**
 * What the cards answer.
 * @param {string} kind of the sample type
 * @param {boolean} diff
 */
function question(kind, diff) {
  if (diff) return 'What changed the most';
  if (kind.startsWith('inuse')) return 'Who holds memory';
  if (kind.startsWith('peak')) return 'Who held memory at the peak';
  return kind.startsWith('alloc') ? 'Who allocates the most' : 'Look here first';
}

/**
 * Shows the functions that matter the most.
 * @param {HTMLElement} list
 * @param {HTMLElement} title
 * @param {import('./table.js').FunctionTable} table
 * @param {{find: (frame: number) => void, zoom: (node: number) => void}} actions
 */
export function showFirst(list, title, table, actions) {
  const { view, type } = table.graph;
  const { frames, types } = view.model;
  const { kind, unit } = types[type];
  const totals = view.totals(type);
  const whole = totals[0];
  const size = (/** @type {Weight} */ { value, before }) =>
    (table.diff ? Math.abs(value - before) : value);
  const rows = weights(table).filter((row) => size(row) > 0)
    .sort((a, b) => size(b) - size(a)).slice(0, MOST_FIRST);
  const cards = rows.map((row) => ({
    frame: row.frame,
    figure: table.diff ? formatChange(row.value, row.before) : formatShare(row.value, whole),
    about: `${table.diff ? formatDelta(row.value - row.before, unit) : formatValue(row.value, unit)} ${row.about}`,
    part: table.diff ? size(row) / size(rows[0]) : row.value / whole,
    less: table.diff && row.value < row.before,
    run: () => actions.find(row.frame),
  }));
  if (!table.diff && view.query.order === 'down' && !(rows[0]?.value > STANDS_OUT * whole)) {
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
  const spread = !table.diff && !cards.some((card) => card.part >= LITTLE);
  title.textContent = spread && cards.length > 0 ? 'No function stands out; the heaviest are'
    : question(kind, table.diff);
  list.replaceChildren(...cards.slice(0, MOST_FIRST).map((card) => {
    const item = document.createElement('li');
    const button = element('button', '');
    const name = frames.name(card.frame);
    button.setAttribute('type', 'button');
    button.title = `${name}: show in the graph`;
    const bar = element('span', '', card.less ? 'bar less' : 'bar');
    bar.style.width = `${100 * card.part}%`;
    button.append(element('strong', card.figure), element('span', shortName(name), 'what'),
      element('span', `${card.about} · ${frames.module(card.frame)}`, 'why'), bar);
    button.addEventListener('click', card.run);
    item.append(button);
    return item;
  }));
}
