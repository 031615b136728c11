import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FunctionTable } from '../table.js';
import { viewOf } from './query.mjs';

/** As much of an element as the table makes use of. */
class StubElement {
  constructor() {
    this.style = { width: '' };
    this.className = '';
    this.textContent = '';
    /** @type {any[]} */
    this.children = [];
  }

  append(/** @type {any[]} */ ...children) {
    this.children.push(...children);
  }

  replaceChildren(/** @type {any[]} */ ...children) {
    this.children = children;
  }

  insertRow() {
    return new StubElement();
  }

  setAttribute() {}

  removeAttribute() {}

  addEventListener() {}
}
const globals = /** @type {any} */ (globalThis);
globals.document = { createElement: () => new StubElement() };

/** The table of a graph, with its body. */
function tableOf(/** @type {any} */ nodes, /** @type {number} */ zoom) {
  const body = new StubElement();
  const table = new FunctionTable(/** @type {any} */ ({ view: viewOf(nodes), type: 0, zoom }),
    /** @type {any} */ ({ table: { tHead: new StubElement(), tBodies: [body] },
      title: new StubElement(), more: new StubElement() }), /** @type {any} */ ({}));
  table.update();
  return { table, body };
}

/** What a row says of self, and how long its bar is. */
const selfOf = (/** @type {any} */ row) => {
  const [share, value, bar] = row.children[0].children;
  return [share.textContent, value.textContent, bar.className, bar.style.width];
};

test('the functions of all are there whatever is zoomed', () => {
  const { table } = tableOf([[1, 'a', [1]], [1, 'b', [2]], [2, 'c', [4]]], 3);
  const told = (/** @type {any[]} */ rows) => rows.map(({ self, total }) => [self, total]);
  assert.deepEqual(told(table.rows), [[4, 4]]);
  assert.deepEqual(told(table.functions()), [[1, 1], [2, 6], [4, 4]]);
});

test('bars compare where values below zero leave no whole', () => {
  assert.deepEqual(tableOf([[1, 'a', [50]], [1, 'b', [-100]]], 0).body.children.map(selfOf),
    [['-', '50', 'bar', '50%'], ['-', '-100', 'bar less', '100%']]);
  assert.deepEqual(tableOf([[1, 'a', [30]], [1, 'b', [10]]], 0).body.children.map(selfOf),
    [['75.0 %', '30', 'bar', '75%'], ['25.0 %', '10', 'bar', '25%']]);
});
