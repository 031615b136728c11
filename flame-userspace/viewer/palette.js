// Colours: one for each of the heaviest modules, one for the kernel, one for the rest; a scale for
// weights, and one with two sides for changes. They were chosen to stay apart for readers with
// colour-blindness, and carry their text with a contrast of 5:1 and more (test/palette.mjs).

/**
 * @typedef {object} Palette
 * @property {string} background
 * @property {string} text
 * @property {string} quiet text beside the frames
 * @property {string[]} modules by slot
 * @property {string[]} heat from cold to hot
 * @property {string[]} change from gone to new, unchanged in the middle
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
    modules: ['#f0a54a', '#79d1b9', '#f5d867', '#d095b2', '#ffa889', '#9fb2fa', '#dbdee3', '#eceef1'],
    heat: ['#eceef1', '#fbe3ae', '#f8b95c', '#f08a3c'],
    change: ['#6ba4f2', '#8ab9f5', '#b3d2f8', '#d5e5fa', '#eceef1', '#fbe6cd', '#fbcd94', '#f8ae5a',
      '#f09030'],
  },
  dark: {
    background: '#14161a',
    text: '#ffffff',
    quiet: '#a3a9b3',
    modules: ['#8b5000', '#34796b', '#757137', '#6d3860', '#753c2e', '#3e5997', '#595b5f', '#30343b'],
    heat: ['#30343b', '#544326', '#7a4d13', '#a34a06'],
    change: ['#1c5fb8', '#24539a', '#284879', '#2a3c58', '#30343b', '#4b3c2a', '#6b4a22', '#8a5212',
      '#a8560a'],
  },
};

/** How many shades of its colour a slot has, so that neighbours of one module differ a little. */
export const SHADES = 3;

/**
 * The colours of all slots and shades, `slot * SHADES + shade`.
 * @param {Palette} palette
 * @param {'modules' | 'heat' | 'change'} fills
 * @param {number} fading how much of them the background takes
 */
export function shadedFills(palette, fills, fading) {
  // The shades of a scale would read as its steps.
  const spread = fills === 'modules' ? 0.13 : 0.04;
  return palette[fills].flatMap((fill) => Array.from({ length: SHADES }, (_, shade) =>
    mix(mix(fill, palette.background, spread * shade), palette.background, fading)));
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
