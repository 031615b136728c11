// What is shown, in the page's address, so that it can be linked to and the browser's Back button
// goes through the views.

/**
 * @typedef {object} State
 * @property {string} [type]
 * @property {string} [order]
 * @property {string} [of] the function to look around from, as name and module
 * @property {boolean} fold
 * @property {boolean} flip
 * @property {boolean} byName whether neighbours stand in the order of their names
 * @property {boolean} lines whether the table is of source lines
 * @property {boolean} plain whether the search is no regular expression
 * @property {import('./view.js').Filter[]} filters
 * @property {string} [widths]
 * @property {boolean} shares
 * @property {string} [way]
 * @property {string} [zoom] a path hash
 * @property {string} [search]
 */

/** The names that the texts of a state have in an address. */
const TEXTS = /** @type {const} */ ([['type', 't'], ['order', 'v'], ['of', 'of'], ['widths', 'w'],
  ['way', 'c'], ['zoom', 'z'], ['search', 'q']]);
const FLAGS = /** @type {const} */ ([['fold', 'fold'], ['flip', 'flip'], ['shares', 'shares'],
  ['byName', 'names'], ['lines', 'lines'], ['plain', 'plain']]);

/**
 * @param {string} hash
 * @returns {State}
 */
export function parseState(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, ''));
  /** @type {State} */
  const state = { fold: false, flip: false, shares: false, byName: false, lines: false,
    plain: false, filters: [] };
  for (const [name, word] of TEXTS) state[name] = words.get(word) ?? undefined;
  for (const [name, word] of FLAGS) state[name] = words.get(word) === '1';
  for (const [word, text] of words) {
    if (word === 'focus' || word === 'ignore' || word === 'hide') {
      state.filters.push({ kind: word, text });
    } else if (word.startsWith('l.')) {
      state.filters.push({ kind: 'label', key: word.slice(2), text });
    }
  }
  return state;
}

/** @param {State} state */
export function formatState(state) {
  const words = new URLSearchParams();
  for (const [name, word] of TEXTS) {
    const text = state[name];
    if (text) words.append(word, text);
  }
  for (const [name, word] of FLAGS) if (state[name]) words.append(word, '1');
  for (const filter of state.filters) {
    words.append(filter.kind === 'label' ? `l.${filter.key}` : filter.kind, filter.text);
  }
  const text = words.toString();
  return text && `#${text}`;
}

/** The views that a reader went through. */
export class PageState {
  /** @param {(state: State) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    /** Where the browser keeps no history for the page (in some frames), we do. */
    /** @type {{hash: string, depth: number}[]} */
    this.kept = [];
    this.current = location.hash;
    this.depth = this.#depthOf(history.state);
    window.addEventListener('popstate', (event) => {
      this.current = location.hash;
      this.depth = this.#depthOf(event.state);
      onChange(this.read());
    });
  }

  /** @param {any} state */
  #depthOf(state) {
    return typeof state?.flame === 'number' ? state.flame : 0;
  }

  /** @returns {State} */
  read() {
    return parseState(this.current);
  }

  /** Whether there is a view to go back to. */
  get canGoBack() {
    return this.depth > 0;
  }

  /**
   * A view of its own, which Back leaves.
   * @param {State} state
   */
  push(state) {
    const hash = formatState(state);
    if (hash === this.current) return;
    const before = { hash: this.current, depth: this.depth };
    this.current = hash;
    this.depth++;
    try {
      history.pushState({ flame: this.depth }, '', hash || '#');
    } catch {
      this.kept.push(before);
    }
  }

  /**
   * The same view, seen otherwise.
   * @param {State} state
   */
  replace(state) {
    const hash = formatState(state);
    if (hash === this.current) return;
    this.current = hash;
    try {
      history.replaceState({ flame: this.depth }, '', hash || '#');
    } catch {
      // The address stays as it was; the view is as wanted.
    }
  }

  back() {
    const kept = this.kept.pop();
    if (kept) {
      this.current = kept.hash;
      this.depth = kept.depth;
      this.onChange(this.read());
    } else if (this.canGoBack) {
      history.back();
    }
  }
}
