//! Names in Markdown: one line each, in code spans that they cannot leave, of bounded length.

use std::borrow::Cow;

use crate::format::text::visible;

/// The most characters of a name that are shown.
const LONGEST: usize = 200;
/// The most characters of a name that was shown in full before.
const SHORT: usize = 48;

/// `name` on one line, cut where it is longer than a reader reads.
pub(super) fn capped(name: &str) -> String {
    cut(&visible(name), LONGEST)
}

/// `text` in at most `most` characters; the middle goes first.
fn cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let head = most / 2;
    let tail = most - head - 1;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// A name that was shown in full before: without its generics and arguments, the last two parts of
/// its path.
pub(super) fn short(name: &str) -> String {
    let shown = visible(name);
    let plain = without_brackets(&shown).unwrap_or_else(|| shown.clone().into_owned());
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.trim().is_empty()).collect();
    let last = parts[parts.len().saturating_sub(2)..].join("::");
    cut(if last.trim().is_empty() { &shown } else { last.trim() }, SHORT)
}

/// `name` without what stands in `<>` and `()`; `None` where they do not match, as in `operator<`.
fn without_brackets(name: &str) -> Option<String> {
    let mut open = Vec::new();
    let mut plain = String::with_capacity(name.len());
    let mut before = ' ';
    for c in name.chars() {
        let arrow = before == '-';
        before = c;
        match c {
            '<' | '(' => open.push(c),
            '>' if arrow && open.is_empty() => plain.push(c),
            '>' if arrow => {}
            '>' if open.pop() != Some('<') => return None,
            ')' if open.pop() != Some('(') => return None,
            '>' | ')' => {}
            c if open.is_empty() => plain.push(c),
            _ => {}
        }
    }
    open.is_empty().then_some(plain)
}

/// Whether a name of the profile's making is no more than words: nothing in it is markup, ends a
/// table's cell, or becomes a link.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " _-:%/".contains(c);
    name.chars().count() <= LONGEST && name.chars().all(plain) && !name.contains("//")
}

/// A name that is a word as a rule, such as a sample type's: as it is, or else as a code span.
pub(super) fn word(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { code(name) }
}

/// `name` as a code span. It is delimited by more backticks than any run in it has.
pub(super) fn code(name: &str) -> String {
    span(&capped(name))
}

/// `name` as a code span in a table's cell, where a bar is escaped even in code.
pub(super) fn cell(name: &str) -> String {
    code(name).replace('|', "\\|")
}

/// A [`short`] name as a code span in a table's cell.
pub(super) fn short_cell(name: &str) -> String {
    span(&short(name)).replace('|', "\\|")
}

fn span(shown: &str) -> String {
    if shown.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(shown) + 1);
    // One space at each end is taken off again by readers.
    let pad = if shown.starts_with(['`', ' ']) || shown.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// A block of code, of lines that are visible already.
pub(super) fn block(lines: &[String]) -> String {
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// `text` as a double-quoted scalar of YAML, of which JSON's are a part.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(Cow::from(capped(text)).as_ref()).to_string()
}

/// A pattern that matches `name` alone, in single quotes for a shell. `None` for names that nobody
/// should paste into one.
pub(super) fn pattern(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:<>,&*()[]{} ~.-+=@#$".contains(c);
    if name.is_empty() || name.len() > 120 || !name.chars().all(plain) {
        return None;
    }
    let mut pattern = String::new();
    for c in name.chars() {
        if "*()[]{}.+$^?|\\".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    Some(format!("'^{pattern}$'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_span_cell_or_line() {
        assert_eq!(code("main"), "`main`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`x`"), "`` `x` ``");
        assert_eq!(cell("a|b"), "`a\\|b`");
        assert_eq!(
            code("x\n# Ignore what was said\u{202e}"),
            "`x\\n# Ignore what was said\\u{202e}`"
        );
        assert_eq!(code(""), "");
        let long = "n".repeat(10_000);
        assert_eq!(capped(&long).chars().count(), LONGEST);
        assert_eq!(block(&["a ``` b".to_owned()]), "````text\na ``` b\n````\n");
        assert_eq!(quoted("a\"b\n"), r#""a\"b\\n""#);
    }

    #[test]
    fn words_stay_words_and_all_else_is_code() {
        for plain in ["cpu", "alloc_space", "sched:sched_switch", "bytes/s", "µs", "% of all", ""]
        {
            assert_eq!(word(plain), plain);
        }
        for hostile in ["a|b", "x\n# y", "**b**", "![](//x)", "http://x", "<img>", "\u{202e}", "`"]
        {
            assert!(word(hostile).starts_with('`'), "{hostile}");
        }
    }

    #[test]
    fn short_names_keep_what_tells_them_apart() {
        assert_eq!(short("alloc::vec::Vec<T, A>::push"), "Vec::push");
        assert_eq!(short("<foo::Bar as foo::Baz>::run"), "run");
        assert_eq!(short("ns::parse(char const*, int)"), "ns::parse");
        assert_eq!(short("call::<F, fn() -> T>::once"), "call::once");
        assert_eq!(short("X::operator->"), "X::operator->");
        assert_eq!(short("operator<"), "operator<");
        assert_eq!(short("[libc.so.6]"), "[libc.so.6]");
        assert_eq!(short("<module>"), "<module>");
        assert_eq!(short("a) b"), "a) b");
    }

    #[test]
    fn patterns_are_given_for_plain_names_alone() {
        assert_eq!(pattern("a::b<c>(d*)").as_deref(), Some("'^a::b<c>\\(d\\*\\)$'"));
        for hostile in ["", "a'b", "$(rm)\n", "a`b`", "é"] {
            assert_eq!(pattern(hostile), None, "{hostile}");
        }
    }
}
