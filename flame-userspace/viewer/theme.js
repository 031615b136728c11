// Light or dark: as the system has it, or as the reader chose.

import { PALETTES } from './palette.js';

const KEY = 'flame-theme';
const CHOICES = /** @type {const} */ (['auto', 'light', 'dark']);

export class Theme {
  constructor() {
    this.system = matchMedia('(prefers-color-scheme: dark)');
    /** @type {(() => void)[]} */
    this.listeners = [];
    /** @type {typeof CHOICES[number]} */
    this.choice = 'auto';
    try {
      this.choice = CHOICES.find((choice) => choice === localStorage.getItem(KEY)) ?? 'auto';
    } catch {
      // A page may be kept from its storage; then the choice lasts as long as the page.
    }
    this.system.addEventListener('change', () => this.#apply());
    this.#apply();
  }

  get palette() {
    return this.dark ? PALETTES.dark : PALETTES.light;
  }

  /** @param {() => void} listener */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** The next of the choices. */
  next() {
    this.choice = CHOICES[(CHOICES.indexOf(this.choice) + 1) % CHOICES.length];
    try {
      localStorage.setItem(KEY, this.choice);
    } catch {
      // As above.
    }
    this.#apply();
  }

  #apply() {
    // Kept, as to ask the browser costs more than to draw a box.
    this.dark = this.choice === 'auto' ? this.system.matches : this.choice === 'dark';
    document.documentElement.dataset.theme = this.choice;
    for (const listener of this.listeners) listener();
  }
}
