import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NARROWEST, boxAt, layOut } from '../layout.js';
import { viewOf } from './query.mjs';

test('callees lie within their caller from left to right', () => {
  const rows = layOut(viewOf([[1, 'a', [0]], [2, 'b', [60]], [2, 'c', [20]], [1, 'd', [20]]]), 0, 0, 1000).rows;
  assert.deepEqual(rows, [
    { x: [0], width: [1000], node: [0] },
    { x: [0, 800], width: [800, 200], node: [1, 4] },
    { x: [0, 600], width: [600, 200], node: [2, 3] },
  ]);
});

test('neighbours stand by name if asked to, and as wide as before', () => {
  const view = viewOf([[1, 'b', [60]], [1, 'c', [30]], [1, 'a', [10]]]);
  const [, row] = layOut(view, 0, 0, 1000, true).rows;
  assert.deepEqual(row, { x: [0, 100, 700], width: [100, 600, 300], node: [3, 1, 2] });
});

test('a zoomed frame takes the full width, below its callers', () => {
  const rows = layOut(viewOf([[1, 'a', [0]], [2, 'b', [60]], [2, 'c', [20]], [1, 'd', [20]]]), 0, 3, 1000).rows;
  assert.deepEqual(rows.map((row) => [row.node, row.width]), [[[0], [1000]], [[1], [1000]], [[3], [1000]]]);
});

test('frames too narrow to draw become one box of their caller', () => {
  const leaves = Array.from({ length: 1000 }, (_, i) => [2, `leaf${i}`, [1]]);
  const rows = layOut(viewOf([[1, 'a', [9000]], ...leaves]), 0, 0, 1000).rows;
  assert.deepEqual(rows[2].node, [-1 - 1]);
  assert.ok(Math.abs(rows[2].width[0] - 100) < 1e-6);
});

test('what is drawn is bounded by the width, not by the tree', () => {
  const nodes = [];
  for (let i = 0; i < 20000; i++) nodes.push([1, `a${i}`, [0]], [2, `b${i}`, [20000 - i]]);
  const rows = layOut(viewOf(nodes), 0, 0, 500).rows;
  const boxes = rows.reduce((sum, row) => sum + row.x.length, 0);
  assert.ok(boxes < (3 * 500) / NARROWEST, `${boxes} boxes`);
});

test('no value and negative values draw nothing outside', () => {
  assert.equal(layOut(viewOf([[1, 'a', [0]]]), 0, 0, 100).rows.length, 1);
  const rows = layOut(viewOf([[1, 'a', [500]], [1, 'b', [-400]], [1, 'c', [-10]]]), 0, 0, 100).rows;
  for (const row of rows) {
    row.x.forEach((x, at) => assert.ok(x >= 0 && x + row.width[at] <= 100.001));
  }
});

test('a point finds the box that covers it', () => {
  const row = { x: [0, 10, 30], width: [10, 10, 5], node: [1, 2, 3] };
  assert.deepEqual([-1, 0, 9.9, 10, 20, 29, 30, 34.9, 35].map((x) => boxAt(row, x)),
    [undefined, 0, 0, 1, undefined, undefined, 2, 2, undefined]);
  assert.equal(boxAt(undefined, 3), undefined);
});

test('callers stand above the function that the view is around', () => {
  const nodes = [[1, 'a', [0]], [2, 'f', [10]], [3, 'g', [30]], [1, 'b', [0]], [2, 'f', [60]]];
  const view = viewOf(nodes, { order: 'around', of: 2 });
  assert.equal(view.name(0), 'f');
  const { rows, base } = layOut(view, 0, 0, 1000);
  const texts = rows.map((row) => row.node.map((node) => view.name(node)));
  assert.deepEqual(texts, [['b', 'a'], ['f'], ['g']]);
  assert.equal(base, 1);
  assert.deepEqual(rows.map((row) => row.width), [[600, 400], [1000], [300]]);
  const caller = rows[0].node[1];
  const zoomed = layOut(view, 0, caller, 1000);
  assert.deepEqual(zoomed.rows.map((row) => row.node.map((node) => view.name(node))), [['a'], ['f']]);
  assert.equal(zoomed.base, 1);
});
