//! Names made safe to show. Function names, paths and comments come from the programs that were
//! profiled, so they may hold anything: terminal controls, text-direction overrides, markup.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every character that does not show, or that changes how others show, as an escape:
/// `\n`, `\u{202e}`. The result is one line, and its characters are all legal in XML.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// `text` made [`visible`] and escaped for HTML and XML, in content and in quoted attributes.
pub fn markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in visible(text).chars() {
        push_escaped(&mut escaped, c);
    }
    escaped
}

/// `text` escaped for a quoted HTML attribute such that [`from_attribute`] gives it back.
pub(super) fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "&#x{:x};", c as u32);
        } else {
            push_escaped(&mut escaped, c);
        }
    }
    escaped
}

/// The text that [`attribute`] escaped; `None` if `escaped` is not its work.
pub(super) fn from_attribute(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        let (entity, after) = rest[at + 1..].split_once(';')?;
        text.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => char::from_u32(u32::from_str_radix(entity.strip_prefix("#x")?, 16).ok()?)?,
        });
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn push_escaped(to: &mut String, c: char) {
    match c {
        '&' => to.push_str("&amp;"),
        '<' => to.push_str("&lt;"),
        '>' => to.push_str("&gt;"),
        '"' => to.push_str("&quot;"),
        '\'' => to.push_str("&#39;"),
        c => to.push(c),
    }
}

/// Whether `c` must not reach a page as it is: controls, line and paragraph separators, marks that
/// have no width or that set the direction of text, and what XML forbids.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_borrowed_as_they_are() {
        let name = "std::vec<int>::push_back(é, 漢字) const";
        assert!(matches!(visible(name), Cow::Borrowed(shown) if shown == name));
    }

    #[test]
    fn hidden_characters_become_escapes() {
        assert_eq!(visible("a\nb\t\u{1b}[31m\0"), r"a\nb\t\u{1b}[31m\u{0}");
        assert_eq!(visible("evil\u{202e}gpj"), r"evil\u{202e}gpj");
        assert_eq!(visible("\u{85}\u{2028}\u{feff}"), r"\u{85}\u{2028}\u{feff}");
    }

    #[test]
    fn markup_cannot_leave_its_element_or_attribute() {
        assert_eq!(markup("</script><b a='\"&\n"), "&lt;/script&gt;&lt;b a=&#39;&quot;&amp;\\n");
    }

    #[test]
    fn attributes_come_back_as_they_were() {
        for text in ["", "a&amp;b", "<\"'>\n\u{202e}\0 é", "&#x41;"] {
            assert_eq!(from_attribute(&attribute(text)).as_deref(), Some(text));
        }
        for damaged in ["&", "&x;", "&#xd800;", "&#xffffffffff;", "a &lt"] {
            assert_eq!(from_attribute(damaged), None, "{damaged}");
        }
    }
}
