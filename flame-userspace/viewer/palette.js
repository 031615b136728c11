// Colours: one for each of the heaviest modules, one for the kernel, one for the rest. They were
// chosen to stay apart for readers with colour-blindness, and carry their text with a contrast of
// 5:1 and more (test/palette.mjs).

/**
 * @typedef {object} Palette
 * @property {string} background
 * @property {string} text
 * @property {string} quiet text beside the frames
 * @property {string[]} fills by slot
 */

/** The slots that modules get by weight come first. */
export const MODULE_SLOTS = 5;
export const KERNEL_SLOT = 5;
export const OTHER_SLOT = 6;
/** Processes and the root, which are no code. */
export const PROCESS_SLOT = 7;

/** @type {{light: Palette, dark: Palette}} */
export const PALETTES = {
  light: {
    background: '#ffffff',
    text: '#16181d',
    quiet: '#5b616b',
    fills: ['#f0a54a', '#79d1b9', '#f5d867', '#d095b2', '#ffa889', '#9fb2fa', '#dbdee3', '#eceef1'],
  },
  dark: {
    background: '#14161a',
    text: '#ffffff',
    quiet: '#a3a9b3',
    fills: ['#8b5000', '#34796b', '#757137', '#6d3860', '#753c2e', '#3e5997', '#595b5f', '#30343b'],
  },
};

/** How many shades of its colour a slot has, so that neighbours of one module differ a little. */
export const SHADES = 3;

/**
 * The colours of all slots and shades, `slot * SHADES + shade`.
 * @param {Palette} palette
 * @param {number} fading how much of them the background takes
 */
export function shadedFills(palette, fading) {
  return palette.fills.flatMap((fill) => Array.from({ length: SHADES }, (_, shade) =>
    mix(mix(fill, palette.background, 0.13 * shade), palette.background, fading)));
}

/**
 * The slot of every frame. Modules are ranked by the area that they take in the graph, so the
 * program that was profiled comes first.
 * @param {import('./model.js').Model} model
 * @returns {{slots: Uint8Array, legend: {name: string, slot: number}[]}}
 */
export function assignSlots(model) {
  const { frames, frameOf } = model;
  const totals = model.total(model.shown);
  const areas = new Float64Array(frames.count);
  for (let node = 0; node < frameOf.length; node++) areas[frameOf[node]] += totals[node];
  /** @type {Map<string, number>} */
  const weights = new Map();
  for (let frame = 0; frame < frames.count; frame++) {
    const module = frames.module(frame);
    if (frames.side(frame) === 'user' && module) {
      weights.set(module, (weights.get(module) ?? 0) + areas[frame]);
    }
  }
  const ranked = [...weights].sort((a, b) => b[1] - a[1]).map(([module]) => module);
  const slotOf = new Map(ranked.slice(0, MODULE_SLOTS).map((module, slot) => [module, slot]));
  const slots = new Uint8Array(frames.count);
  const used = new Set();
  for (let frame = 0; frame < frames.count; frame++) {
    const side = frames.side(frame);
    if (side === 'kernel') slots[frame] = KERNEL_SLOT;
    else if (side === 'user') slots[frame] = slotOf.get(frames.module(frame)) ?? OTHER_SLOT;
    else slots[frame] = PROCESS_SLOT;
    used.add(slots[frame]);
  }
  const legend = [...slotOf].map(([name, slot]) => ({ name, slot }));
  if (used.has(KERNEL_SLOT)) legend.push({ name: 'kernel', slot: KERNEL_SLOT });
  if (used.has(OTHER_SLOT)) {
    legend.push({ name: legend.length ? 'other modules' : 'unknown module', slot: OTHER_SLOT });
  }
  return { slots, legend };
}

/**
 * `from` with the share `amount` of `to`.
 * @param {string} from `#rrggbb`
 * @param {string} to `#rrggbb`
 * @param {number} amount
 */
export function mix(from, to, amount) {
  const channel = (/** @type {number} */ at) => {
    const [a, b] = [from, to].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * amount).toString(16).padStart(2, '0');
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}
