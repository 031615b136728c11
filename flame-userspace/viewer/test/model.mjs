import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../decode.js';
import { Model } from '../model.js';
import { makeBlock } from './block.mjs';
import { paths, viewOf } from './query.mjs';

const TWO = { types: [{ kind: 'cpu', unit: 'nanoseconds' }, { kind: 'alloc', unit: 'bytes' }] };

/** main calls f, which calls itself; and g, which is light on the CPU and allocates much. */
const NODES = [
  [1, 'main:7', [1, 0], 'app', 'thread=one'],
  [2, 'f', [2, 1], 'app', 'thread=one'],
  [3, 'f', [4, 1], 'app', 'thread=two'],
  [2, 'g', [1, 90], 'lib', 'thread=two'],
  [1, 'main2', [3, 0], 'app', 'thread=one'],
];
const example = (/** @type {any} */ changes) => viewOf(NODES, changes, TWO);
const functions = (/** @type {any} */ view, node = 0, type = 0) =>
  view.functions(node, type).filter((/** @type {any} */ row) => row.total)
    .map((/** @type {any} */ row) => [view.model.frames.name(row.frame), row.self, row.total])
    .filter(([name]) => name !== 'all');

test('nodes know their callers, levels and where they end', () => {
  const { tree, model } = example({});
  assert.deepEqual([...tree.parent], [-1, 0, 1, 2, 1, 0]);
  assert.deepEqual([...tree.level], [0, 1, 2, 3, 2, 1]);
  assert.deepEqual([...tree.end], [6, 5, 4, 4, 5, 6]);
  assert.equal(model.line(1), 7);
  assert.equal(model.frames.path(tree.frameOf[1]), '/lib/app');
});

test('totals are the sums of what is below', () => {
  assert.deepEqual([...example({}).totals(0)], [11, 8, 6, 4, 1, 3]);
  assert.deepEqual([...example({}).totals(1)], [92, 92, 2, 1, 90, 0]);
});

test('callees stand heaviest first for every sample type', () => {
  assert.deepEqual(example({}).children(1, 0), [2, 4]);
  assert.deepEqual(example({}).children(1, 1), [4, 2]);
});

test('a recursive function counts once a stack', () => {
  assert.deepEqual(functions(example({})),
    [['main', 1, 8], ['f', 6, 6], ['g', 1, 1], ['main2', 3, 3]]);
});

test('the functions of a subtree are those in it alone', () => {
  assert.deepEqual(functions(example({}), 2), [['f', 6, 6]]);
});

test('source lines count once a stack too', () => {
  const view = viewOf([[1, 'f:7', [1]], [2, 'g:3', [2]], [3, 'f:7', [4]], [2, 'h', [8]]], {});
  const lines = view.lines(0, 0).slice(1).map(({ line, self, total }) => [line, self, total]);
  assert.deepEqual(lines, [[7, 5, 15], [3, 2, 6]]);
});

test('samples at other lines of a function than its node count there', () => {
  const nodes = [[1, 'main:3', [1]], [2, 'hot:10', [60]], [3, 'leaf:7', [2]]];
  // hot at another line, called from another of main's; and leaf called from there.
  const again = [[2, [40], [[0, 20], [1, 4]]], [3, [8], [[1, 20]]]];
  const of = (/** @type {any} */ changes, node = 0) => viewOf(nodes, changes, { again }).lines(node, 0)
    .filter(({ line, total }) => line > 0 && total > 0)
    .map(({ line, self, total }) => [line, self, total]).sort(([a], [b]) => a - b);
  const all = [[3, 1, 71], [4, 0, 40], [7, 10, 10], [10, 60, 62], [20, 40, 48]];
  assert.deepEqual(of({}), all);
  assert.deepEqual(of({ order: 'up' }), all);
  assert.deepEqual(of({}, 2), [[7, 10, 10], [10, 60, 62], [20, 40, 48]], 'callers of a zoomed frame are left out');
  const hidden = { filters: [{ kind: 'hide', text: '^hot$' }] };
  assert.deepEqual(of(hidden), [[3, 61, 71], [4, 40, 40], [7, 10, 10]]);
  const none = { filters: [{ kind: 'ignore', text: '^leaf$' }] };
  assert.deepEqual(of(none), [[3, 1, 61], [4, 0, 40], [10, 60, 60], [20, 40, 40]]);
});

test('recursion folds into the first frame', () => {
  assert.deepEqual(paths(example({ fold: true })), [' 11', 'main 8', 'main/f 6', 'main/g 1', 'main2 3']);
  const mutual = viewOf([[1, 'a', [1]], [2, 'b', [1]], [3, 'a', [1]], [4, 'c', [1]]], { fold: true });
  assert.deepEqual(paths(mutual), [' 4', 'a 4', 'a/b 1', 'a/c 1']);
});

test('hidden frames leave their callees to their callers', () => {
  const view = example({ filters: [{ kind: 'hide', text: '^main$' }] });
  assert.deepEqual(paths(view), [' 11', 'f 6', 'f/f 4', 'g 1', 'main2 3']);
  assert.equal(view.own(0)[0], 1, 'what main did itself is left to the root');
  assert.deepEqual(functions(view), [['f', 6, 6], ['g', 1, 1], ['main2', 3, 3]]);
});

