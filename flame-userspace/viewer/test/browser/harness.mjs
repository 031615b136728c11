// Opens pages in Chromium and runs checks on them. Any error, message, request or breach of the
// page's policy fails a check.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** @typedef {import('playwright-core').Page} Page */

export class Harness {
  /** @param {string} folder where the pages are */
  constructor(folder) {
    this.folder = folder;
    this.passed = 0;
    /** @type {string[]} */
    this.failed = [];
  }

  async start() {
    this.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--no-first-run'],
    });
  }

  /**
   * Opens a page anew and runs one check on it.
   * @param {string} name what is checked
   * @param {string} file the page, and what follows in its address
   * @param {(page: Page) => Promise<void>} run
   * @param {import('playwright-core').BrowserContextOptions} [options]
   */
  async check(name, file, run, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    const [path, hash] = file.split('#');
    const url = pathToFileURL(resolve(this.folder, path)).href;
    /** @type {string[]} */
    const trouble = [];
    page.on('console', (message) => trouble.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => trouble.push(`error: ${error.message}`));
    page.on('dialog', (dialog) => {
      trouble.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('request', (request) => {
      const to = request.url();
      if (to.split('#')[0] !== url && !/^(data|blob):/.test(to)) trouble.push(`request: ${to}`);
    });
    try {
      await page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (event) => {
          console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
        });
      });
      await page.goto(hash === undefined ? url : `${url}#${hash}`);
      if (options.javaScriptEnabled !== false) {
        await page.locator('#table tbody tr').first().waitFor();
      }
      await run(page);
      expect(trouble.length === 0, trouble.join('; '));
      this.passed++;
      console.log(`ok   ${name}`);
    } catch (error) {
      this.failed.push(name);
      console.log(`FAIL ${name}: ${error instanceof Error ? error.message : error}`);
    }
    await context.close();
  }

  /** Ends all; the exit status. */
  async end() {
    await this.browser.close();
    console.log(`${this.passed} passed, ${this.failed.length} failed`);
    return this.failed.length || this.passed === 0 ? 1 : 0;
  }
}

/** @param {unknown} condition @param {string} message */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** @param {Page} page @param {string} id */
export const text = async (page, id) => (await page.locator(`#${id}`).textContent()) ?? '';

/**
 * Waits until an element's text is as wanted.
 * @param {Page} page
 * @param {string} id
 * @param {RegExp} wanted
 */
export async function sees(page, id, wanted) {
  const end = Date.now() + 3000;
  let seen = await text(page, id);
  while (!wanted.test(seen) && Date.now() < end) {
    await page.waitForTimeout(20);
    seen = await text(page, id);
  }
  expect(wanted.test(seen), `#${id} says "${seen}", not ${wanted}`);
}

/**
 * A point in the heaviest frame of a level of the graph.
 * @param {Page} page
 * @param {number} level
 */
export async function frameAt(page, level) {
  const graph = page.locator('#graph');
  let box = await graph.boundingBox();
  // What is above it may come or go in the next picture.
  for (let before; box && box.y !== before?.y;) {
    before = box;
    await page.evaluate(() => new Promise((drawn) => {
      requestAnimationFrame(() => requestAnimationFrame(drawn));
    }));
    box = await graph.boundingBox();
  }
  if (!box) throw new Error('the graph is not shown');
  return { x: box.x + 12, y: box.y + level * 20 + 10 };
}

/**
 * Clicks on the heaviest frame of a level.
 * @param {Page} page
 * @param {number} level
 * @param {'left' | 'right'} [button]
 */
export async function clickFrame(page, level, button = 'left') {
  const { x, y } = await frameAt(page, level);
  await page.mouse.click(x, y, { button });
}

/**
 * Fails if axe finds anything against the page as it is.
 * @param {Page} page
 */
export async function accessible(page) {
  await page.evaluate(AXE);
  // A tooltip or an animation under way would be looked at half drawn.
  await page.mouse.move(1, 1);
  const found = await page.evaluate(async () =>
    // @ts-expect-error: axe is what was just loaded
    (await axe.run(document)).violations.map(({ id, nodes }) =>
      `${id}: ${nodes.map((node) => node.target).join(' ')}`));
  expect(found.length === 0, found.join('; '));
}

/**
 * What an export button hands out.
 * @param {Page} page
 * @param {string} form
 */
export async function exported(page, form) {
  await page.locator('#export summary').click();
  const [download] = await Promise.all([page.waitForEvent('download'),
    page.locator(`#export [data-export=${form}]`).click()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}
