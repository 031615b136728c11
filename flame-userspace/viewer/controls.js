// What the pointer, the keyboard and the buttons do.

import { part } from './app.js';
import { WAYS } from './colours.js';
import { save, toCsv, toFolded, toPng, toSvg } from './export.js';
import { quoted } from './search.js';
import { showTooltip } from './tooltip.js';

/** @typedef {import('./app.js').App} App */

/**
 * What can be done with a node, by the key that does it.
 * @param {App} app
 * @param {number} node
 * @returns {import('./menu.js').Action[]}
 */
function actionsFor(app, node) {
  const { view } = app.graph;
  const frame = view.tree.frameOf[node];
  const name = view.name(node);
  const text = `^${quoted(name)}$`;
  const filter = (/** @type {'focus' | 'ignore' | 'hide'} */ kind) => () => app.addFilter({ kind, text });
  const actions = [{ text: 'Zoom to it', key: 'Enter', run: () => app.zoomTo(node) }];
  if (app.model.frames.side(frame) === 'user' || app.model.frames.side(frame) === 'kernel') {
    actions.push(
      { text: 'Callers and callees', key: 's', run: () => app.lookAround(frame) },
      { text: 'Only stacks with it', key: 'f', run: filter('focus') },
      { text: 'No stacks with it', key: 'x', run: filter('ignore') },
      { text: 'Hide its frames', key: 'h', run: filter('hide') },
      { text: 'Find it everywhere', key: '*', run: () => app.find(name) },
    );
  }
  actions.push({ text: 'Copy its name', key: 'c', run: () => copy(app, name) },
    { text: 'Copy its stack', key: 'C', run: () => copy(app, stackOf(app, node)) });
  return actions;
}

/**
 * The frames from the outermost to a node, as a folded stack.
 * @param {App} app
 * @param {number} node
 */
function stackOf(app, node) {
  const { view } = app.graph;
  const names = [];
  for (let at = node; at > 0; at = view.tree.parent[at]) names.push(view.name(at));
  if (view.query.order === 'around') names.push(view.name(0));
  return (view.hasOwn(node) ? names.reverse() : names).join(';');
}

/**
 * @param {App} app
 * @param {string} text
 */
async function copy(app, text) {
  const detail = part('detail');
  try {
    await navigator.clipboard.writeText(text);
    detail.textContent = `Copied: ${text}`;
  } catch {
    // Without the right to the clipboard the text can at least be selected.
    detail.textContent = text;
    getSelection()?.selectAllChildren(detail);
  }
}

/**
 * @param {App} app
 * @param {number} node
 * @param {{clientX: number, clientY: number}} point
 */
function openMenu(app, node, point) {
  app.moveTo(node);
  app.tooltip.hidden = true;
  app.menu.open(app.graph.view.name(node), actionsFor(app, node), point);
}

/**
 * @param {App} app
 * @param {string} form
 */
async function exportAs(app, form) {
  const title = document.title;
  const name = (title.replace(/[^\w.-]+/g, '_') || 'flame').slice(0, 80);
  const svg = (/** @type {string} */ text) => new Blob([text], { type: 'image/svg+xml' });
  const plain = (/** @type {string} */ text, type = 'text/plain') => new Blob([text], { type });
  switch (form) {
    case 'svg': return save(svg(toSvg(app.graph, title)), `${name}.svg`);
    case 'png': return save(await toPng(toSvg(app.graph, title)), `${name}.png`);
    case 'folded': return save(plain(toFolded(app.graph)), `${name}.folded`);
    default: return save(plain(toCsv(app.table), 'text/csv'), `${name}.csv`);
  }
}

/** @param {App} app */
export function listen(app) {
  const select = (/** @type {string} */ id, /** @type {(value: string) => void} */ run) =>
    part(id).addEventListener('change', (event) =>
      run(/** @type {HTMLSelectElement} */ (event.target).value));
  const press = (/** @type {string} */ id, /** @type {() => void} */ run) =>
    part(id).addEventListener('click', run);
  select('type', (type) => app.change({ type, zoom: app.state.zoom }));
  select('order', (order) => app.change({ order: order === 'down' ? undefined : order, zoom: undefined }));
  select('widths', (widths) => app.change({ widths: widths === 'both' ? undefined : widths }));
  select('shares', (shares) => app.change({ shares: shares === '1' }));
  select('way', (way) => app.adjust({ way }));
  press('back', () => app.page.back());
  press('reset', () => app.reset());
  press('flip', () => app.adjust({ flip: !app.state.flip }));
  press('names', () => app.adjust({ byName: !app.state.byName }));
  press('lines', () => app.adjust({ lines: !app.state.lines }));
  press('regex', () => app.adjust({ plain: !app.state.plain }));
  press('fold', () => app.change({ fold: !app.state.fold, zoom: undefined }));
  press('theme', () => app.theme.next());
  press('map', () => app.zoomTo(0));
  press('help-open', () => /** @type {HTMLDialogElement} */ (part('help')).showModal());
  app.search.addEventListener('input', () => app.applySearch());
  part('tools').addEventListener('submit', (event) => {
    event.preventDefault();
    app.nextMatch(1);
  });
  const drop = /** @type {HTMLDetailsElement} */ (part('export'));
  drop.addEventListener('click', (event) => {
    const form = /** @type {HTMLElement} */ (event.target).dataset.export;
    if (form) {
      drop.open = false;
      exportAs(app, form);
    }
  });
  document.addEventListener('pointerdown', (event) => {
    if (!drop.contains(/** @type {Node} */ (event.target))) drop.open = false;
  });
  listenInGraph(app);
  document.addEventListener('keydown', (event) => {
    if (pressKey(app, event)) event.preventDefault();
  });
  const print = part('print');
  window.addEventListener('beforeprint', () => {
    const made = new DOMParser().parseFromString(toSvg(app.graph, document.title), 'image/svg+xml');
    print.replaceChildren(document.importNode(made.documentElement, true));
  });
  window.addEventListener('afterprint', () => print.replaceChildren());
}

