import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { STEPS } from '../colours.js';
import { FADING } from '../flamegraph.js';
import { MODULE_SLOTS, PALETTES, PROCESS_SLOT, mix, shadedFills } from '../palette.js';

const channels = (/** @type {string} */ colour) =>
  [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
const linear = (/** @type {number} */ c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const dot = (/** @type {number[]} */ a, /** @type {number[]} */ b) =>
  a.reduce((sum, value, i) => sum + value * b[i], 0);

/** WCAG 2 contrast. */
function contrast(/** @type {string} */ a, /** @type {string} */ b) {
  const [x, y] = [a, b].map((c) => dot(channels(c).map(linear), [0.2126, 0.7152, 0.0722]) + 0.05);
  return Math.max(x, y) / Math.min(x, y);
}

/** Linear light as seen with full colour-blindness (Machado, Oliveira and Fernandes, 2009). */
const SIGHTS = {
  usual: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998]],
};

/** OKLab, in which distances are about as large as they look. */
function oklab(/** @type {number[]} */ rgb) {
  const [l, m, s] = [[0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005]].map((row) => Math.cbrt(Math.max(0, dot(rgb, row))));
  return [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.808675766]].map((row) => dot([l, m, s], row));
}

/**
 * What a colour looks like.
 * @param {string} fill
 * @param {number[][]} matrix one of the sights
 */
function look(fill, matrix) {
  const light = channels(fill).map(linear);
  return oklab(matrix.map((row) => dot(row, light)));
}

const WAYS = /** @type {const} */ (['modules', 'heat', 'change']);

for (const [theme, palette] of Object.entries(PALETTES)) {
  test(`text is readable on every fill (${theme})`, () => {
    for (const fill of WAYS.flatMap((fills) => [0, FADING].flatMap((fading) => shadedFills(palette, fills, fading)))) {
      const found = contrast(fill, palette.text);
      assert.ok(found >= 4.5, `${fill}: ${found}`);
    }
    assert.ok(contrast(palette.quiet, palette.background) >= 4.5);
  });

  for (const [sight, matrix] of Object.entries(SIGHTS)) {
    test(`modules, kernel and rest stay apart (${theme}, ${sight})`, () => {
      const seen = palette.modules.slice(0, PROCESS_SLOT).map((fill) => look(fill, matrix));
      for (let a = 0; a < seen.length; a++) {
        for (let b = a + 1; b < seen.length; b++) {
          const distance = Math.hypot(...seen[a].map((value, i) => value - seen[b][i]));
          assert.ok(distance >= 0.05, `${palette.modules[a]} and ${palette.modules[b]}: ${distance}`);
        }
      }
    });

    test(`more, as before and less stay apart, and steps grow (${theme}, ${sight})`, () => {
      const seen = palette.change.map((fill) => look(fill, matrix));
      const distance = (/** @type {number} */ a, /** @type {number} */ b) =>
        Math.hypot(...seen[a].map((value, i) => value - seen[b][i]));
      for (let step = 1; step <= STEPS; step++) {
        assert.ok(distance(STEPS - step, STEPS + step) > 0.03 * step, `step ${step}`);
        for (const side of [-1, 1]) {
          const [near, far] = [step - 1, step].map((of) => distance(STEPS, STEPS + side * of));
          assert.ok(far > near, `step ${step} of ${side}`);
        }
      }
    });
  }
}

test('the image has the same colours', () => {
  const svg = readFileSync(new URL('../../src/format/svg/draw.rs', import.meta.url), 'utf8');
  for (const fill of PALETTES.light.modules) assert.ok(svg.includes(`"${fill}"`), fill);
  assert.equal(MODULE_SLOTS, 5);
});

test('mixing goes from one colour to the other', () => {
  assert.deepEqual([0, 0.5, 1].map((amount) => mix('#000000', '#ff8000', amount)),
    ['#000000', '#804000', '#ff8000']);
});
