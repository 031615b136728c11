import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../decode.js';
import { Model } from '../model.js';
import { findFrames } from '../search.js';
import { makeBlock } from './block.mjs';
import { viewOf } from './query.mjs';

/** Two instances of a generic function, or one of each of two modules, each with a callee. */
const NODES = [
  [1, 'main', [0]],
  [2, 'memcpy', [5], 'libc'],
  [3, 'copy', [1]],
  [2, 'other', [4]],
  [2, 'memcpy', [3], 'lib'],
  [3, 'copy', [1]],
  [3, 'copy', [1], 'lib'],
  [1, 'memcpy', [2], 'libc'],
];

test('callees of one name have paths of their own', () => {
  for (const changes of [{}, { order: 'up' }, { fold: true }, { order: 'around', of: 2 }, { order: 'around', of: 3 }]) {
    const view = viewOf(NODES, changes);
    for (let node = 1; node < view.tree.count; node++) {
      assert.equal(view.nodeOfHash(view.pathHash(node)), node, `${JSON.stringify(changes)} ${node}`);
    }
  }
});

test('the first of a name has the path that it has alone', () => {
  assert.equal(viewOf(NODES).pathHash(3), viewOf(NODES.slice(0, 3)).pathHash(3));
});

test('a function that is called as the root or a process is a function', () => {
  const block = makeBlock([[1, 'sh', [1], ''], [2, 'all', [2], ''], [3, 'sh', [4], 'sh']]);
  const columns = decode(block);
  assert.equal(new Model(columns).frames.functions.length, 4);
  const view = viewOf([[1, 'all', [5], '']]);
  assert.equal(view.matched(0, 0, 0, findFrames(view.model.frames, /^all$/)), 5);
  // Frame 3 becomes a process that has no module, as functions of no known module have.
  columns.frameKinds[3] = 1;
  columns.frameModules[3] = columns.frameModules[1];
  const { frames } = new Model(columns);
  assert.deepEqual(frames.functions.map((frame) => [frames.name(frame), frames.side(frame)]),
    [['all', 'root'], ['sh', 'user'], ['all', 'user'], ['sh', 'process']]);
  assert.deepEqual([...findFrames(frames, /^sh$/)], [0, 1, 0, 0], 'the function comes first');
  assert.deepEqual([...findFrames(frames, /^sh/)], [0, 1, 0, 1]);
});
