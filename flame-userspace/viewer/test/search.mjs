import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFrames, heaviestMatch, parseSearch, quoted } from '../search.js';
import { viewOf } from './query.mjs';

const view = viewOf([
  [1, 'main', [1]],
  [2, 'parse_value', [2]],
  [3, 'parse_value', [4]],
  [3, 'copy', [8], 'libc.so.6'],
  [2, 'write', [16], '[kernel]'],
]);
const { frames } = view.model;

const matched = (/** @type {string} */ text, root = 0) => {
  const parsed = parseSearch(text);
  return parsed && view.matched(root, 0, 0, findFrames(frames, parsed.expression));
};

test('each stack counts once however many of its frames match', () => {
  assert.equal(matched('parse'), 14);
  assert.equal(matched('parse|copy'), 14);
  assert.equal(matched('.'), 31);
  assert.equal(matched('nothing'), 0);
  assert.equal(matched(''), undefined);
});

test('modules are found, the root is not', () => {
  assert.equal(matched('libc'), 8);
  assert.equal(matched('kernel'), 16);
  assert.equal(matched('^all$'), 0);
});

test('the heaviest match is found below the zoomed frame', () => {
  const found = (/** @type {string} */ text) => findFrames(frames, new RegExp(text));
  assert.equal(heaviestMatch(view, 0, 0, found('parse')), 2);
  assert.equal(heaviestMatch(view, 0, 3, found('parse')), 3);
  assert.equal(heaviestMatch(view, 0, 0, found('nothing')), undefined);
});

test('under a matching caller everything matches', () => {
  assert.equal(matched('^main$', 2), 14);
  assert.equal(matched('copy', 2), 8);
});

test('capitals make case count, and what is no expression is plain text', () => {
  assert.equal(matched('PARSE'), 0);
  assert.equal(parseSearch('Parse')?.expression.test('parse'), false);
  assert.deepEqual(parseSearch('operator(')?.plain, true);
  assert.equal(parseSearch('operator(')?.expression.test('operator()'), true);
  assert.equal(parseSearch('a.c', true)?.expression.test('abc'), false);
  assert.equal(parseSearch('a.c', true)?.expression.test('a.c'), true);
  const odd = 'a.b*[c](d)|{e}^$\\?+/';
  assert.equal(new RegExp(`^${quoted(odd)}$`).test(odd), true);
});
