// Which samples and frames are shown: a chip for each filter, and a choice for each label.

import { element } from './tooltip.js';
import { formatShare } from './units.js';

/** @typedef {import('./view.js').Filter} Filter */

/** The labels that are offered, and what one is called. Others follow, as they are. */
const LABELS = new Map([['comm', 'process'], ['pid', 'process ID'], ['thread', 'thread'],
  ['tid', 'thread ID']]);
/** No list is longer. */
const MOST_VALUES = 200;

/** @type {Record<string, string>} */
const VERBS = { focus: 'only stacks with', ignore: 'no stacks with', hide: 'without frames of' };

/**
 * A filter in words.
 * @param {Filter} filter
 */
function wording(filter) {
  if (filter.kind === 'label') return `${LABELS.get(filter.key) ?? filter.key}: ${filter.text}`;
  return `${VERBS[filter.kind]} ${filter.text}`;
}

/**
 * Whether two filters are the same.
 * @param {Filter} a
 * @param {Filter} b
 */
export function sameFilter(a, b) {
  return wording(a) === wording(b);
}

/**
 * Shows the filters, each with a button that undoes it.
 * @param {HTMLElement} list
 * @param {Filter[]} filters
 * @param {string} [around] the function that the view is around
 * @param {(filter: Filter | undefined) => void} remove undefined is the view around a function
 */
export function showChips(list, filters, around, remove) {
  const chip = (/** @type {string} */ text, /** @type {Filter | undefined} */ filter) => {
    const item = element('li', '', 'chip');
    item.append(element('span', text));
    const button = element('button', '×');
    button.setAttribute('type', 'button');
    button.setAttribute('aria-label', `Undo: ${text}`);
    button.addEventListener('click', () => remove(filter));
    item.append(button);
    return item;
  };
  const items = filters.map((filter) => chip(wording(filter), filter));
  if (around !== undefined) items.unshift(chip(`callers and callees of ${around}`, undefined));
  list.replaceChildren(...items);
}

/**
 * Offers the labels that have more than one value.
 * @param {HTMLElement} place
 * @param {import('./model.js').Model} model
 * @param {(filter: Filter) => void} add
 */
export function offerLabels(place, model, add) {
  const weights = new Float64Array(model.labelSets.length);
  const values = model.values[model.shown];
  let whole = 0;
  for (let sample = 0; sample < model.samples; sample++) {
    weights[model.sampleLabels[sample]] += values[sample];
    whole += values[sample];
  }
  /** @type {Map<string, Map<string, number>>} */
  const byKey = new Map([...LABELS.keys()].map((key) => [key, new Map()]));
  model.labelSets.forEach((set, row) => {
    for (const [key, text] of set) {
      const of = byKey.get(key) ?? new Map();
      byKey.set(key, of.set(text, (of.get(text) ?? 0) + weights[row]));
    }
  });
  const selects = [];
  for (const [key, of] of byKey) {
    if (of.size < 2) continue;
    // Numbers tell no more than names where there are as many.
    const name = { pid: 'comm', tid: 'thread' }[key];
    if (name && byKey.get(name)?.size === of.size) continue;
    const what = LABELS.get(key) ?? key;
    const select = /** @type {HTMLSelectElement} */ (element('select', ''));
    select.setAttribute('aria-label', `Only one ${what}`);
    select.append(element('option', `${what}: all ${of.size}`));
    const ranked = [...of].sort((a, b) => b[1] - a[1]).slice(0, MOST_VALUES);
    for (const [text, weight] of ranked) {
      const share = whole > 0 ? ` (${formatShare(weight, whole)})` : '';
      const option = element('option', `${text}${share}`);
      option.setAttribute('value', text);
      select.append(option);
    }
    select.addEventListener('change', () => {
      if (select.selectedIndex > 0) add({ kind: 'label', key, text: select.value });
      select.selectedIndex = 0;
    });
    selects.push(select);
  }
  place.replaceChildren(...selects);
}
