import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../decode.js';
import { Model } from '../model.js';
import { makeBlock } from './block.mjs';

const TWO = { types: [{ kind: 'cpu', unit: 'nanoseconds' }, { kind: 'alloc', unit: 'bytes' }] };

/** main calls f, which calls itself; and g, which is light on the CPU and allocates much. */
function example() {
  return new Model(decode(makeBlock([
    [1, 'main:7', [1, 0]],
    [2, 'f', [2, 1]],
    [3, 'f', [4, 1]],
    [2, 'g', [1, 90]],
    [1, 'main2', [3, 0]],
  ], TWO)));
}

test('nodes know their callers, levels and where they end', () => {
  const model = example();
  assert.deepEqual([...model.parent], [-1, 0, 1, 2, 1, 0]);
  assert.deepEqual([...model.level], [0, 1, 2, 3, 2, 1]);
  assert.deepEqual([...model.end], [6, 5, 4, 4, 5, 6]);
  assert.equal(model.line(1), 7);
  assert.equal(model.name(1), 'main');
});

test('totals are the sums of what is below', () => {
  const model = example();
  assert.deepEqual([...model.total(0)], [11, 8, 6, 4, 1, 3]);
  assert.deepEqual([...model.total(1)], [92, 92, 2, 1, 90, 0]);
});

test('callees stand heaviest first for every sample type', () => {
  const model = example();
  assert.deepEqual(model.children(1, 0), [2, 4]);
  assert.deepEqual(model.children(1, 1), [4, 2]);
});

test('a recursive function counts once a stack', () => {
  const model = example();
  const rows = model.functions(0, 0).map((row) => [model.frames.name(row.frame), row.self, row.total]);
  assert.deepEqual(rows, [['main', 1, 8], ['f', 6, 6], ['g', 1, 1], ['main2', 3, 3]]);
});

test('the functions of a subtree are those in it alone', () => {
  const model = example();
  const rows = model.functions(2, 0).map((row) => [model.frames.name(row.frame), row.self, row.total]);
  assert.deepEqual(rows, [['f', 6, 6]]);
});

test('a node that hangs on nothing is refused', () => {
  assert.throws(() => new Model(decode(makeBlock([[1, 'a', [1]], [0, 'b', [1]]]))));
});
