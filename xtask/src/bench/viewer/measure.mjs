// Opens pages in Chromium, each in a fresh browser, and measures what a reader waits for.
//
//   node measure.mjs JOBS.json > RESULTS.json
//
// A job is `{viewer, url, runs, limit_ms}`; its result has the medians of what was measured, or
// `none` if nothing was shown within the limit.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { chromium } = createRequire(import.meta.url)('playwright-core');

/** When a viewer has something to show, as an expression in its page. */
const READY = {
  flame: "document.getElementById('message')?.hidden && !document.getElementById('app')?.hidden",
  'react-pprof': "document.querySelector('canvas') && !document.body.innerText.includes('Loading profile')",
  speedscope: "document.querySelector('canvas') && /Left Heavy/.test(document.body.innerText)",
  inferno: "document.readyState === 'complete' && document.querySelector('#frames')",
};

/** A point in a frame of some width that is not the root, and how it is zoomed. */
const FRAME = {
  flame: `(() => { const b = document.getElementById('graph').getBoundingClientRect();
    return { x: b.left + 40, y: b.top + 50, clicks: 1 }; })()`,
  'react-pprof': `(() => { const b = document.querySelector('canvas').getBoundingClientRect();
    return { x: b.left + 60, y: b.top + 70, clicks: 1 }; })()`,
  speedscope: `(() => { const all = [...document.querySelectorAll('canvas')].map((c) => c.getBoundingClientRect());
    const b = all.sort((a, b) => b.width * b.height - a.width * a.height)[0];
    return { x: b.left + 60, y: b.top + 140, clicks: 2 }; })()`,
  inferno: `(() => { const all = [...document.querySelectorAll('#frames g')].map((g) => g.getBoundingClientRect());
    const b = all.find((r) => r.width > 100 && r.width < 0.6 * innerWidth && r.top > 0 && r.bottom < innerHeight);
    return b && { x: b.left + b.width / 2, y: b.top + b.height / 2, clicks: 1 }; })()`,
};

const middle = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[values.length >> 1];

/** Watches for long tasks and slow events, and for the moment at which `ready` holds. */
function watch(/** @type {string} */ ready) {
  const seen = { shown: 0, longest: 0, event: 0 };
  Object.assign(window, { measured: seen });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.longest = Math.max(seen.longest, duration);
  }).observe({ type: 'longtask', buffered: true });
  new PerformanceObserver((list) => {
    for (const { name, duration } of list.getEntries()) {
      if (/click|pointer|mouse/.test(name)) seen.event = Math.max(seen.event, duration);
    }
  }).observe(/** @type {any} */ ({ type: 'event', durationThreshold: 16, buffered: true }));
  // The expression is ours; a page's policy does not hold for what the browser is told to run.
  const look = () => {
    if (window.isReady?.()) {
      requestAnimationFrame(() => requestAnimationFrame(() => { seen.shown = performance.now(); }));
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
}

/** How much longer than a page may take to show something one whole run may take. */
const REST_MS = 30_000;
/** How long a browser may take to end; what is left of it ends with this process. */
const CLOSING_MS = 5_000;

const after = (/** @type {number} */ ms, /** @type {any} */ value) =>
  new Promise((done) => { setTimeout(() => done(value), ms); });

/** One run in a browser of its own. A page that crashes or blocks for good shows nothing. */
async function once(job) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--enable-unsafe-swiftshader', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--no-first-run', '--allow-file-access-from-files'],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const crashed = new Promise((done) => { page.on('crash', () => done({ none: true })); });
  const seen = look(browser, page, job);
  // It fails once more when its browser is gone.
  seen.catch(() => {});
  try {
    return await Promise.race([seen, crashed, after(job.limit_ms + REST_MS, { none: true })]);
  } finally {
    await Promise.race([browser.close(), after(CLOSING_MS, undefined)]);
  }
}

/** Opens a page, zooms, and tells what that took. */
async function look(browser, page, { viewer, url, limit_ms: limit }) {
  page.setDefaultTimeout(limit);
  await page.addInitScript(`window.isReady = () => Boolean(${READY[viewer]});\n(${watch})();`);
  try {
    await page.goto(url, { waitUntil: 'commit', timeout: limit });
    await page.waitForFunction(() => window.measured?.shown > 0, null, { timeout: limit, polling: 50 });
  } catch (error) {
    if (!/Timeout/.test(String(error))) throw error;
    return { none: true };
  }
  await page.waitForTimeout(700);
  const opened = await page.evaluate(() => ({ ...window.measured, event: 0 }));
  const point = await page.evaluate(FRAME[viewer]);
  let zoom = null;
  if (point) {
    await page.evaluate(() => { window.measured.event = 0; });
    await page.mouse.move(point.x, point.y);
    await page.waitForTimeout(200);
    await page.evaluate(() => { window.measured.event = 0; });
    await page.mouse.click(point.x, point.y, { clickCount: point.clicks });
    await page.waitForTimeout(viewer === 'flame' ? 700 : 3000);
    // Events below the observer's threshold are not told.
    zoom = (await page.evaluate(() => window.measured.event)) || 16;
  }
  return { first: opened.shown, longest: opened.longest, zoom, ...await memory(browser) };
}

/** The resident memory of the page's process, and its peak, in KiB. */
async function memory(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const found = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => {
    const status = readFileSync(`/proc/${id}/status`, 'utf8');
    const of = (/** @type {string} */ name) => Number(RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
    return { rss: of('VmRSS'), peak: of('VmHWM') };
  });
  return found.sort((a, b) => b.rss - a.rss)[0];
}

const results = [];
for (const job of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
  const runs = [];
  for (let run = 0; run < job.runs; run++) runs.push(await once(job));
  const shown = runs.filter((run) => !run.none);
  const of = (/** @type {string} */ name) => middle(shown.map((run) => run[name]));
  const result = shown.length < runs.length ? { none: true }
    : Object.fromEntries(['first', 'longest', 'zoom', 'rss', 'peak'].map((name) => [name, of(name)]));
  process.stderr.write(`${job.viewer} ${job.url.slice(-30)} ${JSON.stringify(result)}\n`);
  results.push(result);
}
process.stdout.write(JSON.stringify(results));
process.exit(0);
