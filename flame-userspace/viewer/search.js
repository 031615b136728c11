// Which functions a search finds, and how much of the profile runs through them. No DOM here.

/**
 * The expression that a search text means: case counts only if there is a capital or if it is one of
 * a whole name, and what is no regular expression is looked for as it stands. Undefined for an empty
 * text.
 * @param {string} text
 * @param {boolean} [plain] whether any text is looked for as it stands
 * @returns {{expression: RegExp, plain: boolean} | undefined}
 */
export function parseSearch(text, plain = false) {
  if (text === '') return undefined;
  const flags = /\p{Lu}/u.test(text) ? '' : 'i';
  if (!plain) {
    try {
      return { expression: new RegExp(text, isWhole(text) ? '' : flags), plain: false };
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
 * Whether an expression is one of a whole name, `^name$`, as the menu and the table make them.
 * @param {string} source
 */
function isWhole(source) {
  // A dollar after an odd number of backslashes is a character of the name.
  return source.startsWith('^') && /(?<!\\)(?:\\\\)*\$$/.test(source);
}

/**
 * The frames whose function or module `expression` finds: 1 by frame. A whole name is that of a
 * process or a module only where no function is called so: a program may be called `main` too, and a
 * frame without a name is called as its module is.
 * @param {import('./model.js').Frames} frames
 * @param {RegExp} expression
 */
export function findFrames(frames, expression) {
  const found = (/** @type {(frame: number) => boolean} */ isFound) =>
    Uint8Array.from(frames.functions, (frame) =>
      frames.side(frame) !== 'root' && isFound(frame) ? 1 : 0);
  const named = (/** @type {number} */ frame) => expression.test(frames.name(frame));
  const whole = isWhole(expression.source)
    ? found((frame) => frames.side(frame) !== 'process' && named(frame)) : undefined;
  const byFunction = whole?.includes(1) ? whole
    : found((frame) => named(frame) || expression.test(frames.module(frame)));
  return Uint8Array.from(frames.functionOf, (row) => byFunction[row]);
}

/**
 * The heaviest node at or below `root` that is an instance of a frame of `found` and can be drawn.
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
  let most = 0;
  for (let node = root; node < end[root]; node++) {
    if (!found[frameOf[node]] || !(widths[node] > most)) continue;
    best = node;
    most = widths[node];
  }
  return best;
}