test('focus keeps and ignore drops the stacks that hold a function', () => {
  const only = (/** @type {any[]} */ ...filters) => example({ filters }).totals(0)[0];
  assert.equal(only({ kind: 'focus', text: '^f$' }), 6);
  assert.equal(only({ kind: 'ignore', text: '^f$' }), 5);
  assert.equal(only({ kind: 'focus', text: '^main$' }, { kind: 'ignore', text: '^g$' }), 7);
  assert.equal(only({ kind: 'focus', text: 'lib' }), 1, 'modules are found too');
  assert.equal(only({ kind: 'focus', text: 'nothing' }), 0);
});

test('labels pick samples; values of one key are alternatives', () => {
  const label = (/** @type {string} */ text) => ({ kind: 'label', key: 'thread', text });
  assert.equal(example({ filters: [label('two')] }).totals(0)[0], 5);
  assert.equal(example({ filters: [label('one'), label('two')] }).totals(0)[0], 11);
  assert.equal(example({ filters: [label('none')] }).totals(0)[0], 0);
});

test('callees first begins with the innermost functions', () => {
  const view = example({ order: 'up' });
  const expected = [' 11', 'main 1', 'f 6', 'f/main 2', 'f/f 4', 'f/f/main 4', 'g 1', 'g/main 1', 'main2 3'];
  assert.deepEqual(paths(view).sort(), expected.sort());
  assert.deepEqual(functions(view), [['main', 1, 8], ['f', 6, 6], ['g', 1, 1], ['main2', 3, 3]]);
  assert.equal(view.hasOwn(1), false);
});

test('around a function stand its callees and its callers, each sample once', () => {
  const { model } = example({});
  const of = model.frames.functions.findIndex((frame) => model.frames.name(frame) === 'f');
  const view = example({ order: 'around', of });
  assert.deepEqual(paths(view), [' 6', 'f 4', '^main 6']);
  assert.deepEqual(functions(view), [['main', 0, 6], ['f', 6, 6]]);
  assert.equal(view.own(0)[0], 2);
});

test('a search counts each sample once, wherever it looks', () => {
  const view = example({});
  const found = new Uint8Array(view.model.frames.count);
  view.model.frames.functions.forEach((frame) => { if (view.model.frames.name(frame) === 'f') found[frame] = 1; });
  assert.equal(view.matched(0, 0, 0, found), 6);
  assert.equal(view.matched(3, 0, 0, found), 4);
  assert.equal(view.matched(4, 0, 0, found), 0);
  assert.equal(example({ order: 'up' }).matched(0, 0, 0, found), 6);
});

test('path hashes find their nodes again', () => {
  for (const changes of [{}, { order: 'up' }, { fold: true }, { order: 'around', of: 2 }]) {
    const view = example(changes);
    for (let node = 1; node < view.tree.count; node++) {
      assert.equal(view.nodeOfHash(view.pathHash(node)), node);
    }
    assert.equal(view.nodeOfHash('zzz'), undefined);
    assert.equal(view.nodeOfHash('!'), undefined);
  }
});

test('a difference has the values of both sides', () => {
  const nodes = [[1, 'a', [0]], [2, 'gone', [0]], [2, 'kept', [6]], [2, 'new', [5]]];
  const base = [[0], [4], [3], [0]];
  const view = viewOf(nodes, {}, { base, ratio: 2 });
  assert.deepEqual([...view.totals(0, 0)], [11, 11, 0, 6, 5]);
  assert.deepEqual([...view.totals(0, 1)], [14, 14, 8, 6, 0]);
  assert.deepEqual([...view.widths(0)], [25, 25, 8, 12, 5]);
  assert.deepEqual([...viewOf(nodes, { widths: 'new' }, { base }).widths(0)], [11, 11, 0, 6, 5]);
  const shares = viewOf(nodes, { shares: true }, { base });
  assert.ok(Math.abs(shares.totals(0, 1)[0] - 11) < 1e-9, 'both have the same whole');
});

test('the standard error of samples of a clock is that of counting', () => {
  const types = [{ kind: 'samples', unit: 'count' }, { kind: 'cpu', unit: 'nanoseconds' }];
  const view = viewOf([[1, 'a', [36, 360]], [1, 'b', [64, 640]]], {}, { types });
  assert.deepEqual([...view.errors(0) ?? []], [10, 6, 8]);
  assert.deepEqual([...view.errors(1) ?? []], [100, 60, 80]);
  assert.equal(viewOf([[1, 'a', [1]]], {}, { types: [{ kind: 'faults', unit: 'count' }] }).errors(0), undefined);
});

test('the standard error of a sampled heap comes from its period', () => {
  const types = [{ kind: 'inuse_objects', unit: 'count' }, { kind: 'inuse_space', unit: 'bytes' }];
  const period = { kind: 'space', unit: 'bytes', value: 1000 };
  const view = viewOf([[1, 'large', [4, 400_000]], [1, 'small', [1000, 10_000]]], {}, { types, period });
  const [, large, small] = view.errors(1) ?? [];
  assert.ok(large < 1e-6, 'what is much larger than the period is never missed');
  // About ten samples of a thousand bytes each.
  assert.ok(Math.abs(small - Math.sqrt(10) * 1000) < 30, String(small));
  assert.equal(viewOf([[1, 'a', [1, 1]]], {}, { types }).errors(1), undefined);
  assert.deepEqual(view.model.heapPair(1), { bytes: 1, objects: 0 });
});

test('a node that hangs on nothing is refused', () => {
  assert.throws(() => new Model(decode(makeBlock([[1, 'a', [1]], [0, 'b', [1]]]))));
});
