import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MOST_CALLERS, reshape, surround, turn } from '../shape.js';
import { caveats } from '../tooltip.js';
import { Tree } from '../tree.js';

/**
 * A tree of frames at levels, in pre-order after the root.
 * @param {[number, number][]} nodes the level and frame of each
 */
function treeOf(nodes) {
  const all = [[0, 0], ...nodes];
  const parent = new Int32Array(all.length).fill(-1);
  const end = new Uint32Array(all.length);
  /** @type {number[]} */
  const path = [];
  all.forEach(([level], node) => {
    while (path.length > level) end[/** @type {number} */ (path.pop())] = node;
    parent[node] = path[path.length - 1] ?? -1;
    path.push(node);
  });
  for (const node of path) end[node] = all.length;
  return new Tree(Uint32Array.from(all, ([, frame]) => frame), parent,
    Uint32Array.from(all, ([level]) => level), end);
}

/** Each node's caller is the one before; all are of functions of their own. */
const chain = (/** @type {number} */ length) =>
  treeOf(Array.from({ length }, (_, at) => /** @type {[number, number]} */ ([at + 1, at + 1])));

/** Each frame is a function. */
const own = (/** @type {{count: number}} */ { count }) => Uint32Array.from({ length: count }, (_, frame) => frame);

/** Trees that are as irregular as can be, of few functions, always the same. */
function* odd() {
  let state = 1;
  const below = (/** @type {number} */ most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
  for (let round = 0; round < 200; round++) {
    let level = 0;
    yield treeOf(Array.from({ length: 40 }, () => {
      level = 1 + below(level + 1);
      return [level, 1 + below(6)];
    }));
  }
}

/** The frames from the root to a node. */
function framesTo(/** @type {Tree} */ tree, /** @type {number} */ node) {
  const frames = [];
  for (let at = node; at > 0; at = tree.parent[at]) frames.push(tree.frameOf[at]);
  return frames.reverse();
}

/** How many nodes have a path of their own that leads to one of these. */
const distinct = (/** @type {number[][]} */ paths) => new Set(['', ...paths.flatMap((path) =>
  path.map((_, at) => path.slice(0, at + 1).join()))]).size;

test('what recurs folds into the outermost frame on the folded path', () => {
  const hidden = Uint8Array.of(0, 0, 0, 0, 0, 0, 1);
  for (const tree of odd()) {
    /** @type {number[][]} */
    const wanted = [[]];
    for (let node = 1; node < tree.count; node++) {
      const above = wanted[tree.parent[node]];
      const frame = tree.frameOf[node];
      const outer = above.indexOf(frame);
      wanted.push(hidden[frame] ? above : outer < 0 ? [...above, frame] : above.slice(0, outer + 1));
    }
    const { tree: made, ends: [ends] } = reshape(tree, own({ count: 7 }), hidden, true);
    assert.deepEqual([...ends].map((node) => framesTo(made, node)), wanted);
    assert.equal(made.count, distinct(wanted));
  }
});

test('folding takes no longer where stacks are deep', () => {
  const tree = chain(200_000);
  const start = performance.now();
  assert.equal(reshape(tree, own(tree), undefined, true).tree.count, tree.count);
  assert.ok(performance.now() - start < 5000, `${performance.now() - start} ms`);
});

test('turned round, each stack that ends has its frames from the innermost on', () => {
  for (const tree of odd()) {
    const ending = Uint8Array.from({ length: tree.count }, (_, node) => node % 3 === 1 ? 1 : 0);
    const all = own({ count: 7 });
    const { tree: made, ends: [ends], cut } = turn(tree, all, all, ending);
    const wanted = [...ends].map((_, node) => (ending[node] ? framesTo(tree, node).reverse() : []));
    assert.deepEqual([...ends].map((node) => framesTo(made, node)), wanted);
    assert.equal(made.count, distinct(wanted));
    assert.equal(cut, false);
  }
});

test('turned round, the outermost frames are left out where they are too many', () => {
  const tree = chain(30_000);
  const { tree: made, ends: [ends], cut } = turn(tree, own(tree), own(tree), new Uint8Array(tree.count).fill(1));
  assert.ok(cut);
  assert.equal(made.count, MOST_CALLERS + 1);
  assert.equal(made.children(0).length, 30_000, 'no function is left out');
  // All stacks have as many of their frames, or one fewer.
  const levels = ends.subarray(1_000).map((node) => made.level[node]);
  assert.ok(Math.max(...levels) - Math.min(...levels) <= 1);
  assert.deepEqual(framesTo(made, ends[20_000]).slice(0, 100),
    Array.from({ length: 100 }, (_, at) => 20_000 - at));
  const values = new Float64Array(made.count);
  for (const node of ends) values[node]++;
  assert.equal(made.addUp(values)[0], tree.count, 'no sample is left out');
});

test('frames that are passed again and again are bounded too', () => {
  const length = 30_000;
  const tree = chain(length);
  const same = new Uint32Array(tree.count).fill(1);
  same[0] = 0;
  const { tree: made, cut } = turn(tree, same, [0, 1], new Uint8Array(tree.count).fill(1));
  assert.ok(cut && made.count < length, String(made.count));
});

test('around a function the outermost callers are left out where they are too many', () => {
  const [length, of] = [10_000, 10_001];
  // Each function of a chain calls the same one besides the next.
  const tree = treeOf(Array.from({ length }, (_, at) =>
    /** @type {[number, number][]} */ ([[at + 1, at + 1], [at + 2, of]])).flat());
  const all = own({ count: of + 1 });
  const { tree: made, cut } = surround(tree, all, all, of);
  assert.ok(cut);
  assert.equal(made.count, MOST_CALLERS + 1);
  assert.equal(made.children(0, true).length, length);
});

test('the page says that callers are left out', () => {
  const view = { model: { values: [Float64Array.of(1)] }, widths: () => Float64Array.of(1), cut: true };
  assert.match(caveats(/** @type {any} */ (view), 0).join(), /outermost are left out/);
});
