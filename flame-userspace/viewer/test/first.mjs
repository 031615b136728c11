import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstCards } from '../first.js';
import { caveats } from '../tooltip.js';
import { viewOf } from './query.mjs';

const cards = (/** @type {any} */ view) => firstCards(view, 0, () =>
  view.functions(0, 0).slice(1).map((/** @type {any} */ row) => ({ ...row, before: 0 })));

test('the heaviest functions come first, with their shares', () => {
  const { title, cards: found } = cards(viewOf([[1, 'main', [10]], [2, 'f', [90]]]));
  assert.equal(title, 'Look here first');
  assert.deepEqual(found.map(({ figure, part }) => [figure, part]), [['90.0 %', 0.9], ['10.0 %', 0.1]]);
});

test('where values below zero leave no whole there are no shares, and bars compare', () => {
  const { title, cards: found } = cards(viewOf([[1, 'a', [500]], [1, 'b', [-700]], [1, 'c', [100]]]));
  assert.equal(title, 'Look here first');
  assert.deepEqual(found.map(({ figure, part }) => [figure, part]), [['-', 1], ['-', 0.2]]);
  const none = cards(viewOf([[1, 'a', [0]], [1, 'b', [-700]]]));
  assert.deepEqual(none.cards, [], 'nor is there a path on which half of it lies');
});

test('no bar is longer than its place', () => {
  const { cards: found } = cards(viewOf([[1, 'a', [500]], [1, 'b', [-400]]]));
  assert.deepEqual(found.map(({ part }) => part), [1]);
});

test('that values cancel out is told where nothing can be drawn', () => {
  const nodes = [[1, 'a', [500]], [1, 'b', [-700]], [1, 'c', [0]]];
  const told = (/** @type {any} */ of, changes = {}) => caveats(viewOf(of, changes), 0);
  assert.match(told(nodes)[0], /below zero/);
  assert.match(told([[1, 'a', [5]], [2, 'b', [-5]]])[0], /below zero/);
  for (const text of ['^a$', '^c$']) {
    assert.deepEqual(told(nodes, { filters: [{ kind: 'focus', text }] }), [], text);
  }
  assert.deepEqual(told([[1, 'a', [0]]]), []);
  assert.deepEqual(told([[1, 'a', [5]], [1, 'b', [-4]]]), []);
});
