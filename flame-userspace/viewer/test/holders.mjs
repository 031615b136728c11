import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holders } from '../holders.js';
import { viewOf } from './query.mjs';

const held = (/** @type {any} */ nodes, /** @type {any} */ changes = {}) => {
  const view = viewOf(nodes, changes);
  const { frames } = view.model;
  return holders(view, 0).filter(({ value }) => value).map(({ frame, value, through }) =>
    [frames.name(frame), value, frames.name(through)]);
};

test('what allocators and libraries ask for is their caller\'s', () => {
  assert.deepEqual(held([
    [1, 'main', [1]],
    [2, 'put', [0]],
    [3, 'vector::push', [2], 'libc'],
    [4, 'xmalloc', [8], 'libc'],
    [2, 'get', [4]],
  ]), [['main', 1, 'main'], ['put', 10, 'xmalloc'], ['get', 4, 'get']]);
});

test('what an allocator calls without a name is a part of it', () => {
  assert.deepEqual(held([
    [1, 'main', [0]],
    [2, 'build', [0]],
    [3, 'palloc', [1], 'alloc'],
    [4, '[app+0x10]', [0]],
    [5, '[app+0x20]', [8]],
    [2, 'qsort', [0], 'libc'],
    [3, '[app+0x30]', [4]],
  ]), [['build', 9, '[app+0x20]'], ['[app+0x30]', 4, '[app+0x30]']]);
});

test('what nobody else asked for is the library\'s own', () => {
  assert.deepEqual(held([[1, 'start', [1], 'libc'], [2, 'malloc', [2], 'libc']]), [['start', 3, 'malloc']]);
});

test('what a filter leaves out is nobody\'s', () => {
  const nodes = [[1, 'a', [0]], [2, 'malloc', [2], 'libc'], [1, 'b', [0]], [2, 'malloc', [3], 'libc']];
  assert.deepEqual(held(nodes, { filters: [{ kind: 'focus', text: '^b$' }] }), [['b', 3, 'malloc']]);
});
