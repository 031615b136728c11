import assert from 'node:assert/strict';
import { test } from 'node:test';
import { colouring } from '../colours.js';
import { viewOf } from './query.mjs';

/** app allocates and runs on the CPU; lib runs alone. */
const NODES = [
  [1, 'main', [1, 5], 'app', ''],
  [2, 'f', [9, 0], 'lib', ''],
];
const TYPES = { types: [{ kind: 'cpu', unit: 'nanoseconds' }, { kind: 'alloc', unit: 'bytes' }] };
const legend = (/** @type {number} */ type, changes = {}) =>
  colouring(viewOf(NODES, changes, TYPES), type, 'module').legend.map(({ name }) => name);

test('the legend has the modules that are shown, and no others', () => {
  assert.deepEqual(legend(0), ['app', 'lib']);
  assert.deepEqual(legend(1), ['app']);
  assert.deepEqual(legend(0, { filters: [{ kind: 'drop', text: '^f$' }] }), ['app']);
});

test('a module keeps its colour whatever is shown', () => {
  const slots = [0, 1].map((type) => {
    const view = viewOf(NODES, {}, TYPES);
    const { slot } = colouring(view, type, 'module');
    return view.model.tree.frameOf.map((/** @type {number} */ frame, /** @type {number} */ node) =>
      slot(frame, node));
  });
  assert.deepEqual(slots[0], slots[1]);
});
