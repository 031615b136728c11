// What is shown of the profile: which samples, in which tree, and the values there. No DOM here.

import { Lines } from './lines.js';
import { reshape, surround, turn } from './shape.js';
import { findFrames, parseSearch } from './search.js';

/**
 * @typedef {{kind: 'focus' | 'ignore' | 'hide', text: string}
 *   | {kind: 'label', key: string, text: string}} Filter
 */

/**
 * @typedef {object} Query
 * @property {number} type
 * @property {'down' | 'up' | 'around'} order callers first, callees first, around one function
 * @property {number} of the function to look around from; -1 for none
 * @property {boolean} fold whether recursion is collapsed
 * @property {Filter[]} filters
 * @property {'both' | 'new' | 'base'} widths of a difference
 * @property {boolean} shares whether a difference is that of shares
 */

/** @typedef {{frame: number, line: number, self: number, total: number}} FunctionRow */

/** The sides of a difference. Without one all is new. */
export const NEW = 0;
export const BASE = 1;

export class View {
  /**
   * @param {import('./model.js').Model} model
   * @param {Query} query
   */
  constructor(model, query) {
    this.model = model;
    this.query = query;
    this.#pick();
    this.#shape();
    /** @type {Map<string, any>} what was added up already */
    this.kept = new Map();
  }

