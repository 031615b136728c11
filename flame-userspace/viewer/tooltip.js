// What is told of a frame: in the tooltip beside the pointer, and as one line below the graph; and
// of a view in a few words.

import { formatChange, formatDelta, formatError, formatShare, formatValue } from './units.js';
import { BASE, NEW } from './view.js';

/**
 * A new element with a text.
 * @param {string} tag
 * @param {string} text
 * @param {string} [className]
 */
export function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/**
 * Where a node's code stands: source line, module, and what else is particular.
 * @param {import('./view.js').View} view
 * @param {number} node
 * @returns {string[]}
 */
export function origin(view, node) {
  const { frames } = view.model;
  const frame = view.tree.frameOf[node];
  const side = frames.side(frame);
  const texts = [];
  const file = frames.file(frame);
  const line = view.line(node);
  if (file) texts.push(line > 0 ? `${file}:${line}` : file);
  const marks = [];
  if (frames.module(frame)) marks.push(frames.path(frame) || frames.module(frame));
  if (side === 'process') marks.push('process');
  if (side === 'kernel' && !frames.module(frame).includes('kernel')) marks.push('kernel');
  if (frames.inlined(frame) && view.hasOwn(node)) marks.push('inlined');
  if (marks.length) texts.push(marks.join(' · '));
  return texts;
}

/**
 * One line about a node, for people who listen too.
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
export function sentence(graph, node) {
  const { view, type } = graph;
  const { unit } = view.model.types[type];
  const totals = view.totals(type);
  const texts = [view.name(node)];
  if (view.model.diff) {
    const before = view.totals(type, BASE)[node];
    texts.push(`base ${formatValue(before, unit)}`, `new ${formatValue(totals[node], unit)}`,
      `change ${formatDelta(totals[node] - before, unit)} (${formatChange(totals[node], before)})`);
  } else {
    texts.push(`total ${formatValue(totals[node], unit)} (${formatShare(totals[node], totals[0])})`);
    if (view.hasOwn(node)) {
      const own = view.own(type)[node];
      texts.push(`self ${formatValue(own, unit)} (${formatShare(own, totals[0])})`);
    }
  }
  return [...texts, ...origin(view, node)].join(' · ');
}

/**
 * How much of a view a search found; of a difference on both sides, as what is new or gone is on one.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {number} zoom
 * @param {Uint8Array} found by frame
 */
export function matchedText(view, type, zoom, found) {
  const { unit } = view.model.types[type];
  const sides = /** @type {[string, number][]} */ (
    view.model.diff ? [['new ', NEW], ['base ', BASE]] : [['', NEW]]);
  const partsOf = (/** @type {number} */ node) => sides.map(([name, side]) =>
    ({ name, value: view.matched(node, type, side, found), whole: view.totals(type, side)[node] }));
  const shares = (/** @type {ReturnType<typeof partsOf>} */ parts) =>
    parts.map(({ name, value, whole }) => `${name}${formatShare(value, whole)}`).join(', ');
  const all = partsOf(0);
  const values = all.map(({ name, value }) => `${name}${formatValue(value, unit)}`).join(', ');
  const text = `${shares(all)} matched (${values})`;
  return zoom === 0 ? text : `${text}, ${shares(partsOf(zoom))} of zoomed`;
}

/**
 * Why a view does not show all that a reader may look for.
 * @param {import('./view.js').View} view
 * @param {number} type
 */
export function caveats(view, type) {
  const texts = [];
  const { model, picked } = view;
  const below = (/** @type {number} */ value, /** @type {number} */ sample) =>
    value < 0 && (!picked || picked[sample] === 1);
  if (!(view.widths(type)[0] > 0) && model.values[type].some(below)) {
    texts.push('values below zero cancel out the others: there is nothing to draw');
  }
  if (view.cut) texts.push('too many callers to show: the outermost are left out');
  return texts;
}

/**
 * Fills and places the tooltip.
 * @param {HTMLElement} tooltip
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node as `Flamegraph.nodeAt` gives it
 * @param {{clientX: number, clientY: number}} pointer
 */
export function showTooltip(tooltip, graph, node, pointer) {
  tooltip.replaceChildren(...(node < 0 ? aboutNarrow(graph, -1 - node) : aboutNode(graph, node)));
  tooltip.hidden = false;
  placeAt(tooltip, pointer, 14);
}

