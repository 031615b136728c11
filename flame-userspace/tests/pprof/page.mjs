// What a page's viewer shows of each function: `node page.mjs PAGE COLUMN [KEY TEXT]` prints [name,
// self, total]; with a label, of the samples that have it.

import { readFileSync } from 'node:fs';
import { decode } from '../../viewer/decode.js';
import { Model } from '../../viewer/model.js';
import { unpack } from '../../viewer/unpack.js';
import { View } from '../../viewer/view.js';
import { query } from '../../viewer/test/query.mjs';

const [page, column, key, text] = process.argv.slice(2);
const data = /id="flame-data">([^<]*)</.exec(readFileSync(page, 'utf8'))[1];
const model = new Model(decode(await unpack(data)));
const view = new View(model, query(key ? { filters: [{ kind: 'label', key, text }] } : {}));
const rows = view.functions(0, Number(column));
console.log(JSON.stringify(rows.map((row) => [model.frames.name(row.frame), row.self, row.total])));
