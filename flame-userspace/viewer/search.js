// Which functions a search finds, and how much of the profile runs through them. No DOM here.

/**
 * The expression that a search text means: case counts only if there is a capital, and what is no
 * regular expression is looked for as it stands. Undefined for an empty text.
 * @param {string} text
 * @param {boolean} [plain] whether any text is looked for as it stands
 * @returns {{expression: RegExp, plain: boolean} | undefined}
 */
export function parseSearch(text, plain = false) {
  if (text === '') return undefined;
  const flags = /\p{Lu}/u.test(text) ? '' : 'i';
  if (!plain) {
    try {
      return { expression: new RegExp(text, flags), plain: false };
    } catch {
      // What is no expression is plain text.
    }
  }
  return { expression: new RegExp(quoted(text), flags), plain: true };
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
 * @param {import('./model.js').Frames} frames
 * @param {RegExp} expression
 */
export function findFrames(frames, expression) {
  const byFunction = Uint8Array.from(frames.functions, (frame) =>
    frames.side(frame) !== 'root'
      && (expression.test(frames.name(frame)) || expression.test(frames.module(frame))) ? 1 : 0);
  return Uint8Array.from(frames.functionOf, (row) => byFunction[row]);
}

/**
 * The heaviest node at or below `root` that is an instance of a frame of `found`.
 * @param {import('./view.js').View} view
 * @param {number} type
 * @param {number} root
 * @param {Uint8Array} found
 * @returns {number | undefined}
 */
export function heaviestMatch(view, type, root, found) {
  const { frameOf, end } = view.tree;
  const widths = view.widths(type);
  let best;
  for (let node = root; node < end[root]; node++) {
    if (found[frameOf[node]] && (best === undefined || widths[node] > widths[best])) best = node;
  }
  return best;
}
