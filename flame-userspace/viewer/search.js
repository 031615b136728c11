// Which functions a search finds, and how much of the profile runs through them. No DOM here.

/**
 * The expression that a search text means: case counts only if there is a capital, and what is no
 * regular expression is looked for as it stands. Undefined for an empty text.
 * @param {string} text
 * @returns {{expression: RegExp, plain: boolean} | undefined}
 */
export function parseSearch(text) {
  if (text === '') return undefined;
  const flags = /\p{Lu}/u.test(text) ? '' : 'i';
  try {
    return { expression: new RegExp(text, flags), plain: false };
  } catch {
    return { expression: new RegExp(quoted(text), flags), plain: true };
  }
}

/**
 * A regular expression that finds `text` itself.
 * @param {string} text
 */
export function quoted(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/**
 * The frames whose function or module `expression` finds: 1 by frame.
 * @param {import('./model.js').Model} model
 * @param {RegExp} expression
 */
export function findFrames(model, expression) {
  const { frames } = model;
  const byFunction = Uint8Array.from(frames.functions, (frame) =>
    frames.side(frame) !== 'root'
      && (expression.test(frames.name(frame)) || expression.test(frames.module(frame))) ? 1 : 0);
  return Uint8Array.from(frames.functionOf, (row) => byFunction[row]);
}

/**
 * The value of the samples at or below `root` whose stacks hold a frame of `found`, each sample
 * counted once however many of its frames match.
 * @param {import('./model.js').Model} model
 * @param {number} type
 * @param {number} root
 * @param {Uint8Array} found
 */
export function matchedTotal(model, type, root, found) {
  const { frameOf, end, parent } = model;
  const totals = model.total(type);
  for (let node = root; node >= 0; node = parent[node]) {
    if (found[frameOf[node]]) return totals[root];
  }
  let sum = 0;
  for (let node = root; node < end[root];) {
    if (found[frameOf[node]]) {
      sum += totals[node];
      node = end[node];
    } else {
      node++;
    }
  }
  return sum;
}

/**
 * The heaviest node at or below `root` that is an instance of a frame of `found`.
 * @param {import('./model.js').Model} model
 * @param {number} type
 * @param {number} root
 * @param {Uint8Array} found
 * @returns {number | undefined}
 */
export function heaviestMatch(model, type, root, found) {
  const totals = model.total(type);
  let best;
  for (let node = root; node < model.end[root]; node++) {
    if (found[model.frameOf[node]] && (best === undefined || totals[node] > totals[best])) best = node;
  }
  return best;
}
