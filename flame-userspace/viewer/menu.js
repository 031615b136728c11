// What can be done with a frame, as a menu beside it.

import { element, placeAt } from './tooltip.js';

/** @typedef {{text: string, key: string, run: () => void}} Action */

export class FrameMenu {
  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} home what has the focus again afterwards
   */
  constructor(box, home) {
    this.box = box;
    this.home = home;
    box.addEventListener('keydown', (event) => this.#press(event));
    document.addEventListener('pointerdown', (event) => {
      if (!box.hidden && !box.contains(/** @type {Node} */ (event.target))) this.close(false);
    });
  }

  /**
   * @param {string} title
   * @param {Action[]} actions
   * @param {{clientX: number, clientY: number}} point
   */
  open(title, actions, point) {
    const items = actions.map(({ text, key, run }) => {
      const item = element('button', text);
      item.setAttribute('type', 'button');
      item.setAttribute('role', 'menuitem');
      item.setAttribute('tabindex', '-1');
      item.append(element('kbd', key));
      item.addEventListener('click', () => {
        this.close(true);
        run();
      });
      return item;
    });
    const head = element('strong', title);
    head.setAttribute('role', 'presentation');
    this.box.replaceChildren(head, ...items);
    this.box.hidden = false;
    placeAt(this.box, point, 2);
    items[0].focus();
  }

  /** @param {boolean} focus whether the graph gets the focus */
  close(focus) {
    this.box.hidden = true;
    if (focus) this.home.focus();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const items = /** @type {HTMLElement[]} */ ([...this.box.querySelectorAll('button')]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1 });
    if (event.key in steps) items[(at + steps[event.key] + items.length) % items.length].focus();
    else if (event.key === 'Home') items[0].focus();
    else if (event.key === 'End') items[items.length - 1].focus();
    else if (event.key === 'Escape' || event.key === 'Tab') this.close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
