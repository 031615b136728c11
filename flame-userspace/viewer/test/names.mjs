import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameForms, shortName } from '../names.js';
import { formatCount, formatShare, formatValue } from '../units.js';

test('names have shorter forms', () => {
  assert.deepEqual(nameForms('ns::Vec<std::pair<int, int> >::push(int const&) const'),
    ['ns::Vec<std::pair<int, int> >::push(int const&) const', 'ns::Vec::push', 'Vec::push', 'push']);
  assert.deepEqual(nameForms('<alloc::vec::Vec<T> as core::iter::FromIterator<I>>::from_iter'),
    ['<alloc::vec::Vec<T> as core::iter::FromIterator<I>>::from_iter',
      'alloc::vec::Vec::from_iter', 'Vec::from_iter', 'from_iter']);
  assert.equal(nameForms('void acme::run<int>(int) [clone .cold]')[1], 'acme::run');
  assert.equal(nameForms('a::(anonymous namespace)::f(int)')[1], 'a::f');
  assert.equal(nameForms('core::ops::FnOnce<fn() -> T>::call_once')[1], 'core::ops::FnOnce::call_once');
  assert.equal(nameForms('tokio::run::{{closure}}').at(-1), '{{closure}}');
});

test('other names are left as they are', () => {
  for (const name of ['main', '', '[libc.so.6+0x12]', 'operator<', 'a::operator()(int)', 'f((((',
    '<<<<<', '::::::', '</script><script>alert(1)</script>', 'x::'.repeat(5000)]) {
    assert.deepEqual(nameForms(name), [name]);
  }
});

test('headings are short', () => {
  assert.equal(shortName('main'), 'main');
  assert.equal(shortName(`a::${'long<int>::'.repeat(20)}f(int)`), 'long::f');
  assert.equal(shortName('x'.repeat(100)), `${'x'.repeat(60)}…`);
});

test('values are shown as in the reports', () => {
  assert.equal(formatValue(1_250_000_000, 'nanoseconds'), '1.25 s');
  assert.equal(formatValue(999, 'nanoseconds'), '999 ns');
  assert.equal(formatValue(1024, 'bytes'), '1.00 KiB');
  assert.equal(formatValue(0, 'bytes'), '0 B');
  assert.equal(formatValue(-1_234_567, 'count'), '-1,234,567');
  assert.equal(formatValue(1000, 'watts'), '1,000 watts');
  assert.equal(formatValue(3, 'constructor'), '3 constructor');
  assert.equal(formatCount(123456), '123,456');
  assert.equal(formatShare(1, 3), '33.3 %');
  assert.equal(formatShare(1, 1e6), '< 0.01 %');
  assert.equal(formatShare(0, 0), '0 %');
  assert.deepEqual([[1, 0], [5, -5], [-5, -5], [0, -5], [-1, 4]].map(([part, whole]) => formatShare(part, whole)),
    ['-', '-', '-', '0 %', '-25.0 %'], 'values below zero leave no whole');
});
