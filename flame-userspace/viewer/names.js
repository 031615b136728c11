// Shorter forms of function names, for boxes that the whole name does not fit.

/** Names longer than this are only cut, not taken apart. */
const LONGEST = 2000;
/** @type {Record<string, string>} */
const CLOSING = { '<': '>', '(': ')' };

/**
 * The forms of a name from the longest to the shortest; the first is the name itself.
 * `ns::Vec<int>::push(int const&)` gives also `ns::Vec::push`, `Vec::push` and `push`.
 * @param {string} name
 * @returns {string[]}
 */
export function nameForms(name) {
  const forms = [name];
  if (name.length > LONGEST || !name.includes('::') && !name.includes('(')) return forms;
  const bare = withoutArguments(name);
  if (!bare) return forms;
  const parts = bare.split('::');
  for (const form of [bare, parts.slice(-2).join('::'), parts[parts.length - 1]]) {
    if (form && form.length < forms[forms.length - 1].length) forms.push(form);
  }
  return forms;
}

/**
 * The longest form of a name that is fit for a heading; cut if none is.
 * @param {string} name
 */
export function shortName(name) {
  const most = 60;
  const forms = nameForms(name);
  const form = forms.find((text) => text.length <= most) ?? forms[forms.length - 1];
  const characters = [...form.slice(0, 2 * most)];
  return characters.length > most ? `${characters.slice(0, most).join('')}…` : form;
}

/**
 * The name without template and call arguments and without a return type; empty if it is not
 * shaped as C++ or Rust.
 * @param {string} name
 */
export function withoutArguments(name) {
  // The operators of C++ have brackets in their names.
  if (name.includes('operator')) return '';
  let text = name.replace(/ \[clone [^\]]*\]/g, '');
  if (text.startsWith('<')) {
    // Rust: `<Type as Trait>::method` is a method of the type.
    const end = groupEnd(text, 0);
    if (end < 0) return '';
    text = text.slice(1, end - 1).split(' as ')[0] + text.slice(end);
  }
  let bare = '';
  for (let at = 0; at < text.length; at++) {
    if (text[at] in CLOSING) {
      const end = groupEnd(text, at);
      if (end < 0) return '';
      at = end - 1;
    } else {
      bare += text[at];
    }
  }
  bare = bare.replace(/( const| volatile| &+)+$/, '').replace(/:{4,}/g, '::').replace(/^:+/, '');
  bare = bare.trim();
  bare = bare.slice(bare.lastIndexOf(' ') + 1);
  return /^[\p{L}\p{N}_:~$.#{}@-]+$/u.test(bare) ? bare : '';
}

/**
 * Where the bracketed group that opens at `start` ends; -1 if it does not.
 * @param {string} text
 * @param {number} start
 */
function groupEnd(text, start) {
  const open = text[start];
  const close = CLOSING[open];
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === open) depth++;
    // The arrow of `fn() -> T` closes nothing.
    else if (text[at] === close && text[at - 1] !== '-' && --depth === 0) return at + 1;
  }
  return -1;
}

/**
 * What a function belongs to within its module: a namespace, crate, package or file's folder; the
 * module where its name tells of none.
 * @param {import('./model.js').Frames} frames
 * @param {number} frame
 */
export function packageOf(frames, frame) {
  const name = frames.name(frame);
  const file = frames.file(frame);
  const [, npm] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? [];
  if (npm) return npm;
  const [, python] = /(?:site|dist)-packages\/([^/.]+)/.exec(file) ?? [];
  if (python) return python;
  // Go: `net/http.(*conn).serve` is of net/http.
  if (/\.go$/.test(file)) return /^(?:.*\/)?[^/.]+/.exec(name)?.[0] ?? frames.module(frame);
  const bare = name.length <= LONGEST && name.includes('::') ? withoutArguments(name) : '';
  const first = bare.split('::')[0];
  return bare.includes('::') && first ? first : frames.module(frame);
}
