// The page at work: the state, and the parts that show it.

import { WAYS, colouring } from './colours.js';
import { offerLabels, sameFilter, showChips } from './filters.js';
import { showFirst } from './first.js';
import { Flamegraph } from './flamegraph.js';
import { FrameMenu } from './menu.js';
import { showMap } from './minimap.js';
import { showMirror } from './mirror.js';
import { shortName } from './names.js';
import { shadedFills, SHADES } from './palette.js';
import { findFrames, heaviestMatch, parseSearch, quoted } from './search.js';
import { PageState } from './state.js';
import { FunctionTable } from './table.js';
import { caveats, element, matchedText, sentence } from './tooltip.js';
import { typeMeaning, typeName } from './types.js';
import { formatCount, formatError, formatShare, formatValue } from './units.js';
import { View } from './view.js';

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export function part(id) {
  return /** @type {T} */ (document.getElementById(id));
}

/** What takes longer waits so long after a frame of the screen began, for it to be seen. */
const AFTER_PAINT_MS = 50;

export class App {
  /**
   * @param {import('./model.js').Model} model
   * @param {import('./theme.js').Theme} theme
   */
  constructor(model, theme) {
    this.model = model;
    this.theme = theme;
    this.page = new PageState((state) => this.show(state));
    /** @type {import('./state.js').State} */
    this.state = this.page.read();
    this.pane = part('graph');
    this.tooltip = part('tooltip');
    this.search = /** @type {HTMLInputElement} */ (part('search'));
    this.select = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ (part(id));
    this.graph = new Flamegraph(new View(model, this.#query()), {
      pane: this.pane,
      space: part('space'),
      canvas: /** @type {HTMLCanvasElement} */ (part('canvas')),
      hover: part('hover'),
      cursor: part('cursor'),
    }, theme);
    this.menu = new FrameMenu(part('menu'), this.pane);
    this.table = new FunctionTable(this.graph, {
      table: part('table'),
      title: part('table-title'),
      more: part('more'),
    }, { find: (name) => this.find(name), around: (frame) => this.lookAround(frame) });
    this.#offer();
    theme.onChange(() => this.showColours());
  }