/** @param {App} app */
function listenInGraph(app) {
  const { pane, graph } = app;
  const point = (/** @type {PointerEvent | undefined} */ event) => {
    const node = event && graph.nodeAt(event.clientX, event.clientY);
    graph.mark(graph.parts.hover, node);
    pane.classList.toggle('over', node !== undefined);
    if (event && node !== undefined) showTooltip(app.tooltip, graph, node, event);
    else app.tooltip.hidden = true;
  };
  pane.addEventListener('pointermove', point);
  pane.addEventListener('pointerleave', () => point(undefined));
  pane.addEventListener('scroll', () => point(undefined));
  pane.addEventListener('click', (event) => {
    pane.classList.remove('keyboard');
    const node = graph.nodeAt(event.clientX, event.clientY);
    if (node !== undefined) app.zoomTo(node < 0 ? -1 - node : node);
  });
  // A right click, or a long touch.
  pane.addEventListener('contextmenu', (event) => {
    const node = graph.nodeAt(event.clientX, event.clientY);
    if (node === undefined) return;
    event.preventDefault();
    openMenu(app, node < 0 ? -1 - node : node, event);
  });
}

/**
 * Does what a key stands for, if anything.
 * @param {App} app
 * @param {KeyboardEvent} event
 * @returns {boolean}
 */
function pressKey(app, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest('dialog, .menu')) return false;
  if (target === app.search) {
    if (event.key !== 'Escape') return false;
    app.search.value = '';
    app.applySearch();
    app.pane.focus();
    return true;
  }
  const drop = /** @type {HTMLDetailsElement} */ (part('export'));
  if (event.key === 'Escape' && drop.open) {
    drop.open = false;
    drop.querySelector('summary')?.focus();
    return true;
  }
  if (target.closest('input, select')) return false;
  const { model, state } = app;
  switch (event.key) {
    case '/': app.search.focus(); app.search.select(); return true;
    case 'n': app.nextMatch(1); return true;
    case 'N': app.nextMatch(-1); return true;
    case 't': {
      const next = (app.graph.type + 1) % model.types.length;
      app.change({ type: model.types[next].kind });
      return true;
    }
    case 'b': app.change({ order: state.order === 'up' ? undefined : 'up', zoom: undefined }); return true;
    case 'r': app.change({ fold: !state.fold, zoom: undefined }); return true;
    case 'i': app.adjust({ flip: !state.flip }); return true;
    case 'a': app.adjust({ byName: !state.byName }); return true;
    case 'l': app.adjust({ lines: !state.lines && model.hasLines }); return true;
    case 'e': app.adjust({ plain: !state.plain }); return true;
    case 'k': app.adjust({ way: nextWay(app) }); return true;
    case 'd': app.theme.next(); return true;
    case 'u': {
      const last = state.filters.at(-1);
      if (last) app.dropFilter(last);
      return last !== undefined;
    }
    case '?': /** @type {HTMLDialogElement} */ (part('help')).showModal(); return true;
    case 'Backspace':
    case 'Escape': return leave(app);
    default: return target === app.pane && pressInGraph(app, event.key);
  }
}

/** @param {App} app */
function nextWay(app) {
  const ways = Object.keys(WAYS).filter((way) => app.model.diff || way !== 'change');
  return ways[(ways.indexOf(app.way) + 1) % ways.length];
}

/**
 * Back to the view before; with none, the search is given up.
 * @param {App} app
 */
function leave(app) {
  if (app.page.canGoBack) {
    app.page.back();
  } else if (app.search.value) {
    app.search.value = '';
    app.applySearch();
  } else {
    return false;
  }
  return true;
}

/**
 * @param {App} app
 * @param {string} key
 */
function pressInGraph(app, key) {
  const { graph } = app;
  const arrows = /** @type {Record<string, 'up' | 'down' | 'left' | 'right'>} */ (
    { ArrowUp: 'up', ArrowDown: 'down', ArrowLeft: 'left', ArrowRight: 'right' });
  if (key in arrows) {
    app.moveTo(graph.neighbour(arrows[key]));
    return true;
  }
  if (key === 'Home') {
    app.zoomTo(0);
    return true;
  }
  if (key === 'm' || key === 'ContextMenu') {
    const box = graph.parts.cursor.getBoundingClientRect();
    openMenu(app, graph.cursor, { clientX: box.left, clientY: box.bottom });
    return true;
  }
  const action = actionsFor(app, graph.cursor).find((one) => one.key === key);
  action?.run();
  return action !== undefined;
}
