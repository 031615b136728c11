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

/** @typedef {import('./table.js').Row} Row */
/** @typedef {{frame: number, value: number, before: number, about: string}} Weight */

/**
 * What each function is worth by itself; of a heap, what it holds.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {() => Row[]} functions those of all that is shown
 * @returns {Weight[]}
 */
function weights(view, type, functions) {
  const { frames, diff } = view.model;
  const about = diff ? 'of its own' : 'in itself';
  if (!view.model.heapPair(type)) {
    return functions().filter((row) => frames.side(row.frame) !== 'process').map((row) =>
      ({ frame: row.frame, value: row.self, before: row.before, about }));
  }
  const before = diff ? holders(view, type, BASE) : [];
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
 * A function that matters; `zoom` is the node that shows it where a search for it would not.
 * @typedef {{frame: number, figure: string, about: string, part: number, less: boolean,
 *   zoom?: number}} Card
 */

/**
 * The functions that matter the most, and what they answer.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {() => Row[]} functions those of all that is shown
 * @returns {{title: string, cards: Card[]}}
 */
export function firstCards(view, type, functions) {
  const { types } = view.model;
  const diff = view.model.diff !== undefined;
  const { kind, unit } = types[type];
  const totals = view.totals(type);
  const whole = totals[0];
  const size = (/** @type {Weight} */ { value, before }) => (diff ? Math.abs(value - before) : value);
  const rows = weights(view, type, functions).filter((row) => size(row) > 0)
    .sort((a, b) => size(b) - size(a)).slice(0, MOST_FIRST);
  // Where values below zero leave no whole that these could be parts of, bars compare them.
  const barOf = (/** @type {Weight} */ row) =>
    (diff || !(whole > 0) ? size(row) / size(rows[0]) : Math.min(1, row.value / whole));
  /** @type {Card[]} */
  const cards = rows.map((row) => ({
    frame: row.frame,
    figure: diff ? formatChange(row.value, row.before) : formatShare(row.value, whole),
    about: `${diff ? formatDelta(row.value - row.before, unit) : formatValue(row.value, unit)} ${row.about}`,
    part: barOf(row),
    less: diff && row.value < row.before,
  }));
  if (!diff && whole > 0 && view.query.order === 'down' && !(rows[0]?.value > STANDS_OUT * whole)) {
    const node = halfPath(view, type);
    if (node !== undefined) {
      cards.unshift({
        frame: view.tree.frameOf[node],
        figure: formatShare(totals[node], whole),
        about: `${formatValue(totals[node], unit)} with all that it calls`,
        part: Math.min(1, totals[node] / whole),
        less: false,
        zoom: node,
      });
    }
  }
  const spread = !diff && cards.length > 0 && !cards.some((card) => card.part >= LITTLE);
  return {
    title: spread ? 'No function stands out; the heaviest are' : question(kind, diff),
    cards: cards.slice(0, MOST_FIRST),
  };
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
  const { frames } = view.model;
  const first = firstCards(view, type, () => table.functions());
  title.textContent = first.title;
  list.replaceChildren(...first.cards.map((card) => {
    const item = document.createElement('li');
    const button = element('button', '');
    const name = frames.name(card.frame);
    button.setAttribute('type', 'button');
    button.title = `${name}: show in the graph`;
    const bar = element('span', '', card.less ? 'bar less' : 'bar');
    bar.style.width = `${100 * card.part}%`;
    button.append(element('strong', card.figure), element('span', shortName(name), 'what'),
      element('span', `${card.about} · ${frames.module(card.frame)}`, 'why'), bar);
    button.addEventListener('click', () =>
      (card.zoom === undefined ? actions.find(card.frame) : actions.zoom(card.zoom)));
    item.append(button);
    return item;
  }));
}
