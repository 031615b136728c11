// Drives a page in Chromium and checks what a reader sees.
//
//   node page.browser.mjs PAGE.html
//
// PAGE is a flamegraph of some samples that flame made. Needs playwright-core where Node finds it
// (from here or, by NODE_PATH, elsewhere), and Chromium at $CHROMIUM or /usr/bin/chromium.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const path = process.argv[2];
if (!path && process.env.NODE_TEST_CONTEXT) {
  console.log('skipped: needs a page and a browser');
  process.exit(0);
}
if (!path) {
  console.error('usage: node page.browser.mjs PAGE.html');
  process.exit(2);
}
const { chromium } = createRequire(import.meta.url)('playwright-core');
const url = pathToFileURL(resolve(path)).href;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run'],
});
let passed = 0;
let failed = 0;

/**
 * Opens the page anew and runs one check; any error, message or request of the page fails it.
 * @param {string} name
 * @param {(page: import('playwright-core').Page) => Promise<void>} run
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
async function check(name, run, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  /** @type {string[]} */
  const trouble = [];
  page.on('console', (message) => trouble.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => trouble.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    trouble.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (request.url() !== url && !request.url().startsWith('data:')) {
      trouble.push(`request: ${request.url()}`);
    }
  });
  try {
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
    await page.goto(url);
    if (options.javaScriptEnabled !== false) {
      await page.locator('#table tbody tr').first().waitFor();
    }
    await run(page);
    if (trouble.length) throw new Error(trouble.join('; '));
    passed++;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${error instanceof Error ? error.message : error}`);
  }
  await context.close();
}

/** @param {unknown} condition @param {string} message */
function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** @param {import('playwright-core').Page} page @param {string} id */
const text = async (page, id) => (await page.locator(`#${id}`).textContent()) ?? '';

/**
 * Waits until an element's text is as wanted.
 * @param {import('playwright-core').Page} page
 * @param {string} id
 * @param {RegExp} wanted
 */
async function sees(page, id, wanted) {
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
 * @param {import('playwright-core').Page} page
 * @param {number} level
 */
async function frameAt(page, level) {
  const box = await page.locator('#graph').boundingBox();
  if (!box) throw new Error('the graph is not shown');
  return { x: box.x + 6, y: box.y + level * 20 + 10 };
}

await check('the page opens with its numbers', async (page) => {
  await sees(page, 'status', /\d.* distinct stacks/);
  await sees(page, 'detail', /^all · total .*\(100\.0 %\)/);
  expect(await page.locator('#message').isHidden(), 'a message is left');
  expect(await page.locator('#legend li').count() > 0, 'there is no legend');
  const drawn = await page.locator('#canvas').evaluate((canvas) => {
    const { width } = /** @type {HTMLCanvasElement} */ (canvas);
    const row = /** @type {HTMLCanvasElement} */ (canvas).getContext('2d')?.getImageData(0, 25, width, 1);
    return new Set(new Uint32Array(row?.data.buffer ?? new ArrayBuffer(0))).size;
  });
  expect(drawn > 1, 'nothing is drawn');
});

await check('a click zooms, and the browser goes back', async (page) => {
  const { x, y } = await frameAt(page, 2);
  await page.mouse.click(x, y);
  await sees(page, 'detail', /^Zoomed: /);
  await sees(page, 'table-title', /^Heaviest functions in ./);
  expect(await page.locator('#back').isEnabled(), 'Back is not offered');
  await page.goBack();
  await sees(page, 'detail', /^all /);
  await page.goForward();
  await sees(page, 'detail', /^Zoomed: /);
  await page.reload();
  await sees(page, 'detail', /^Zoomed: /);
  await page.locator('#reset').click();
  await sees(page, 'detail', /^all /);
});

await check('Backspace, Escape and the button go back', async (page) => {
  for (const back of ['Backspace', 'Escape', 'button']) {
    const { x, y } = await frameAt(page, 1);
    await page.mouse.click(x, y);
    await sees(page, 'detail', /^Zoomed: /);
    await (back === 'button' ? page.locator('#back').click() : page.keyboard.press(back));
    await sees(page, 'detail', /^all /);
  }
});

await check('the tooltip tells of the frame under the pointer', async (page) => {
  const { x, y } = await frameAt(page, 1);
  await page.mouse.move(x, y);
  await sees(page, 'tooltip', /Total.*Self/s);
  expect(!(await page.locator('#hover').isHidden()), 'the frame is not marked');
  await page.mouse.move(x, 1);
  expect(await page.locator('#tooltip').isHidden(), 'the tooltip stays');
});

await check('arrow keys move, Enter zooms, Home shows all', async (page) => {
  await page.locator('#graph').focus();
  await page.keyboard.press('ArrowDown');
  const first = await text(page, 'detail');
  expect(!/^all /.test(first), 'the cursor did not move');
  await page.keyboard.press('ArrowDown');
  const second = await text(page, 'detail');
  await page.keyboard.press('ArrowUp');
  expect(await text(page, 'detail') === first, 'up does not undo down');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await sees(page, 'detail', /^Zoomed: /);
  expect(await text(page, 'detail') === `Zoomed: ${second}`, 'another frame is zoomed');
  await page.keyboard.press('Home');
  await sees(page, 'detail', /^all /);
});

await check('a search counts, marks and filters; n goes through the matches', async (page) => {
  const name = await page.locator('#table tbody .name').first().textContent() ?? '';
  const share = await page.locator('#table tbody tr').first().locator('.share').last().textContent();
  await page.locator('#graph').focus();
  await page.keyboard.press('/');
  const quoted = name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  await page.locator('#search').fill(`^${quoted}$`);
  await sees(page, 'matched', /% matched \(/);
  const matched = await text(page, 'matched');
  expect(matched.startsWith(`${share} matched`), `"${matched}" is not the table's ${share}`);
  expect(await page.locator('#table tbody tr').count() === 1, 'the table is not filtered');
  await page.keyboard.press('Enter');
  await sees(page, 'detail', new RegExp(`^(Zoomed: )?${quoted} `));
  await page.locator('#search').focus();
  await page.keyboard.press('Escape');
  expect(await page.locator('#search').inputValue() === '', 'Escape does not clear the search');
  await sees(page, 'matched', /^$/);
  await page.locator('#search').fill('(');
  await sees(page, 'matched', /as plain text/);
  await page.locator('#search').fill('no function is called this');
  await sees(page, 'matched', /^0 % matched/);
});

await check('a function of the table is shown in the graph', async (page) => {
  await page.locator('#table tbody .name').first().click();
  await sees(page, 'matched', /% matched/);
});

await check('the table sorts by every column', async (page) => {
  for (const [at, title] of ['Self', 'Total', 'Function', 'Module'].entries()) {
    await page.locator('#table thead button', { hasText: title }).click();
    const sort = await page.locator('#table thead th').nth(at).getAttribute('aria-sort');
    // Self is the order that the table has at first.
    const wanted = at === 1 ? 'descending' : 'ascending';
    expect(sort === wanted, `${title} is sorted ${sort}`);
  }
});

await check('another sample type has other numbers', async (page) => {
  const options = await page.locator('#type option').count();
  if (options < 2) return;
  const before = await text(page, 'status');
  await page.locator('#graph').focus();
  await page.keyboard.press('t');
  expect(await text(page, 'status') !== before, 'the status did not change');
  for (let i = 1; i < options; i++) await page.keyboard.press('t');
  expect(await text(page, 'status') === before, 'the types do not come round');
  await page.locator('#type').selectOption({ index: 0 });
  await sees(page, 'detail', /^all /);
});

await check('keys are listed', async (page) => {
  await page.keyboard.press('?');
  expect(await page.locator('#help').isVisible(), 'the list does not open');
  await page.keyboard.press('Escape');
  expect(await page.locator('#help').isHidden(), 'the list does not close');
});

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  await check(`the page follows the system's theme (${colorScheme})`, async (page) => {
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = background === 'rgb(255, 255, 255)';
    expect(light === (colorScheme === 'light'), `the background is ${background}`);
  }, { colorScheme });
}

await check('a narrow window needs no sideways scrolling', async (page) => {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(excess <= 0, `${excess} px too wide`);
}, { viewport: { width: 320, height: 640 } });

await check('without scripts the heaviest functions are listed', async (page) => {
  expect(await page.locator('.static tbody tr').count() > 0, 'there is no table');
}, { javaScriptEnabled: false });

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
