// What each source line costs. A node has the heaviest of its lines; the samples tell of the others.
// No DOM here.

/** @typedef {import('./view.js').FunctionRow} FunctionRow */

/** The distinct source lines, each with a frame of it; and by node of the stacks, which it is. */
export class Lines {
  /**
   * @param {import('./model.js').Model} model
   * @param {import('./tree.js').Tree} stacks
   */
  constructor(model, stacks) {
    const { frameOf, source, count } = stacks;
    this.model = model;
    /** @type {FunctionRow[]} the first is of what has none */
    this.rows = [{ frame: frameOf[0], line: 0, self: 0, total: 0 }];
    /** @type {Map<number, number>} */
    this.known = new Map();
    this.rowOf = new Uint32Array(count);
    for (let node = 1; node < count; node++) {
      this.rowOf[node] = this.#row(frameOf[node], model.line(source ? source[node] : node));
    }
    const { sampleLines, sampleNodes } = model;
    // So that each line has its row before any is added up.
    if (sampleLines) sampleNodes.forEach((_, sample) => this.#walk(sample, () => undefined));
  }

  /**
   * @param {number} frame
   * @param {number} line
   */
  #row(frame, line) {
    if (line === 0) return 0;
    const key = this.model.frames.columns.frameFiles[frame] * 2 ** 32 + line;
    let row = this.known.get(key);
    if (row === undefined) {
      row = this.rows.push({ frame, line, self: 0, total: 0 }) - 1;
      this.known.set(key, row);
    }
    return row;
  }

  /**
   * Whether some frame of a sample is at another line than its node.
   * @param {number} sample
   */
  hasOther(sample) {
    const starts = this.model.sampleLines?.starts;
    return starts !== undefined && starts[sample] < starts[sample + 1];
  }

  /**
   * The frames of a sample that has other lines than its nodes, the innermost first.
   * @param {number} sample
   * @param {(node: number, row: number) => void} visit
   */
  #walk(sample, visit) {
    const { sampleLines, sampleNodes, tree } = this.model;
    if (!sampleLines || !this.hasOther(sample)) return;
    const { starts, ups, lines } = sampleLines;
    let [next, up] = [starts[sample], 0];
    for (let node = sampleNodes[sample]; node > 0; node = tree.parent[node], up++) {
      const isOther = next < starts[sample + 1] && ups[next] === up;
      visit(node, this.#row(tree.frameOf[node], isOther ? lines[next++] : this.model.line(node)));
    }
  }

  /**
   * Adds a sample that has other lines than its nodes: to the row of its innermost frame, and once to
   * each that it is in.
   * @param {FunctionRow[]} rows
   * @param {number} sample
   * @param {number} value
   * @param {(node: number) => boolean} counts which nodes of the profile's tree do
   */
  add(rows, sample, value, counts) {
    const seen = new Set();
    this.#walk(sample, (node, row) => {
      if (!counts(node)) return;
      if (seen.size === 0) rows[row].self += value;
      if (!seen.has(row)) rows[row].total += value;
      seen.add(row);
    });
  }
}
