import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFrames, heaviestMatch, parseSearch, quoted } from '../search.js';
import { matchedText } from '../tooltip.js';
import { paths, viewOf } from './query.mjs';

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

test('a whole name is that of a function, in its own case; of a module where there is none', () => {
  const nodes = [[1, 'main', [1], 'main'], [2, 'Run', [2], 'main'], [3, 'run', [4], 'main'],
    [1, '[kernel]', [8], '[kernel]'], [2, 'read', [16], '[kernel]']];
  const of = (/** @type {any} */ changes) => viewOf(nodes, changes);
  const names = (/** @type {string} */ text) => {
    const { frames: all } = of({}).model;
    const parsed = parseSearch(text);
    const found = parsed && findFrames(all, parsed.expression);
    return all.functions.filter((frame) => found?.[frame]).map((frame) => all.name(frame));
  };
  const whole = (/** @type {string} */ name) => `^${quoted(name)}$`;
  assert.deepEqual(names(whole('main')), ['main']);
  assert.deepEqual(names(whole('run')), ['run']);
  assert.deepEqual(names(whole('[kernel]')), ['[kernel]']);
  assert.deepEqual(names('main'), ['main', 'Run', 'run']);
  assert.deepEqual(names('RUN'), []);
  assert.deepEqual(names('^run'), ['Run', 'run']);
  const hidden = of({ filters: [{ kind: 'hide', text: whole('main') }] });
  assert.deepEqual(paths(hidden), [' 31', 'Run 6', 'Run/run 4', '[kernel] 24', '[kernel]/read 16']);
  assert.equal(matched('^libc\\.so\\.6$'), 8, 'no function is called so');
  assert.equal(parseSearch('^cost\\$')?.expression.flags, 'i', 'the dollar is a part of the text');
  assert.equal(parseSearch(whole('cost$'))?.expression.flags, '');
  assert.equal(parseSearch('^run$', true)?.expression.flags, 'i');
});

test('what has no width is no match to zoom to', () => {
  const types = [{ kind: 'cpu', unit: 'nanoseconds' }, { kind: 'alloc', unit: 'bytes' }];
  const only = viewOf([[1, 'parse', [1, 0]], [1, 'main', [0, 1]]], {}, { types });
  const found = findFrames(only.model.frames, /parse/);
  assert.equal(heaviestMatch(only, 0, 0, found), 1);
  assert.equal(heaviestMatch(only, 1, 0, found), undefined);
});

test('what matches is told in words, of a difference on both sides', () => {
  const found = (/** @type {any} */ of, /** @type {RegExp} */ expression) =>
    findFrames(of.model.frames, expression);
  assert.equal(matchedText(view, 0, 0, found(view, /parse/)), '45.2 % matched (14)');
  assert.equal(matchedText(view, 0, 2, found(view, /copy/)), '25.8 % matched (8), 57.1 % of zoomed');
  const diff = viewOf([[1, 'gone', [0]], [1, 'stays', [6]]], {}, { base: [[2], [2]] });
  assert.equal(matchedText(diff, 0, 0, found(diff, /gone/)),
    'new 0 %, base 50.0 % matched (new 0, base 2)');
  assert.equal(matchedText(diff, 0, 1, found(diff, /gone/)),
    'new 0 %, base 50.0 % matched (new 0, base 2), new 0 %, base 100.0 % of zoomed');
});
