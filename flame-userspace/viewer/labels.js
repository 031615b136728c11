// The texts in the boxes. No DOM here.

import { nameForms } from './names.js';

/** Cuts names to widths. What it has measured once it keeps. */
export class Labels {
  /**
   * @param {import('./model.js').Frames} frames
   * @param {(char: string) => number} measure the width of a character
   */
  constructor(frames, measure) {
    this.frames = frames;
    this.measure = measure;
    /** @type {Map<string, number>} */
    this.widths = new Map();
    /** @type {Map<number, string[]>} */
    this.forms = new Map();
  }

  /**
   * The longest form of the frame's name that fits; if none does, the shortest one cut.
   * @param {number} frame
   * @param {number} width
   */
  fit(frame, width) {
    let forms = this.forms.get(frame);
    if (!forms) this.forms.set(frame, forms = nameForms(this.frames.name(frame)));
    for (const form of forms) if (this.fitting(form, width) === form.length) return form;
    const shortest = forms[forms.length - 1];
    const length = this.fitting(shortest, width - this.width('…'));
    return length > 0 ? `${shortest.slice(0, length).trimEnd()}…` : '';
  }

  /**
   * How much of `text` fits into `width`, in UTF-16 units and whole characters.
   * @param {string} text
   * @param {number} width
   */
  fitting(text, width) {
    let used = 0;
    let length = 0;
    for (const char of text) {
      used += this.width(char);
      if (used > width) break;
      length += char.length;
    }
    return length;
  }

  /** @param {string} char */
  width(char) {
    let width = this.widths.get(char);
    if (width === undefined) this.widths.set(char, width = this.measure(char));
    return width;
  }
}
