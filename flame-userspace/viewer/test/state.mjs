import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeStep } from '../colours.js';
import { escapeXml } from '../export.js';
import { packageOf } from '../names.js';
import { formatState, parseState } from '../state.js';
import { typeMeaning, typeName } from '../types.js';
import { formatChange, formatDelta } from '../units.js';

test('a state comes back from the address', () => {
  const state = { type: 'cpu', order: 'around', of: 'f<a&b> (lib#1)', fold: true, flip: true,
    shares: false, byName: true, lines: true, plain: true, widths: 'new', way: 'self', zoom: 'k3x', search: '^a+b=%$',
    filters: [{ kind: 'focus', text: 'x&y=z' }, { kind: 'label', key: 'thread', text: 'w 1' },
      { kind: 'hide', text: '</script>' }] };
  assert.deepEqual(parseState(formatState(/** @type {any} */ (state))), state);
});

test('no state is no address, and any address is some state', () => {
  const nothing = parseState('');
  assert.equal(formatState(nothing), '');
  for (const hash of ['#', '#&&=%', '#t=%ff%00', `#q=${'x'.repeat(1e5)}`, '#l.=', '#__proto__=1']) {
    assert.deepEqual(parseState(formatState(parseState(hash))), parseState(hash));
  }
});

test('a change is coloured if it is surely one, by its size', () => {
  assert.equal(changeStep(100, 100, 0), 0);
  assert.equal(changeStep(130, 100, 20), 0, 'within two standard errors');
  assert.deepEqual([101, 105, 130, 300].map((now) => changeStep(now, 100, 0)), [0, 1, 2, 3]);
  assert.deepEqual([95, 70, 30].map((now) => changeStep(now, 100, 0)), [-1, -2, -3]);
  assert.deepEqual([changeStep(5, 0, 1), changeStep(0, 5, 1), changeStep(1, 0, 1)], [4, -4, 0]);
});

test('changes are told with their sign', () => {
  assert.deepEqual([[110, 100], [50, 100], [1, 0], [0, 1], [3, 3], [5000, 100]].map(([a, b]) =>
    formatChange(a, b)), ['+10 %', '-50 %', 'new', 'gone', '±0 %', '50×']);
  assert.equal(formatDelta(2e6, 'nanoseconds'), '+2.00 ms');
  assert.equal(formatDelta(-2e6, 'nanoseconds'), '-2.00 ms');
});

test('text stays text in an image', () => {
  assert.equal(escapeXml('<b a="\'&">'), '&#60;b a=&#34;&#39;&#38;&#34;&#62;');
  assert.equal(escapeXml('a\0b\ud800c\uffffd\u{1f525}'), 'a\ufffdb\ufffdc\ufffdd\u{1f525}');
});

test('functions belong to packages', () => {
  const of = (/** @type {string} */ name, file = '', module = 'app') => packageOf(/** @type {any} */ (
    { name: () => name, file: () => file, module: () => module }), 0);
  assert.equal(of('std::vector<int>::push_back(int const&)'), 'std');
  assert.equal(of('<alloc::vec::Vec<T> as core::clone::Clone>::clone'), 'alloc');
  assert.equal(of('net/http.(*conn).serve', '/go/src/net/http/server.go'), 'net/http');
  assert.equal(of('render', '/x/node_modules/@a/b/index.js'), '@a/b');
  assert.equal(of('get', '/usr/lib/python3/dist-packages/requests/api.py'), 'requests');
  assert.equal(of('main', 'main.c', 'gzip'), 'gzip');
});

test('sample types have names and meanings', () => {
  assert.equal(typeName({ kind: 'inuse_space', unit: 'bytes' }), 'in use');
  assert.equal(typeName({ kind: 'cycles', unit: 'count' }), 'cycles');
  assert.equal(typeName({ kind: 'constructor', unit: 'x' }), 'constructor (x)');
  assert.match(typeMeaning({ kind: 'alloc_space', unit: 'bytes' }), /allocated/);
  assert.equal(typeMeaning({ kind: 'cycles', unit: 'count' }), '');
});
