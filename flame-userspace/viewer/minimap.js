// The whole graph in little above a zoomed one, with the part that is shown.

import { layOut } from './layout.js';
import { SHADES, mix, shadedFills } from './palette.js';

const MAP_ROW = 3;
const MAP_ROWS = 10;

/**
 * Draws the outermost rows of all, and marks what is zoomed.
 * @param {import('./flamegraph.js').Flamegraph} graph
 * @param {HTMLElement} map
 * @param {HTMLCanvasElement} canvas
 */
export function showMap(graph, map, canvas) {
  const { view, zoom, colours, type } = graph;
  map.hidden = zoom === 0;
  if (zoom === 0 || !colours) return;
  const { palette } = graph.theme;
  const width = map.clientWidth;
  const { rows, base } = layOut(view, type, 0, width, graph.byName);
  const ratio = window.devicePixelRatio || 1;
  const shown = rows.slice(base, base + MAP_ROWS);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(MAP_ROWS * MAP_ROW * ratio);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.scale(ratio, ratio);
  context.fillStyle = palette.background;
  context.fillRect(0, 0, width, MAP_ROWS * MAP_ROW);
  const fills = shadedFills(palette, colours.fills, 0);
  shown.forEach((row, level) => row.x.forEach((x, at) => {
    const node = row.node[at];
    const frame = view.tree.frameOf[node];
    context.fillStyle = node < 0 ? palette.quiet : fills[colours.slot(frame, node) * SHADES];
    context.fillRect(x, level * MAP_ROW, Math.max(0.5, row.width[at]), MAP_ROW);
  }));
  // Where the zoomed frame lies, or its innermost caller that is not too narrow.
  for (let node = zoom; node >= 0; node = view.tree.parent[node]) {
    const row = rows[base + view.depth(node)];
    const at = row?.node.indexOf(node) ?? -1;
    if (at < 0) continue;
    const left = row.x[at];
    const right = left + Math.max(2, row.width[at]);
    context.fillStyle = mix(palette.background, palette.text, 0.15);
    context.globalAlpha = 0.7;
    context.fillRect(0, 0, left, MAP_ROWS * MAP_ROW);
    context.fillRect(right, 0, width - right, MAP_ROWS * MAP_ROW);
    context.globalAlpha = 1;
    context.fillStyle = palette.text;
    context.fillRect(left, 0, 1, MAP_ROWS * MAP_ROW);
    context.fillRect(right - 1, 0, 1, MAP_ROWS * MAP_ROW);
    return;
  }
}
