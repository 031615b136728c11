import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { decode, readSigned, readUnsigned } from '../decode.js';
import { Model } from '../model.js';
import { query } from './query.mjs';
import { unpack } from '../unpack.js';
import { View } from '../view.js';
import { leb128, makeBlock, zigzag } from './block.mjs';

const SMALL = makeBlock([[1, 'main:3', [1]], [2, 'parse', [5]], [2, 'write', [2], '[kernel]', 'thread=one']]);

test('numbers come back as they were', () => {
  const numbers = [0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32 - 1];
  const bytes = Uint8Array.from(numbers.flatMap(leb128));
  assert.deepEqual([...readUnsigned(bytes, new Uint32Array(numbers.length), 2 ** 32)], numbers);
  const signed = [0, -1, 1, -64, 2 ** 52, -(2 ** 52), -(2 ** 31)];
  assert.deepEqual(
    [...readSigned(Uint8Array.from(signed.flatMap(zigzag)), signed.length)], signed);
});

test('numbers beyond 2^53 are the nearest that there is', () => {
  const extremes = [2n ** 63n - 1n, -(2n ** 63n)];
  const read = readSigned(Uint8Array.from(extremes.flatMap(zigzag)), 2);
  assert.deepEqual([...read], extremes.map(Number));
});

test('a block is unpacked and decoded', async () => {
  const base64 = gzipSync(SMALL).toString('base64');
  const columns = decode(await unpack(base64));
  assert.deepEqual(columns.strings.slice(0, 4), ['', 'all', 'main', 'a.c']);
  assert.deepEqual([...columns.values[0]], [0, 1, 5, 2]);
  assert.deepEqual([...columns.sampleNodes], [0, 1, 2, 3]);
  assert.deepEqual(columns.labelSets, [[], [['thread', 'one']]]);
});

test('a truncated block is refused', () => {
  for (let length = 0; length < SMALL.length; length++) {
    assert.throws(() => decode(SMALL.subarray(0, length)), `cut to ${length}`);
  }
});

test('a changed block is refused or read, and never hangs', () => {
  for (let at = 0; at < SMALL.length; at++) {
    for (const bit of [1, 64, 128]) {
      const changed = SMALL.slice();
      changed[at] ^= bit;
      try {
        new View(new Model(decode(changed)), query()).totals(0);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }
  }
});
