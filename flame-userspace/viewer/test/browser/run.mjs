// Drives pages in Chromium and checks what a reader sees.
//
//   node run.mjs FOLDER
//
// FOLDER has the pages that `cargo run --example pages fixtures FOLDER` makes. playwright-core and
// axe-core (package.json) must be where Node finds them, and Chromium at $CHROMIUM or
// /usr/bin/chromium.

import { access } from './access.mjs';
import { controls } from './controls.mjs';
import { Harness } from './harness.mjs';

const [, , folder] = process.argv;
if (!folder) {
  console.error('usage: node run.mjs FOLDER');
  process.exit(2);
}
const harness = new Harness(folder);
await harness.start();
await controls(harness);
await access(harness);
process.exit(await harness.end());