/**
 * Places a box beside a point, within the window.
 * @param {HTMLElement} box
 * @param {{clientX: number, clientY: number}} point
 * @param {number} gap
 */
export function placeAt(box, point, gap) {
  const { offsetWidth: width, offsetHeight: height } = box;
  const right = document.documentElement.clientWidth;
  const left = Math.max(4, Math.min(point.clientX + gap, right - width - 4));
  const below = point.clientY + gap;
  const top = below + height > window.innerHeight ? point.clientY - gap - height : below;
  box.style.left = `${left}px`;
  box.style.top = `${Math.max(4, top)}px`;
}

/**
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} caller
 */
function aboutNarrow(graph, caller) {
  return [
    element('strong', 'Frames too narrow to draw'),
    element('p', `Click to zoom to ${graph.view.name(caller)}.`),
  ];
}

/**
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
function aboutNode(graph, node) {
  const { view } = graph;
  const build = view.model.frames.buildId(view.tree.frameOf[node]);
  const lines = origin(view, node).map((text) => element('p', text));
  if (build) lines.push(element('p', `build ${build.slice(0, 16)}`));
  const table = view.model.diff ? changesOf(graph, node) : valuesOf(graph, node);
  return [element('strong', view.name(node)), ...lines, table, ...notes(graph, node)];
}

/**
 * @param {string[]} heads
 * @param {[string, ...string[]][]} rows
 */
function tableOf(heads, rows) {
  const table = document.createElement('table');
  const head = table.createTHead().insertRow();
  for (const text of heads) head.append(element('th', text));
  const body = table.createTBody();
  for (const [name, ...texts] of rows) {
    const row = body.insertRow();
    row.append(element('th', name), ...texts.map((text) => element('td', text)));
  }
  return table;
}

/**
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
function valuesOf(graph, node) {
  const { view, type, zoom } = graph;
  const { unit } = view.model.types[type];
  const totals = view.totals(type);
  const heads = ['', '', 'of all', 'of parent'];
  // What leads to the zoomed frame is no part of it.
  const inside = node >= zoom && node < view.tree.end[zoom];
  if (zoom !== 0 && inside) heads.push('of zoomed');
  const parent = view.tree.parent[node];
  const row = (/** @type {string} */ name, /** @type {number} */ value) => {
    const texts = [name, formatValue(value, unit), formatShare(value, totals[0]),
      parent < 0 ? '' : formatShare(value, totals[parent])];
    if (zoom !== 0 && inside) texts.push(formatShare(value, totals[zoom]));
    return /** @type {[string, ...string[]]} */ (texts);
  };
  const rows = [row('Total', totals[node])];
  if (view.hasOwn(node)) rows.push(row('Self', view.own(type)[node]));
  return tableOf(heads, rows);
}

/**
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
function changesOf(graph, node) {
  const { view, type } = graph;
  const { unit } = view.model.types[type];
  const row = (/** @type {string} */ name, /** @type {number} */ now,
    /** @type {number} */ before) => /** @type {[string, ...string[]]} */ ([name,
      formatValue(before, unit), formatValue(now, unit), formatDelta(now - before, unit),
      formatChange(now, before)]);
  const rows = [row('Total', view.totals(type, NEW)[node], view.totals(type, BASE)[node])];
  if (view.hasOwn(node)) {
    rows.push(row('Self', view.own(type, NEW)[node], view.own(type, BASE)[node]));
  }
  return tableOf(['', 'base', 'new', 'change', ''], rows);
}

/**
 * How sure the value is, and how large an object is.
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
function notes(graph, node) {
  const { view, type } = graph;
  const { model } = view;
  const totals = view.totals(type);
  const texts = [];
  const error = view.errors(type)?.[node];
  if (error !== undefined && totals[node] > 0) {
    texts.push(model.diff
      ? `standard error of the change: ±${formatValue(error, model.types[type].unit)}`
      : `standard error: ${formatError(error, totals[node])}`);
  }
  const pair = model.heapPair(type);
  if (pair) {
    const objects = view.totals(pair.objects)[node];
    const bytes = view.totals(pair.bytes)[node];
    if (objects > 0) texts.push(`average size: ${formatValue(bytes / objects, 'bytes')}`);
  }
  return texts.map((text) => element('p', text));
}