  /** Fills the choices. */
  #offer() {
    const { types, diff } = this.model;
    const option = (/** @type {string} */ value, /** @type {string} */ text) => {
      const made = element('option', text);
      made.setAttribute('value', value);
      return made;
    };
    this.select('type').append(...types.map((type) => option(type.kind, typeName(type))));
    part('type-label').hidden = types.length < 2;
    part('lines').hidden = !this.model.hasLines;
    document.documentElement.classList.toggle('diff', diff !== undefined);
    this.select('way').append(...Object.entries(WAYS)
      .filter(([way]) => diff || way !== 'change').map(([way, text]) => option(way, text)));
    offerLabels(part('labels'), this.model, (filter) => this.addFilter(filter));
  }

  /** What the state means to a view; what it does not know of is as at first. */
  #query() {
    const { state, model } = this;
    const type = model.types.findIndex(({ kind }) => kind === state.type);
    const of = state.of === undefined ? -1 : this.#functionOf(state.of);
    const order = state.order === 'up' ? 'up' : state.order === 'around' && of >= 0 ? 'around' : 'down';
    return /** @type {import('./view.js').Query} */ ({
      type: type < 0 ? model.shown : type,
      order,
      of,
      fold: state.fold,
      filters: state.filters,
      widths: state.widths === 'new' || state.widths === 'base' ? state.widths : 'both',
      shares: state.shares,
    });
  }

  /**
   * The function of a name and module, as `of` in the state has it.
   * @param {string} text
   */
  #functionOf(text) {
    const { frames } = this.model;
    const sides = ['user', 'kernel'];
    return frames.functions.findIndex((frame) =>
      sides.includes(frames.side(frame)) && this.#textOf(frame) === text);
  }

  /** @param {number} frame */
  #textOf(frame) {
    return `${this.model.frames.name(frame)} (${this.model.frames.module(frame)})`;
  }

  /** Shows what the page's address says. */
  start() {
    this.show(this.state);
  }

  /**
   * @param {import('./state.js').State} state
   */
  show(state) {
    this.state = state;
    const query = this.#query();
    const { graph } = this;
    graph.view = this.#viewOf(query);
    graph.type = query.type;
    graph.flipped = state.flip;
    graph.byName = state.byName;
    this.table.lines = state.lines && this.model.hasLines;
    const zoom = state.zoom === undefined ? 0 : graph.view.nodeOfHash(state.zoom) ?? 0;
    const parsed = parseSearch(state.search ?? '', state.plain);
    graph.found = parsed && findFrames(this.model.frames, parsed.expression);
    if (this.search.value !== (state.search ?? '')) this.search.value = state.search ?? '';
    this.#showControls(query);
    this.tooltip.hidden = true;
    graph.colours = colouring(graph.view, query.type, this.way);
    this.showColours();
    graph.zoomTo(zoom);
    this.#describe(zoom);
    this.showMatched();
    this.#showStatus();
    this.#later();
  }

  /**
   * The view before, if it shows the same: what it has added up stays of use.
   * @param {import('./view.js').Query} query
   */
  #viewOf(query) {
    const { type: _, ...shape } = query;
    const key = JSON.stringify(shape);
    if (key !== this.viewKey || !this.view) this.view = new View(this.model, query);
    this.viewKey = key;
    return this.view;
  }

  /** @param {import('./view.js').Query} query */
  #showControls(query) {
    const { state, model } = this;
    this.select('type').value = model.types[query.type].kind;
    this.select('order').value = query.order;
    const around = this.select('order').options[2];
    around.disabled = query.of < 0;
    const frame = query.of < 0 ? -1 : model.frames.functions[query.of];
    this.select('widths').value = query.widths;
    this.select('shares').value = query.shares ? '1' : '';
    this.select('way').value = this.way;
    for (const [id, on] of /** @type {[string, boolean][]} */ ([['flip', state.flip], ['fold', state.fold],
      ['names', state.byName], ['lines', this.table.lines], ['regex', !state.plain]])) {
      part(id).setAttribute('aria-pressed', String(on));
    }
    this.search.placeholder = `Search functions and modules (${state.plain ? 'plain text' : 'regex'})`;
    part('theme').textContent = `Theme: ${this.theme.choice}`;
    showChips(part('chips'), state.filters,
      query.order === 'around' ? shortName(model.frames.name(frame)) : undefined,
      (filter) => (filter ? this.dropFilter(filter) : this.change({ order: undefined, zoom: undefined })));
    const meaning = typeMeaning(model.types[query.type]);
    part('meaning').textContent = meaning;
    part('meaning').hidden = meaning === '';
    /** @type {HTMLButtonElement} */ (part('back')).disabled = !this.page.canGoBack;
    /** @type {HTMLButtonElement} */ (part('reset')).disabled = state.zoom === undefined
      && state.filters.length === 0 && query.order !== 'around';
  }

  /** @returns {import('./colours.js').Way} */
  get way() {
    const wanted = this.state.way;
    const usual = this.model.diff ? 'change' : 'module';
    const known = wanted !== undefined && Object.hasOwn(WAYS, wanted)
      && (wanted !== 'change' || this.model.diff);
    return known ? /** @type {import('./colours.js').Way} */ (wanted) : usual;
  }

  /** The legend and the map, which are of the theme's colours. */
  showColours() {
    const { colours } = this.graph;
    if (!colours) return;
    const fills = shadedFills(this.theme.palette, colours.fills, 0);
    part('legend').replaceChildren(...colours.legend.map(({ name, slot }) => {
      const item = element('li', name);
      const swatch = element('span', '', 'swatch');
      swatch.style.background = fills[slot * SHADES];
      item.prepend(swatch);
      return item;
    }));
    part('theme').textContent = `Theme: ${this.theme.choice}`;
    this.#showMap();
  }

  #showMap() {
    showMap(this.graph, part('map'), /** @type {HTMLCanvasElement} */ (part('map-canvas')));
  }

  #showStatus() {
    const { model } = this;
    const { header, types, diff } = model;
    const { view, type } = this.graph;
    const { unit } = types[type];
    const whole = (/** @type {number} */ of) =>
      model.values[of].subarray(0, model.newSamples).reduce((sum, value) => sum + value, 0);
    const shown = view.totals(type)[0];
    const name = typeName(types[type]);
    const all = whole(type);
    const share = all > 0 ? ` (${formatShare(shown, all)})` : '';
    // The clock's samples are many, and told beside.
    const error = !diff && model.heapPair(type) ? view.errorOfAll(type) : undefined;
    const texts = [shown === all ? `${formatValue(all, unit)} ${name}`
      : `${formatValue(shown, unit)} of ${formatValue(all, unit)} ${name}${share}`, ...caveats(view, type)];
    if (error && shown > 0) texts.push(`standard error ${formatError(error, shown)}`);
    const stated = header.errors?.[type];
    if (!error && stated && shown === all && all > 0) {
      texts.push(`standard error ${formatError(stated * all, all)}`);
    }
    if (diff) {
      texts.push(`${diff.new} against ${diff.base}`);
      const ratio = view.ratio(type);
      if (ratio !== 1) texts.push(`base × ${ratio.toPrecision(4)}`);
    }
    const counted = model.typeOf('samples');
    if (counted >= 0 && counted !== type) texts.push(`${formatCount(whole(counted))} samples`);
    if (!diff) texts.push(`${formatCount(model.samples)} distinct stacks`);
    if (header.duration_ns > 0) {
      texts.push(`recorded for ${formatValue(header.duration_ns, 'nanoseconds')}`);
    }
    if (header.start_ms > 0) {
      const start = new Date(header.start_ms).toISOString();
      texts.push(`${start.slice(0, 10)} ${start.slice(11, 19)} UTC`);
    }
    part('status').textContent = texts.join(' · ');
  }

  /** What takes longer to add up is shown after the graph was painted. */
  #later() {
    const asked = (this.asked ?? 0) + 1;
    this.asked = asked;
    requestAnimationFrame(() => setTimeout(() => {
      if (asked !== this.asked) return;
      showMirror(part('mirror'), this.pane, this.graph);
      this.table.update();
      this.#showFirst();
      this.#showMap();
    }, AFTER_PAINT_MS));
  }

  /** What the cards tell is of all that is shown, and the same at any zoom. */
  #showFirst() {
    const { view, type } = this.graph;
    if (view === this.firstView && type === this.firstType) return;
    [this.firstView, this.firstType] = [view, type];
    showFirst(part('first'), part('first-title'), this.table, {
      find: (frame) => this.find(this.model.frames.name(frame)),
      zoom: (node) => this.zoomTo(node),
    });
  }

  /** @param {number} node */
  #describe(node) {
    const prefix = node === this.graph.zoom && node !== 0 ? 'Zoomed: ' : '';
    part('detail').textContent = prefix + sentence(this.graph, node);
  }

  /** @param {number} node */
  tell(node) {
    this.#describe(node);
    showMirror(part('mirror'), this.pane, this.graph);
  }

  /**
   * Another view, which Back leaves.
   * @param {Partial<import('./state.js').State>} changes
   */
  change(changes) {
    this.state = { ...this.state, ...changes };
    this.page.push(this.state);
    this.show(this.state);
  }

  /**
   * The same view, seen otherwise.
   * @param {Partial<import('./state.js').State>} changes
   */
  adjust(changes) {
    const { graph } = this;
    this.state = { ...this.state, ...changes };
    this.page.replace(this.state);
    const at = graph.cursor;
    this.show(this.state);
    graph.moveTo(at);
  }

  /** @param {number} node */
  zoomTo(node) {
    if (node === this.graph.zoom) return;
    this.state = { ...this.state, zoom: node === 0 ? undefined : this.graph.view.pathHash(node) };
    this.page.push(this.state);
    const { graph } = this;
    this.tooltip.hidden = true;
    graph.zoomTo(node);
    this.#showControls(this.#query());
    this.#describe(node);
    this.showMatched();
    this.#later();
  }

  /** Everything that was narrowed is shown again. */
  reset() {
    this.change({ zoom: undefined, filters: [], order: this.state.order === 'up' ? 'up' : undefined });
  }

  /** @param {number} frame */
  lookAround(frame) {
    this.change({ order: 'around', of: this.#textOf(frame), zoom: undefined });
  }

  /** @param {import('./view.js').Filter} filter */
  addFilter(filter) {
    if (this.state.filters.some((other) => sameFilter(other, filter))) return;
    this.change({ filters: [...this.state.filters, filter], zoom: undefined });
  }

  /** @param {import('./view.js').Filter} filter */
  dropFilter(filter) {
    const filters = this.state.filters.filter((other) => !sameFilter(other, filter));
    this.change({ filters, zoom: undefined });
  }

  /**
   * Searches for one function.
   * @param {string} name
   */
  find(name) {
    this.search.value = `^${quoted(name)}$`;
    this.state = { ...this.state, plain: false };
    part('regex').setAttribute('aria-pressed', 'true');
    this.applySearch();
  }

  applySearch() {
    const { value } = this.search;
    const parsed = parseSearch(value, this.state.plain);
    this.graph.found = parsed && findFrames(this.model.frames, parsed.expression);
    this.state = { ...this.state, search: value || undefined };
    this.page.replace(this.state);
    this.graph.ask();
    this.showMatched();
    this.table.show();
  }

  showMatched() {
    const { found, type, zoom, view } = this.graph;
    const place = part('matched');
    if (!found) {
      place.textContent = '';
      return;
    }
    let text = matchedText(view, type, zoom, found);
    if (parseSearch(this.search.value, this.state.plain)?.plain) text += ', as plain text';
    place.textContent = text;
  }

  /** @param {number} step */
  nextMatch(step) {
    const { graph } = this;
    const matches = graph.matches();
    if (matches.length === 0) {
      // All are too narrow to draw here, or there is none.
      const node = graph.found && heaviestMatch(graph.view, graph.type, graph.zoom, graph.found);
      if (node !== undefined) this.zoomTo(node);
      return;
    }
    const at = matches.indexOf(graph.cursor);
    const next = at < 0 && step < 0 ? -1 : at + step;
    this.moveTo(matches[(next + matches.length) % matches.length]);
  }

  /** @param {number | undefined} node */
  moveTo(node) {
    if (node === undefined) return;
    this.pane.classList.add('keyboard');
    this.graph.moveTo(node);
    this.tell(node);
  }
}
