// The page for people with a keyboard alone, a small screen, other colours, no script, or paper.

import { accessible, clickFrame, expect, sees, text } from './harness.mjs';

/** @param {import('./harness.mjs').Harness} harness */
export async function access(harness) {
  const check = harness.check.bind(harness);

  await check('everything can be done by keyboard', 'cpu.html', async (page) => {
    const press = (/** @type {string} */ keys) => keys.split(' ').reduce((before, key) =>
      before.then(() => page.keyboard.press(key)), Promise.resolve());
    const focused = () => page.evaluate(() => document.activeElement?.id);
    // Tab leads to the graph.
    for (let i = 0; i < 40 && await focused() !== 'graph'; i++) await press('Tab');
    expect(await focused() === 'graph', 'Tab does not lead to the graph');
    await press('ArrowDown ArrowDown');
    await sees(page, 'detail', /^server::serve/);
    const active = await page.locator('#graph').getAttribute('aria-activedescendant');
    await sees(page, String(active), /^server::serve/);
    await press('ArrowDown');
    await sees(page, 'detail', /^json::parse/);
    await press('ArrowRight');
    await sees(page, 'detail', /^run /);
    await press('ArrowLeft ArrowUp ArrowDown');
    await sees(page, 'detail', /^json::parse/);
    await press('Enter');
    await sees(page, 'detail', /^Zoomed: json::parse/);
    await press('Backspace');
    await sees(page, 'detail', /^all /);
    await press('ArrowDown ArrowDown ArrowDown Enter Home');
    await sees(page, 'detail', /^all /);
    await press('ArrowDown ArrowDown ArrowDown s');
    await sees(page, 'chips', /callers and callees of json::parse/);
    await press('Escape');
    await sees(page, 'detail', /^all /);
    for (const [key, chip] of /** @type {[string, RegExp][]} */ ([['f', /only stacks with/],
      ['x', /no stacks with/], ['h', /without frames of/]])) {
      await press(`ArrowDown ArrowDown ArrowDown ${key}`);
      await sees(page, 'chips', chip);
      await press('u');
      await sees(page, 'chips', /^$/);
    }
    await press('ArrowDown ArrowDown m');
    expect(await page.locator('#menu').isVisible(), 'm opens no menu');
    await press('ArrowDown ArrowDown Enter');
    await sees(page, 'chips', /only stacks with/);
    expect(await focused() === 'graph', 'the menu does not give the focus back');
    await press('u b');
    expect(await page.locator('#order').inputValue() === 'up', 'b does not turn round');
    await press('b r');
    expect(await page.locator('#fold').getAttribute('aria-pressed') === 'true', 'r does not fold');
    await press('r i');
    expect(await page.locator('#flip').getAttribute('aria-pressed') === 'true', 'i does not flip');
    await press('i a');
    expect(await page.locator('#names').getAttribute('aria-pressed') === 'true', 'a is no order by name');
    await press('a l');
    await sees(page, 'table-title', /lines/);
    await press('l e');
    expect(await page.locator('#regex').getAttribute('aria-pressed') === 'false', 'e is no plain search');
    await press('e k');
    expect(await page.locator('#way').inputValue() === 'package', 'k does not colour');
    await press('d d');
    expect(await page.evaluate(() => document.documentElement.dataset.theme) === 'dark', 'd is no theme');
    const before = await text(page, 'status');
    await press('t');
    expect(await text(page, 'status') !== before, 't is no other type');
    await press('t /');
    await page.keyboard.type('value');
    await press('Enter Escape');
    expect(await page.locator('#search').inputValue() === '', 'Escape does not clear the search');
    await press('/');
    await page.keyboard.type('value');
    await press('Tab');
    await page.locator('#graph').focus();
    await press('n');
    const first = await text(page, 'detail');
    expect(/^(Zoomed: )?json::value/.test(first), `n leads to ${first}`);
    await press('n n N N');
    expect(await text(page, 'detail') === first, 'N does not undo n');
    await press('c');
    await sees(page, 'detail', /json::value\(char\)$/);
    await press('?');
    expect(await page.locator('#help').isVisible(), 'the keys are not listed');
    await press('Escape');
    expect(await page.locator('#help').isHidden(), 'the list of keys does not close');
  });

  await check('a view comes back from its address', 'cpu.html', async (page) => {
    await page.getByLabel('Only one thread').selectOption('worker-2');
    await page.locator('#order').selectOption('up');
    await page.locator('#way').selectOption('self');
    await clickFrame(page, 1);
    await page.locator('#search').fill('serve');
    await page.locator('#flip').click();
    await sees(page, 'detail', /^Zoomed: /);
    const wanted = await Promise.all(['detail', 'status', 'chips', 'matched', 'legend'].map((id) => text(page, id)));
    const address = page.url();
    await page.goto('about:blank');
    await page.goto(address);
    await page.locator('#table tbody tr').first().waitFor();
    const found = await Promise.all(['detail', 'status', 'chips', 'matched', 'legend'].map((id) => text(page, id)));
    expect(JSON.stringify(found) === JSON.stringify(wanted), `${found} is not ${wanted}`);
    expect(await page.locator('#flip').getAttribute('aria-pressed') === 'true', 'it is not flipped');
  });

  await check('an address of nonsense shows everything', 'cpu.html#t=no&v=around&of=x&z=!!&c=toString&focus=(', async (page) => {
    await sees(page, 'chips', /only stacks with \(/);
    await page.locator('#reset').click();
    await sees(page, 'detail', /^all · total 52\.44 s/);
  });

  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    for (const [view, file] of [['top-down', 'cpu.html'], ['bottom-up', 'cpu.html#v=up&q=json&flip=1'],
      ['callers and callees', 'cpu.html#v=around&of=json%3A%3Avalue%28char%29+%28libjson.so.1%29&fold=1'],
      ['filtered', 'cpu.html#focus=json&hide=serve&l.thread=worker-1&c=self'],
      ['lines, by name', 'cpu.html#lines=1&names=1&plain=1&q=json'],
      ['heap', 'heap.html#t=alloc_space'],
      ['difference of a heap', 'heap-diff.html'], ['difference', 'diff.html'], ['hostile', 'hostile.html']]) {
      await check(`axe finds nothing (${view}, ${colorScheme})`, file, accessible, { colorScheme });
    }
  }

  await check('axe finds nothing in menu, help, zoomed, small and forced colours', 'cpu.html', async (page) => {
    await clickFrame(page, 2);
    await accessible(page);
    await clickFrame(page, 2, 'right');
    await accessible(page);
    await page.keyboard.press('Escape');
    await page.locator('#export summary').click();
    await accessible(page);
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await accessible(page);
    await page.keyboard.press('Escape');
    await page.setViewportSize({ width: 320, height: 640 });
    await accessible(page);
  }, { forcedColors: 'active' });

  await check('the theme is the system\'s, or the reader\'s', 'cpu.html', async (page) => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    expect(await background() === 'rgb(20, 22, 26)', 'dark is not dark');
    await page.locator('#theme').click();
    expect(await background() === 'rgb(255, 255, 255)', 'light is not light');
    await page.reload();
    await sees(page, 'theme', /light/);
    expect(await background() === 'rgb(255, 255, 255)', 'the choice is forgotten');
  }, { colorScheme: 'dark' });

  for (const [width, file] of /** @type {[number, string][]} */ ([[320, 'cpu.html'], [320, 'diff.html'],
    [320, 'hostile.html'], [640, 'cpu.html']])) {
    await check(`${file} is usable ${width} px wide, by touch`, file, async (page) => {
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(excess <= 0, `${excess} px too wide`);
      await page.locator('#graph').scrollIntoViewIfNeeded();
      const box = await page.locator('#graph').boundingBox();
      await page.touchscreen.tap((box?.x ?? 0) + 12, (box?.y ?? 0) + 30);
      await sees(page, 'detail', /^Zoomed: /);
    }, { viewport: { width, height: 640 }, hasTouch: true, isMobile: true });
  }

  await check('without scripts there are a table and a picture', 'cpu.html', async (page) => {
    expect(await page.locator('.static tbody tr').count() > 3, 'there is no table');
    expect(await page.locator('.picture svg rect').count() > 5, 'there is no picture');
    expect(/json::parse/.test(await page.locator('main').innerText()), 'names are missing');
  }, { javaScriptEnabled: false });

  await check('without scripts a difference is a table', 'diff.html', async (page) => {
    expect(/\+5\.56 s.*format_new/s.test(await page.locator('.static').innerText()), 'no table');
  }, { javaScriptEnabled: false });

  // axe is a script itself: what a page without scripts shows is looked at as a document of its own.
  await check('axe finds nothing in what stands without scripts', 'cpu.html', async (page) => {
    await page.evaluate(() => {
      const fallback = document.querySelector('noscript');
      const made = new DOMParser().parseFromString(fallback?.textContent ?? '', 'text/html');
      document.querySelector('main')?.replaceChildren(...made.body.childNodes);
    });
    expect(await page.locator('.static tbody tr').count() > 3, 'there is no table');
    await accessible(page);
  });

  await check('a print has the numbers, the picture and the table', 'cpu.html', async (page) => {
    await clickFrame(page, 2);
    await sees(page, 'table-title', /in server::serve/);
    const pdf = await page.pdf({ format: 'A4' });
    expect(pdf.subarray(0, 5).toString() === '%PDF-' && pdf.length > 10_000, 'no PDF');
    await page.emulateMedia({ media: 'print' });
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    expect(await page.locator('#print svg').isVisible(), 'the picture is missing');
    expect(await page.locator('#table').isVisible(), 'the table is missing');
    expect(await page.locator('#tools').isHidden(), 'controls would be printed');
    expect(await page.locator('#lines').isHidden(), 'a button would be printed');
    await accessible(page);
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    expect(await page.locator('#print svg').count() === 0, 'the picture stays');
  });
}
