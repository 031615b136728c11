// Each control of the page, by pointer.

import { clickFrame, expect, exported, frameAt, sees, text } from './harness.mjs';

/** @param {import('./harness.mjs').Harness} harness */
export async function controls(harness) {
  const check = harness.check.bind(harness);

  await check('the page opens with its numbers', 'cpu.html', async (page) => {
    await sees(page, 'status', /^52\.44 s CPU time · 5,192 samples/);
    await sees(page, 'detail', /^all · total 52\.44 s \(100\.0 %\)/);
    expect(await page.locator('#message').isHidden(), 'a message is left');
    await sees(page, 'legend', /libjson\.so\.1/);
    const drawn = await page.locator('#canvas').evaluate((canvas) => {
      const { width } = /** @type {HTMLCanvasElement} */ (canvas);
      const row = /** @type {HTMLCanvasElement} */ (canvas).getContext('2d')?.getImageData(0, 65, width, 1);
      return new Set(new Uint32Array(row?.data.buffer ?? new ArrayBuffer(0))).size;
    });
    expect(drawn > 3, 'nothing is drawn');
  });

  await check('the first function to look at is told, and leads to the graph', 'cpu.html', async (page) => {
    await sees(page, 'first', /^38\.1 %json::parse/);
    await page.locator('#first button').first().click();
    await sees(page, 'matched', /^69\.9 % matched/);
  });

  await check('a click zooms, and the browser goes back', 'cpu.html', async (page) => {
    await clickFrame(page, 2);
    await sees(page, 'detail', /^Zoomed: server::serve/);
    await sees(page, 'table-title', /^Heaviest functions in server::serve/);
    expect(await page.locator('#map').isVisible(), 'there is no map');
    expect(await page.locator('#back').isEnabled(), 'Back is not offered');
    await page.goBack();
    await sees(page, 'detail', /^all /);
    await page.goForward();
    await sees(page, 'detail', /^Zoomed: server::serve/);
    await page.reload();
    await sees(page, 'detail', /^Zoomed: server::serve/);
    await page.locator('#back').click();
    await sees(page, 'detail', /^all /);
    await clickFrame(page, 3);
    await sees(page, 'detail', /^Zoomed: json::parse/);
    await page.locator('#map').click();
    await sees(page, 'detail', /^all /);
    await clickFrame(page, 3);
    await page.locator('#reset').click();
    await sees(page, 'detail', /^all /);
  });

  await check('the tooltip tells of the frame under the pointer', 'cpu.html', async (page) => {
    const { x, y } = await frameAt(page, 3);
    await page.mouse.move(x, y);
    await sees(page, 'tooltip', /json\.cc:10.*libjson\.so\.1.*build 1234567890abcdef.*of parent.*Total.*Self.*standard error: ±/s);
    expect(!(await page.locator('#hover').isHidden()), 'the frame is not marked');
    await page.mouse.move(x, 1);
    expect(await page.locator('#tooltip').isHidden(), 'the tooltip stays');
  });

  await check('a search counts, marks and filters', 'cpu.html', async (page) => {
    await page.locator('#search').fill('^json::value\\(char\\)$');
    await sees(page, 'matched', /^31\.8 % matched \(16\.67 s\)$/);
    expect(await page.locator('#table tbody tr').count() === 1, 'the table is not filtered');
    await page.locator('#search').fill('(');
    await sees(page, 'matched', /as plain text/);
    await page.locator('#search').fill('json::value.char');
    await sees(page, 'matched', /^31\.8 % matched/);
    await page.locator('#regex').click();
    await sees(page, 'matched', /^0 % matched.*as plain text/);
    await page.locator('#regex').click();
    await page.locator('#search').fill('no function is called this');
    await sees(page, 'matched', /^0 % matched/);
    await sees(page, 'table', /No function matches/);
    await page.locator('#search').fill('');
    await sees(page, 'matched', /^$/);
  });

  await check('the table sorts by every column, and shows a function', 'cpu.html', async (page) => {
    for (const [at, title] of ['Self', 'Total', 'Function'].entries()) {
      await page.locator('#table thead button', { hasText: title }).click();
      const sort = await page.locator('#table thead th').nth(at).getAttribute('aria-sort');
      // Self is the order that the table has at first.
      expect(sort === (at === 1 ? 'descending' : 'ascending'), `${title} is sorted ${sort}`);
    }
    await page.locator('#table tbody .name').first().click();
    await sees(page, 'matched', /% matched/);
  });

  await check('the table has source lines too', 'cpu.html', async (page) => {
    await page.locator('#lines').click();
    await sees(page, 'table-title', /^Heaviest lines$/);
    await sees(page, 'table', /Line69\.9 %36\.67 s69\.9 %36\.67 sjson\.cc:10/);
    await sees(page, 'first', /^38\.1 %json::parse/);
    const csv = (await exported(page, 'csv')).bytes.toString();
    expect(csv.includes('"json.cc:10",36'), csv.slice(0, 300));
    await page.locator('#lines').click();
    await sees(page, 'table-title', /^Heaviest functions$/);
  });

  await check('neighbours stand by value or by name', 'cpu.html', async (page) => {
    await clickFrame(page, 1);
    await sees(page, 'detail', /^Zoomed: server/);
    await page.locator('#back').click();
    await page.locator('#names').click();
    await clickFrame(page, 1);
    await sees(page, 'detail', /^Zoomed: helper/);
  });

  await check('every sample type is there, and says what it means', 'heap.html', async (page) => {
    await sees(page, 'status', /^32\.25 MiB in use · standard error ±/);
    await sees(page, 'first-title', /^Who holds memory$/);
    await sees(page, 'first', /^96\.9 %cache_put31\.25 MiB through xmalloc/);
    const { x, y } = await frameAt(page, 2);
    await page.mouse.move(x, y);
    await sees(page, 'tooltip', /cache_put.*standard error: ±.*average size: 4\.00 KiB/s);
    await sees(page, 'table', /cache_put.*average 4\.00 KiB/s);
    const seen = new Set();
    for (const type of ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space']) {
      await page.locator('#type').selectOption(type);
      seen.add(await text(page, 'meaning')).add(await text(page, 'status'));
    }
    expect(seen.size === 8, 'types have meanings or numbers in common');
    await page.locator('#type').selectOption('alloc_space');
    await sees(page, 'first-title', /^Who allocates the most$/);
    await sees(page, 'first', /cache_put/);
  });

  await check('what to look at first is of the type that is shown, also where a frame is zoomed', 'heap.html', async (page) => {
    await clickFrame(page, 2);
    await sees(page, 'detail', /^Zoomed: /);
    await page.locator('#type').selectOption('alloc_space');
    await sees(page, 'detail', /^Zoomed: /);
    await sees(page, 'first-title', /^Who allocates the most$/);
  });

  await check('bottom-up begins with the innermost functions', 'cpu.html', async (page) => {
    await page.locator('#order').selectOption('up');
    await clickFrame(page, 1);
    await sees(page, 'detail', /^Zoomed: json::parse.* · total 20\.00 s \(38\.1 %\)/);
  });

  await check('callers stand above and callees below a function', 'cpu.html', async (page) => {
    await page.locator('#table .around').first().click();
    await sees(page, 'chips', /callers and callees of json::parse/);
    await sees(page, 'detail', /^json::parse.* · total 36\.67 s \(100\.0 %\) · self 20\.00 s/);
    await clickFrame(page, 1);
    await sees(page, 'detail', /^Zoomed: server::serve/);
    await page.locator('#chips button').click();
    await sees(page, 'detail', /^all /);
  });

  await check('filters are chips that can be undone', 'cpu.html', async (page) => {
    for (const [item, status, verb] of /** @type {[string, RegExp, RegExp][]} */ ([
      ['Only stacks with it', /^36\.67 s of 52\.44 s/, /only stacks with/],
      ['No stacks with it', /^15\.78 s of 52\.44 s/, /no stacks with/],
      ['Hide its frames', /^52\.44 s CPU/, /without frames of/],
    ])) {
      await clickFrame(page, 3, 'right');
      await page.locator('#menu').getByText(item).click();
      await sees(page, 'chips', verb);
      await sees(page, 'status', status);
      await page.locator('#chips button').click();
      await sees(page, 'chips', /^$/);
      await sees(page, 'status', /^52\.44 s CPU/);
    }
  });

  await check('processes and threads are picked by their labels', 'cpu.html', async (page) => {
    const thread = page.getByLabel('Only one thread');
    await thread.selectOption('worker-1');
    await sees(page, 'status', /^23\.84 s of 52\.44 s/);
    await thread.selectOption('worker-2');
    await sees(page, 'status', /^47\.68 s of 52\.44 s/);
    await page.getByLabel('Only one process').selectOption('helper');
    await sees(page, 'status', /^0 ns of/);
    await page.goBack();
    await page.goBack();
    await page.goBack();
    await sees(page, 'status', /^52\.44 s CPU/);
  });

  await check('recursion folds, the graph flips, colours change', 'cpu.html', async (page) => {
    await page.locator('#fold').click();
    const levels = () => page.locator('#space').evaluate((space) => space.clientHeight / 20);
    expect(await levels() === 6, 'nothing is folded');
    await page.locator('#fold').click();
    expect(await levels() === 8, 'nothing is unfolded');
    await page.locator('#flip').click();
    await clickFrame(page, 7);
    await sees(page, 'detail', /^all /);
    await clickFrame(page, 5);
    await sees(page, 'detail', /^Zoomed: server::serve/);
    for (const [way, legend] of [['package', /json/], ['kind', /C\+\+.*Rust|Rust.*C\+\+/], ['self', /from 4 %/]]) {
      await page.locator('#way').selectOption(String(way));
      await sees(page, 'legend', /** @type {RegExp} */ (legend));
    }
  });

  await check('what is shown can be saved', 'cpu.html', async (page) => {
    const folded = await exported(page, 'folded');
    const sum = folded.bytes.toString().trim().split('\n').reduce((all, line) => all + Number(line.split(' ').at(-1)), 0);
    expect(sum === 5192 * 10101010, `the folded stacks add up to ${sum}`);
    const csv = (await exported(page, 'csv')).bytes.toString();
    expect(csv.startsWith('"function","module","file","self (cpu, nanoseconds)"'), csv.slice(0, 80));
    const svg = await exported(page, 'svg');
    expect(svg.name === 'cpu.svg' && svg.bytes.includes('json::parse(std::string const&#38;)'), 'no SVG');
    const png = await exported(page, 'png');
    expect(png.bytes.subarray(1, 4).toString() === 'PNG' && png.bytes.length > 5000, 'no PNG');
  });

  await check('a difference shows what is new, gone and changed', 'diff.html', async (page) => {
    await sees(page, 'first', /newformat_new.*goneformat_old.*\+20 %json::parse/s);
    await sees(page, 'detail', /^all · base 52\.44 s · new 56\.44 s · change \+4\.00 s \(\+7\.6 %\)/);
    await sees(page, 'legend', /gone.*as before.*new/s);
    await page.locator('#widths').selectOption('new');
    await clickFrame(page, 3);
    await sees(page, 'detail', /^Zoomed: json::parse/);
    await page.locator('#shares').selectOption('1');
    await sees(page, 'status', /base × 1\.076/);
    const { x, y } = await frameAt(page, 3);
    await page.mouse.move(x, y);
    await sees(page, 'tooltip', /base.*new.*change.*standard error of the change/s);
  });

  await check('a heap grows in who holds it', 'heap-diff.html', async (page) => {
    await sees(page, 'first', /^\+13 %cache_put\+3\.91 MiB through xmalloc/);
    await sees(page, 'status', /^36\.16 MiB in use/);
  });

  await check('hostile names are plain text', 'hostile.html', async (page) => {
    await sees(page, 'table', /<\/script><\/title><img src=x onerror=alert\(1\)>\\u\{202e\}/);
    expect(await page.locator('img').count() === 0, 'a name became an element');
    for (const level of [1, 2, 3, 4, 5]) {
      const { x, y } = await frameAt(page, level);
      await page.mouse.move(x, y);
    }
    await page.locator('#table .around').first().click();
    const svg = (await exported(page, 'svg')).bytes.toString();
    expect(!/<img|<script|\u202e|\0/.test(svg), 'a name became markup in the image');
    const csv = (await exported(page, 'csv')).bytes.toString();
    expect(!/^"=/m.test(csv), 'a name would be a formula');
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    expect(await page.locator('#print svg').count() === 1, 'nothing to print');
    await page.getByLabel('Only one process').count();
  });
}
