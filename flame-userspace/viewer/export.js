// What is shown, as files: an image, folded stacks, the table.

import { ROW_HEIGHT } from './flamegraph.js';
import { SHADES, shadedFills } from './palette.js';
import { formatValue } from './units.js';

const IMAGE_WIDTH = 1200;
const IMAGE_MARGIN = 10;
const IMAGE_HEAD = 46;
/** Images of more rows than this are cut. */
const MOST_ROWS = 1500;

/** @typedef {import('./flamegraph.js').Flamegraph} Flamegraph */

/**
 * A text for XML: what has a meaning there escaped, what may not stand there replaced.
 * @param {string} text
 */
export function escapeXml(text) {
  return text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/**
 * The graph as it is shown, whole, as an SVG image.
 * @param {Flamegraph} graph
 * @param {string} title
 */
export function toSvg(graph, title) {
  const { view, type, colours } = graph;
  const { palette } = graph.theme;
  const { unit } = view.model.types[type];
  const widths = view.widths(type);
  const totals = view.totals(type);
  const scale = IMAGE_WIDTH / (graph.width || IMAGE_WIDTH);
  const rows = graph.rows.slice(0, MOST_ROWS);
  const height = IMAGE_HEAD + rows.length * ROW_HEIGHT + IMAGE_MARGIN;
  const fills = colours ? shadedFills(palette, colours.fills, 0) : [];
  const about = `${formatValue(totals[0], unit)} ${view.model.types[type].kind}`;
  const parts = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${IMAGE_WIDTH + 2 * IMAGE_MARGIN} ${height}" `
    + `width="${IMAGE_WIDTH + 2 * IMAGE_MARGIN}" height="${height}" font-size="12" fill="${palette.text}" `
    + `font-family="system-ui, sans-serif">\n<rect width="100%" height="100%" fill="${palette.background}"/>\n`
    + `<text x="${IMAGE_MARGIN}" y="20" font-size="15" font-weight="bold">${escapeXml(title)}</text>\n`
    + `<text x="${IMAGE_MARGIN}" y="37" fill="${palette.quiet}">${escapeXml(about)}</text>\n`];
  rows.forEach((row, level) => row.x.forEach((left, at) => {
    const node = row.node[at];
    const width = row.width[at] * scale;
    if (node < 0 || width < 0.5) return;
    const [x, y] = [IMAGE_MARGIN + left * scale, IMAGE_HEAD + level * ROW_HEIGHT];
    const fill = fills[graph.fillOf(view.tree.frameOf[node], node)];
    const share = (100 * widths[node]) / widths[0];
    const told = `${view.name(node)}: ${formatValue(totals[node], unit)} (${share.toFixed(2)} %)`;
    const text = width > 24 ? graph.text(node, width - 10) : '';
    parts.push(`<g><title>${escapeXml(told)}</title><rect x="${x.toFixed(2)}" y="${y}" `
      + `width="${Math.max(0.3, width - 0.7).toFixed(2)}" height="${ROW_HEIGHT - 1}" fill="${fill}"/>`
      + (text && `<text x="${(x + 5).toFixed(2)}" y="${y + 14}">${escapeXml(text)}</text>`)
      + '</g>\n');
  }));
  parts.push('</svg>\n');
  return parts.join('');
}

/**
 * The samples that are shown as folded stacks, the outermost frame first.
 * @param {Flamegraph} graph
 */
export function toFolded(graph) {
  const { view, type, zoom } = graph;
  const { frames } = view.model;
  const { frameOf, parent } = view.stacks;
  const name = (/** @type {number} */ node) => frames.name(frameOf[node]).replaceAll(';', ':');
  const lines = [];
  view.within(zoom, type, 0).forEach((value, node) => {
    if (value === 0) return;
    const names = [];
    for (let at = node; at > 0; at = parent[at]) names.push(name(at));
    lines.push(`${names.reverse().join(';') || '[no stack]'} ${Math.round(value)}\n`);
  });
  return lines.join('');
}

/**
 * The table's rows.
 * @param {import('./table.js').FunctionTable} table
 */
export function toCsv(table) {
  const { view, type } = table.graph;
  const { frames, types } = view.model;
  const { kind, unit } = types[type];
  // A cell that begins as a formula would be one to a spreadsheet.
  const cell = (/** @type {string} */ text) =>
    `"${(/^[=+\-@\t]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const heads = table.diff
    ? ['function', 'module', 'file', 'self', 'self in the base', 'total', 'total in the base']
    : ['function', 'module', 'file', 'self', 'total'];
  const lines = [heads.map((head, at) => cell(at > 2 ? `${head} (${kind}, ${unit})` : head))];
  for (const { frame, line, self, total, before, totalBefore } of table.sorted()) {
    const numbers = table.diff ? [self, before, total, totalBefore] : [self, total];
    const file = line === 0 ? frames.file(frame) : `${frames.file(frame)}:${line}`;
    lines.push([frames.name(frame), frames.module(frame), file].map(cell)
      .concat(numbers.map((value) => String(Math.round(value)))));
  }
  return `${lines.map((line) => line.join(',')).join('\r\n')}\r\n`;
}

/**
 * An SVG image as a PNG, twice as fine.
 * @param {string} svg
 * @returns {Promise<Blob>}
 */
export async function toPng(svg) {
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const scale = Math.min(2, 16000 / image.height);
    const canvas = document.createElement('canvas');
    canvas.width = image.width * scale;
    canvas.height = image.height * scale;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => { canvas.toBlob(done); });
    if (!blob) throw new Error('The browser made no image.');
    return blob;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * Hands a file to the reader.
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
