// What the colours of the boxes mean. Each way of colouring gives every node a slot, which is a
// colour of the palette, and a legend. No DOM here.

import { packageOf } from './names.js';
import { KERNEL_SLOT, MODULE_SLOTS, OTHER_SLOT, PROCESS_SLOT } from './palette.js';
import { BASE, NEW } from './view.js';

/** @typedef {{name: string, slot: number}[]} Legend */
/** @typedef {'module' | 'package' | 'kind' | 'self' | 'change'} Way */

/** @type {Record<Way, string>} */
export const WAYS = {
  module: 'module',
  package: 'package',
  kind: 'kind of code',
  self: 'self weight',
  change: 'change',
};

/** How many steps the scale of self weights has, and each side of that of changes. */
export const STEPS = 4;

/** Below this share of a function's own weight it counts as cold. */
const WARMTH = [0.002, 0.01, 0.04];
/** The relative changes at which the next step of the scale begins. */
const CHANGES = [0.02, 0.15, 0.5];
/** A change of less than so many standard errors is none. */
const SURE = 2;

/**
 * @typedef {object} Colouring
 * @property {'modules' | 'heat' | 'change'} fills the colours of the palette that slots mean
 * @property {(frame: number, node: number) => number} slot of a node, whose frame it is
 * @property {Legend} legend
 */

/**
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {Way} way
 * @returns {Colouring}
 */
export function colouring(view, type, way) {
  if (way === 'change') return byChange(view, type);
  if (way === 'self') return bySelf(view, type);
  const { frames } = view.model;
  const group = way === 'module' ? (/** @type {number} */ frame) => frames.module(frame)
    : way === 'package' ? (/** @type {number} */ frame) => packageOf(frames, frame)
      : (/** @type {number} */ frame) => kindOf(frames, frame);
  return byGroup(view, type, group, way);
}

/**
 * What sort of code a frame is.
 * @param {import('./model.js').Frames} frames
 * @param {number} frame
 */
function kindOf(frames, frame) {
  const name = frames.name(frame);
  const file = frames.file(frame);
  if (/^\[.*\]$/.test(name)) return 'without a name';
  if (/\.pyx?$/.test(file)) return 'Python';
  if (/\.[cm]?[jt]sx?$/.test(file) || file.startsWith('node:')) return 'JavaScript';
  if (/\.(java|kt|scala|clj)$/.test(file)) return 'JVM';
  if (/\.rb$/.test(file)) return 'Ruby';
  if (/\.go$/.test(file)) return 'Go';
  if (/\.rs$/.test(file) || /::\{\{|<impl |::h[0-9a-f]{16}$/.test(name)) return 'Rust';
  if (/\.(cc|cpp|cxx|hh|hpp|tcc|ipp)$|\/c\+\+\//.test(file) || /^std::|\bstd::__|\(\)$/.test(name)) {
    return 'C++';
  }
  return 'C and others';
}

/**
 * A colour for each of the heaviest groups, one for the kernel, one for the rest. Groups are ranked
 * by the area that they take in the graph of everything, so that the program that was profiled
 * comes first, and keep their colours whatever is shown. The legend has those that are shown.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {(frame: number) => string} group
 * @param {Way} way
 * @returns {Colouring}
 */
function byGroup(view, type, group, way) {
  const { model } = view;
  const { frames, tree } = model;
  const totals = new Float64Array(tree.count);
  const values = model.values[model.shown];
  for (let sample = 0; sample < model.samples; sample++) totals[model.sampleNodes[sample]] += values[sample];
  tree.addUp(totals);
  const areas = new Float64Array(frames.count);
  for (let node = 0; node < tree.count; node++) areas[tree.frameOf[node]] += totals[node];
  /** @type {Map<string, number>} */
  const weights = new Map();
  const groups = Array.from({ length: frames.count }, (_, frame) =>
    (frames.side(frame) === 'user' ? group(frame) : ''));
  groups.forEach((name, frame) => {
    if (name) weights.set(name, (weights.get(name) ?? 0) + areas[frame]);
  });
  const ranked = [...weights].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const slotOf = new Map(ranked.slice(0, MODULE_SLOTS).map((name, slot) => [name, slot]));
  const slots = new Uint8Array(frames.count);
  for (let frame = 0; frame < frames.count; frame++) {
    const side = frames.side(frame);
    if (side === 'kernel') slots[frame] = KERNEL_SLOT;
    else if (side === 'user') slots[frame] = slotOf.get(groups[frame]) ?? OTHER_SLOT;
    else slots[frame] = PROCESS_SLOT;
  }
  const used = new Set();
  for (const side of model.diff ? [NEW, BASE] : [NEW]) {
    view.totals(type, side).forEach((total, node) => {
      if (total !== 0) used.add(slots[view.tree.frameOf[node]]);
    });
  }
  const legend = [...slotOf].map(([name, slot]) => ({ name, slot }))
    .filter(({ slot }) => used.has(slot));
  if (used.has(KERNEL_SLOT)) legend.push({ name: 'kernel', slot: KERNEL_SLOT });
  if (used.has(OTHER_SLOT)) {
    const others = { module: 'modules', package: 'packages', kind: 'kinds' }[String(way)];
    legend.push({ name: ranked.length > MODULE_SLOTS ? `other ${others}` : 'unknown', slot: OTHER_SLOT });
  }
  return { fills: 'modules', legend, slot: (frame) => slots[frame] };
}

/**
 * The warmer the more of all samples end in the function.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @returns {Colouring}
 */
function bySelf(view, type) {
  const { frames } = view.model;
  const rows = view.functions(0, type);
  const whole = rows.reduce((sum, row) => sum + row.self, 0);
  const slots = Uint8Array.from(frames.functionOf, (of) =>
    WARMTH.filter((share) => rows[of].self >= share * whole && whole > 0).length);
  const percent = (/** @type {number} */ share) => `${100 * share} %`;
  const legend = Array.from({ length: STEPS }, (_, slot) => ({
    slot,
    name: slot === 0 ? `self below ${percent(WARMTH[0])}` : `from ${percent(WARMTH[slot - 1])}`,
  }));
  return { fills: 'heat', legend, slot: (frame) => slots[frame] };
}

/**
 * How sure and how large the change of a node is, from -STEPS (gone) to STEPS (new).
 * @param {number} now
 * @param {number} before
 * @param {number} error the standard error of the difference
 */
export function changeStep(now, before, error) {
  const delta = now - before;
  if (Math.abs(delta) <= SURE * error || delta === 0) return 0;
  const sign = Math.sign(delta);
  if (now === 0 || before === 0) return sign * STEPS;
  const relative = Math.abs(delta) / Math.max(Math.abs(now), Math.abs(before));
  return sign * CHANGES.filter((least) => relative >= least).length;
}

/**
 * @param {import('./view.js').View} view
 * @param {number} type
 * @returns {Colouring}
 */
function byChange(view, type) {
  const now = view.totals(type, NEW);
  const before = view.totals(type, BASE);
  const errors = view.errors(type);
  const names = ['gone', 'much less', 'less', 'little less', 'as before', 'little more', 'more',
    'much more', 'new'];
  return {
    fills: 'change',
    legend: names.map((name, slot) => ({ name, slot })),
    slot: (_, node) => STEPS + changeStep(now[node], before[node], errors?.[node] ?? 0),
  };
}
