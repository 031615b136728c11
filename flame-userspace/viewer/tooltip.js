// What is told of a frame: in the tooltip beside the pointer, and as one line below the graph.

import { formatShare, formatValue } from './units.js';

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
 * @param {import('./model.js').Model} model
 * @param {number} node
 * @returns {string[]}
 */
export function origin(model, node) {
  const { frames } = model;
  const frame = model.frameOf[node];
  const side = frames.side(frame);
  const texts = [];
  const file = frames.file(frame);
  const line = model.line(node);
  if (file) texts.push(line > 0 ? `${file}:${line}` : file);
  const marks = [];
  if (frames.module(frame)) marks.push(frames.module(frame));
  if (side === 'process') marks.push('process');
  if (side === 'kernel' && !frames.module(frame).includes('kernel')) marks.push('kernel');
  if (frames.inlined(frame)) marks.push('inlined');
  if (marks.length) texts.push(marks.join(' · '));
  return texts;
}

/**
 * One line about a node, for people who listen too.
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
export function sentence(graph, node) {
  const { model, type } = graph;
  const { unit } = model.types[type];
  const totals = model.total(type);
  const own = model.selfValues[type][node];
  return [
    model.name(node),
    `total ${formatValue(totals[node], unit)} (${formatShare(totals[node], totals[0])})`,
    `self ${formatValue(own, unit)} (${formatShare(own, totals[0])})`,
    ...origin(model, node),
  ].join(' · ');
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
  const gap = 14;
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  const right = document.documentElement.clientWidth;
  const bottom = window.innerHeight;
  const left = Math.max(4, Math.min(pointer.clientX + gap, right - width - 4));
  const below = pointer.clientY + gap + 6;
  const top = below + height > bottom ? pointer.clientY - gap - height : below;
  tooltip.style.left = `${left}px`;
  tooltip.style.top = `${Math.max(4, top)}px`;
}

/**
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} caller
 */
function aboutNarrow(graph, caller) {
  return [
    element('strong', 'Frames too narrow to draw'),
    element('p', `Click to zoom to their caller, ${graph.model.name(caller)}.`),
  ];
}

/**
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {number} node
 */
function aboutNode(graph, node) {
  const { model, type, zoom } = graph;
  const { unit } = model.types[type];
  const totals = model.total(type);
  const table = document.createElement('table');
  const head = table.createTHead().insertRow();
  const columns = ['', '', 'of all'];
  if (zoom !== 0) columns.push('of zoomed');
  for (const text of columns) head.append(element('th', text));
  const body = table.createTBody();
  const values = { Total: totals[node], Self: model.selfValues[type][node] };
  for (const [name, value] of Object.entries(values)) {
    const row = body.insertRow();
    row.append(element('th', name), element('td', formatValue(value, unit)));
    row.append(element('td', formatShare(value, totals[0])));
    if (zoom !== 0) {
      // The callers of the zoomed frame are no part of it.
      const inside = node >= zoom;
      row.append(element('td', inside ? formatShare(value, totals[zoom]) : ''));
    }
  }
  const lines = origin(model, node).map((text) => element('p', text));
  return [element('strong', model.name(node)), ...lines, table];
}