  /** Which samples are shown. */
  #pick() {
    const { model, query } = this;
    const { tree, frames, labelSets, sampleNodes, sampleLabels } = model;
    const { filters } = query;
    this.filtered = filters.some((filter) => filter.kind !== 'hide');
    if (!this.filtered) return;
    const labels = filters.filter((filter) => filter.kind === 'label');
    const keys = new Set(labels.map((filter) => filter.key));
    const setPicked = labelSets.map((set) => [...keys].every((key) =>
      labels.some((filter) => filter.key === key
        && set.some(([name, text]) => name === key && text === filter.text))));
    /** @type {Uint8Array[]} */
    const wanted = [];
    /** @type {Uint8Array[]} */
    const unwanted = [];
    for (const filter of filters) {
      const parsed = filter.kind !== 'label' && parseSearch(filter.text);
      if (!parsed || filter.kind === 'hide') continue;
      const on = onPath(tree, findFrames(frames, parsed.expression));
      (filter.kind === 'focus' ? wanted : unwanted).push(on);
    }
    /** @type {Uint8Array | undefined} by sample */
    this.picked = Uint8Array.from(sampleNodes, (node, sample) =>
      setPicked[sampleLabels[sample]] && wanted.every((on) => on[node])
        && !unwanted.some((on) => on[node]) ? 1 : 0);
  }

  /** The trees: all frames that are not hidden, and what is drawn of them. */
  #shape() {
    const { model, query } = this;
    const { functionOf, functions } = model.frames;
    const hiding = query.filters.filter((filter) => filter.kind === 'hide');
    /** @type {Uint8Array | undefined} */
    let hidden;
    for (const { text } of hiding) {
      const parsed = parseSearch(text);
      const found = parsed && findFrames(model.frames, parsed.expression);
      if (found) hidden = hidden ? hidden.map((was, frame) => was | found[frame]) : found;
    }
    this.hidden = hidden;
    /** The tree of all stacks, callers first. */
    this.stacks = model.tree;
    /** @type {Int32Array | undefined} by node of the profile's tree */
    this.toStacks = undefined;
    if (hidden || query.fold) {
      const shape = reshape(model.tree, functionOf, hidden, query.fold);
      this.stacks = shape.tree;
      [this.toStacks] = shape.ends;
    }
    this.tree = this.stacks;
    /** @type {Int32Array[] | undefined} by node of the stacks' tree */
    this.toDrawn = undefined;
    /** Whether the outermost callers of some stacks are not in the drawn tree: they would be too many. */
    this.cut = false;
    if (query.order === 'down') return;
    const shape = query.order === 'up'
      ? turn(this.stacks, functionOf, functions, this.#ending())
      : surround(this.stacks, functionOf, functions, query.of);
    this.tree = shape.tree;
    this.toDrawn = shape.ends;
    this.cut = shape.cut;
  }

  /** The nodes at which picked samples end. */
  #ending() {
    const ending = new Uint8Array(this.stacks.count);
    const { sampleNodes } = this.model;
    for (let sample = 0; sample < sampleNodes.length; sample++) {
      if (this.picked && !this.picked[sample]) continue;
      const node = sampleNodes[sample];
      ending[this.toStacks ? this.toStacks[node] : node] = 1;
    }
    return ending;
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => T} make
   * @returns {T}
   */
  #keep(key, make) {
    if (!this.kept.has(key)) this.kept.set(key, make());
    return this.kept.get(key);
  }

  /**
   * The value of the samples that end at each node of the stacks' tree.
   * @param {number} type
   * @param {number} side
   * @param {boolean} [variance] the variances instead
   * @param {Lines} [lines] without the samples that have other lines than their nodes
   */
  #ends(type, side, variance = false, lines = undefined) {
    const { model, picked, toStacks } = this;
    const { sampleNodes } = model;
    const ends = new Float64Array(this.stacks.count);
    const values = variance ? model.variances(type) : model.values[type];
    if (!values) return ends;
    const scale = side === BASE ? this.ratio(type) ** (variance ? 2 : 1) : 1;
    const [first, last] = this.#samplesOf(side);
    for (let sample = first; sample < last; sample++) {
      if ((picked && !picked[sample]) || lines?.hasOther(sample)) continue;
      const node = sampleNodes[sample];
      ends[toStacks ? toStacks[node] : node] += values[sample] * scale;
    }
    return ends;
  }

  /** The first sample of a side, and the one behind its last. */
  #samplesOf(/** @type {number} */ side) {
    const { newSamples, samples } = this.model;
    return side === BASE ? [newSamples, samples] : [0, newSamples];
  }

  /**
   * What the base's values are multiplied with.
   * @param {number} type
   */
  ratio(type) {
    const { model, query } = this;
    if (!model.diff) return 1;
    if (!query.shares) return model.diff.ratios[type];
    const sum = (/** @type {number} */ first, /** @type {number} */ last) =>
      model.values[type].subarray(first, last).reduce((a, b) => a + b, 0);
    const [now, before] = [sum(0, model.newSamples), sum(model.newSamples, model.samples)];
    return now > 0 && before > 0 ? now / before : model.diff.ratios[type];
  }

  /**
   * By node of the drawn tree, the value of the samples that end there.
   * @param {number} type
   * @param {number} [side]
   * @returns {Float64Array}
   */
  own(type, side = NEW) {
    return this.#keep(`own ${type} ${side}`, () => this.#drawn(this.#ends(type, side)));
  }

  /** @param {Float64Array} ends by node of the stacks' tree */
  #drawn(ends) {
    if (!this.toDrawn) return ends;
    const own = new Float64Array(this.tree.count);
    for (const to of this.toDrawn) {
      for (let node = 0; node < ends.length; node++) if (to[node] >= 0) own[to[node]] += ends[node];
    }
    return own;
  }

  /**
   * By node of the drawn tree, the value of the samples that end at or below it.
   * @param {number} type
   * @param {number} [side]
   * @returns {Float64Array}
   */
  totals(type, side = NEW) {
    return this.#keep(`total ${type} ${side}`, () => this.tree.addUp(this.own(type, side).slice()));
  }

  /**
   * By node of the drawn tree, the standard error of its total; of a difference, that of the
   * difference. Undefined where the profile does not tell how it was sampled.
   * @param {number} type
   * @returns {Float64Array | undefined}
   */
  errors(type) {
    if (!this.model.variances(type)) return undefined;
    return this.#keep(`error ${type}`, () => {
      const of = (/** @type {number} */ side) =>
        this.tree.addUp(this.#drawn(this.#ends(type, side, true)));
      const sum = of(NEW);
      if (this.model.diff) {
        const base = of(BASE);
        for (let node = 0; node < sum.length; node++) sum[node] += base[node];
      }
      return sum.map((variance) => Math.sqrt(variance));
    });
  }

  /**
   * The standard error of all that is shown; undefined as for `errors`.
   * @param {number} type
   */
  errorOfAll(type) {
    const variances = this.model.variances(type);
    if (!variances) return undefined;
    let sum = 0;
    for (let sample = 0; sample < this.model.newSamples; sample++) {
      if (!this.picked || this.picked[sample]) sum += variances[sample];
    }
    return Math.sqrt(sum);
  }

  /**
   * By node of the drawn tree, what its box is as wide as.
   * @param {number} type
   * @returns {Float64Array}
   */
  widths(type) {
    const { widths } = this.query;
    if (!this.model.diff || widths === 'new') return this.totals(type, NEW);
    if (widths === 'base') return this.totals(type, BASE);
    return this.#keep(`width ${type}`, () => {
      const base = this.totals(type, BASE);
      return this.totals(type, NEW).map((value, node) => value + base[node]);
    });
  }

  /**
   * The callees of a node (callers where they stand above it), widest first.
   * @param {number} node
   * @param {number} type
   * @param {boolean} [above] the callers of the root
   */
  children(node, type, above = false) {
    const children = this.tree.children(node, above);
    const { model, query } = this;
    const asStored = this.tree === model.tree && type === model.shown && !this.filtered
      && query.widths === 'both' && !query.shares;
    if (!asStored && children.length > 1) {
      const widths = this.widths(type);
      children.sort((a, b) => widths[b] - widths[a] || a - b);
    }
    return children;
  }

  /** Whether a node's own value is that of its function. */
  hasOwn(/** @type {number} */ node) {
    const { order } = this.query;
    return order === 'down' || (order === 'around' && node < this.tree.split);
  }

  /**
   * How many rows a node stands below the root; below zero above it.
   * @param {number} node
   */
  depth(node) {
    return node >= this.tree.split ? -this.tree.level[node] : this.tree.level[node];
  }

  /** @param {number} node */
  name(node) {
    return this.model.frames.name(this.tree.frameOf[node]);
  }

  /** @param {number} node */
  line(node) {
    return this.model.line(this.tree.source ? this.tree.source[node] : node);
  }

  /**
   * By node of the stacks' tree, the value of the samples at or below `node` of the drawn tree.
   * @param {number} node
   * @param {number} type
   * @param {number} side
   * @param {Lines} [lines] without the samples that have other lines than their nodes
   */
  within(node, type, side, lines = undefined) {
    const ends = this.#ends(type, side, false, lines);
    const isWithin = this.#isWithin(node);
    for (let at = 0; at < ends.length; at++) if (!isWithin(at)) ends[at] = 0;
    return ends;
  }

  /**
   * Tells whether samples that end at a node of the stacks' tree are at or below one of the drawn tree.
   * @param {number} node
   * @returns {(at: number) => boolean}
   */
  #isWithin(node) {
    const { toDrawn } = this;
    const [first, last] = [node, this.tree.end[node]];
    const inside = (/** @type {number} */ drawn) => drawn >= first && drawn < last;
    return toDrawn ? (at) => toDrawn.some((to) => inside(to[at])) : inside;
  }

  /**
   * Every function of the samples at or below `node`, with the value of the samples in which it is
   * the innermost frame, and of those in which it stands at all, each counted once however often
   * it recurs. Callers of a zoomed frame are left out.
   * @param {number} node
   * @param {number} type
   * @param {number} [side]
   * @returns {FunctionRow[]} by function
   */
  functions(node, type, side = NEW) {
    const { frameOf } = this.stacks;
    const { functionOf, functions } = this.model.frames;
    const rows = functions.map((frame) => ({ frame, line: 0, self: 0, total: 0 }));
    const self = this.within(node, type, side);
    return this.#sum(node, self, type, rows, (at) => functionOf[frameOf[at]]);
  }

  /**
   * The same of source lines, as far as they are known.
   * @param {number} node
   * @param {number} type
   * @param {number} [side]
   */
  lines(node, type, side = NEW) {
    const { model, picked, toStacks, hidden } = this;
    /** @type {Lines} */
    const lines = this.#keep('lines', () => new Lines(model, this.stacks));
    const rows = lines.rows.map((row) => ({ ...row }));
    const self = this.within(node, type, side, lines);
    this.#sum(node, self, type, rows, (at) => lines.rowOf[at]);
    const isWithin = this.#isWithin(node);
    const placed = (/** @type {number} */ at) => (toStacks ? toStacks[at] : at);
    const counts = (/** @type {number} */ at) => !hidden?.[model.tree.frameOf[at]]
      && (this.toDrawn !== undefined || isWithin(placed(at)));
    const scale = side === BASE ? this.ratio(type) : 1;
    const [first, last] = this.#samplesOf(side);
    for (let sample = first; sample < last; sample++) {
      if ((picked && !picked[sample]) || !lines.hasOther(sample)) continue;
      if (!isWithin(placed(model.sampleNodes[sample]))) continue;
      lines.add(rows, sample, model.values[type][sample] * scale, counts);
    }
    return rows;
  }

  /**
   * Adds the samples at or below `node` to the rows of the nodes on their stacks.
   * @param {number} node
   * @param {Float64Array} self their values, by node of the stacks' tree
   * @param {number} type
   * @param {FunctionRow[]} rows
   * @param {(node: number) => number} rowOf by node of the stacks' tree
   */
  #sum(node, self, type, rows, rowOf) {
    const { end } = this.stacks;
    const totals = this.stacks.addUp(self.slice());
    const open = new Uint32Array(rows.length);
    /** @type {number[]} */
    const path = [];
    const start = this.toDrawn ? 0 : node;
    for (let at = start; at < end[start]; at++) {
      while (path.length && end[path[path.length - 1]] <= at) {
        open[rowOf(/** @type {number} */ (path.pop()))]--;
      }
      if (totals[at] === 0 && self[at] === 0) {
        // Nothing that is shown lies here, unless values cancel out.
        if (!this.#mixed(type)) {
          at = end[at] - 1;
          continue;
        }
      }
      const of = rowOf(at);
      rows[of].self += self[at];
      if (open[of]++ === 0) rows[of].total += totals[at];
      path.push(at);
    }
    return rows;
  }

  /**
   * Whether some values of a type are below zero.
   * @param {number} type
   */
  #mixed(type) {
    return this.#keep(`mixed ${type}`, () => this.model.values[type].some((value) => value < 0));
  }

  /**
   * The value of the samples at or below `node` whose stacks hold a frame of `found`, each counted
   * once however many of its frames match.
   * @param {number} node
   * @param {number} type
   * @param {number} side
   * @param {Uint8Array} found by frame
   */
  matched(node, type, side, found) {
    const ends = this.within(node, type, side);
    const on = onPath(this.stacks, found);
    return ends.reduce((sum, value, at) => (on[at] ? sum + value : sum), 0);
  }

  /**
   * A number for each path of function names, the same whenever it is made of the same names.
   * @param {number} node
   */
  pathHash(node) {
    const names = [];
    for (let at = node; at > 0; at = this.tree.parent[at]) names.push(this.#nameApart(at));
    return names.reduceRight(hashOn, node >= this.tree.split ? 1 : 0).toString(36);
  }

  /**
   * The node of a path hash; undefined if there is none.
   * @param {string} wanted
   * @returns {number | undefined}
   */
  nodeOfHash(wanted) {
    const { parent, count, split } = this.tree;
    const hash = parseInt(wanted, 36);
    const hashes = new Float64Array(count);
    for (let node = 1; node < count; node++) {
      const above = parent[node] > 0 ? hashes[parent[node]] : node >= split ? 1 : 0;
      hashes[node] = hashOn(above, this.#nameApart(node));
      if (hashes[node] === hash) return node;
    }
    return undefined;
  }

  /**
   * A node's name, and which of the siblings of that name it is unless the first: callees of one name
   * are instances of a generic function, or of several modules.
   * @param {number} node
   */
  #nameApart(node) {
    const { strings, frameNames } = this.model.frames.columns;
    const twins = this.#keep('twins', () => this.tree.twins(frameNames, strings.length));
    // No name holds a line feed.
    return twins[node] > 0 ? `${this.name(node)}\n${twins[node]}` : this.name(node);
  }
}

/**
 * The hash of a path with one more name at its end, below 2^52.
 * @param {number} hash of the path before
 * @param {string} name
 */
function hashOn(hash, name) {
  // FNV-1a, once for each half.
  let [low, high] = [hash >>> 0 ^ 0x811c9dc5, Math.floor(hash / 2 ** 32) ^ 0x1b873593];
  for (let at = 0; at < name.length; at++) {
    low = Math.imul(low ^ name.charCodeAt(at), 0x01000193);
    high = Math.imul(high ^ name.charCodeAt(at), 0x01000193) ^ low >>> 15;
  }
  return (low >>> 0) + (high & 0xfffff) * 2 ** 32;
}

/**
 * By node, 1 where a frame of `found` stands on the way from the root to it.
 * @param {import('./tree.js').Tree} tree
 * @param {Uint8Array} found by frame
 */
function onPath(tree, found) {
  const { frameOf, parent, count } = tree;
  const on = new Uint8Array(count);
  on[0] = found[frameOf[0]];
  for (let node = 1; node < count; node++) on[node] = found[frameOf[node]] | on[parent[node]];
  return on;
}
