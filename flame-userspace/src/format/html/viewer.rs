//! The files of `viewer/`, put together.

/// The page, with slots to fill.
pub(super) const INDEX: &str = include_str!("../../../viewer/index.html");
/// What the page holds where there is something to draw.
pub(super) const APP: &str = include_str!("../../../viewer/app.html");
/// What it holds where there is nothing.
pub(super) const EMPTY: &str = include_str!("../../../viewer/empty.html");
/// The style sheet.
pub(super) const STYLE: &str = include_str!("../../../viewer/style.css");

/// The modules, each after those that it imports.
const MODULES: &[&str] = &[
    include_str!("../../../viewer/unpack.js"),
    include_str!("../../../viewer/units.js"),
    include_str!("../../../viewer/names.js"),
    include_str!("../../../viewer/labels.js"),
    include_str!("../../../viewer/palette.js"),
    include_str!("../../../viewer/decode.js"),
    include_str!("../../../viewer/tree.js"),
    include_str!("../../../viewer/model.js"),
    include_str!("../../../viewer/search.js"),
    include_str!("../../../viewer/shape.js"),
    include_str!("../../../viewer/lines.js"),
    include_str!("../../../viewer/view.js"),
    include_str!("../../../viewer/holders.js"),
    include_str!("../../../viewer/theme.js"),
    include_str!("../../../viewer/colours.js"),
    include_str!("../../../viewer/layout.js"),
    include_str!("../../../viewer/types.js"),
    include_str!("../../../viewer/state.js"),
    include_str!("../../../viewer/tooltip.js"),
    include_str!("../../../viewer/mirror.js"),
    include_str!("../../../viewer/minimap.js"),
    include_str!("../../../viewer/flamegraph.js"),
    include_str!("../../../viewer/filters.js"),
    include_str!("../../../viewer/menu.js"),
    include_str!("../../../viewer/table.js"),
    include_str!("../../../viewer/first.js"),
    include_str!("../../../viewer/export.js"),
    include_str!("../../../viewer/app.js"),
    include_str!("../../../viewer/controls.js"),
    include_str!("../../../viewer/main.js"),
];

/// The modules of the script that unpacks the viewer.
const BOOT: &[&str] =
    &[include_str!("../../../viewer/unpack.js"), include_str!("../../../viewer/boot.js")];

/// The viewer.
pub(super) fn script() -> String {
    join(MODULES)
}

/// What unpacks and starts it.
pub(super) fn boot() -> String {
    join(BOOT)
}

/// The modules as one script, without indents and the comments that have lines of their own: a page
/// may be made and mailed often. Imports are each on one line, exports are declarations, and no
/// text spans lines.
fn join(modules: &[&str]) -> String {
    let mut script = String::from("\n");
    let mut in_comment = false;
    for line in modules.iter().flat_map(|module| module.lines()) {
        let text = line.trim();
        let starts = text.starts_with("/*");
        let skipped = in_comment
            || text.starts_with("//")
            || (starts && (text.ends_with("*/") || !text.contains("*/")))
            || line.starts_with("import ");
        in_comment = (in_comment || starts) && !text.contains("*/");
        if skipped || text.is_empty() {
            continue;
        }
        push_without_comments(text.strip_prefix("export ").unwrap_or(text), &mut script);
        script.push('\n');
    }
    script
}

/// Appends a line without the types in it, which only tools read: `/** @type {T} */ (x)` is `(x)`.
fn push_without_comments(mut line: &str, to: &mut String) {
    while let Some((before, (_, after))) =
        line.split_once("/** ").and_then(|(before, rest)| Some((before, rest.split_once("*/")?)))
    {
        to.push_str(before);
        line = after.trim_start();
    }
    to.push_str(line);
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text to copy.
    Text(&'a str),
    /// The name of what goes here, written `{{name}}`.
    Slot(&'a str),
}

/// The pieces of `template`. What fills a slot is not looked at again.
pub(super) fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    template.split("{{").enumerate().flat_map(|(i, piece)| {
        let (slot, text) = match piece.split_once("}}") {
            Some((slot, text)) if i > 0 => (Some(Part::Slot(slot)), text),
            _ => (None, piece),
        };
        slot.into_iter().chain([Part::Text(text)])
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn templates_come_apart_at_their_slots() {
        let pieces: Vec<_> = parts("a{{b}}c{{d}}").collect();
        assert_eq!(
            pieces,
            [Part::Text("a"), Part::Slot("b"), Part::Text("c"), Part::Slot("d"), Part::Text("")]
        );
    }

    #[test]
    fn types_in_lines_are_taken_out() {
        let mut line = String::new();
        push_without_comments("(/** @type {a} */ b, /** @type {c[]} */ d) => e / f", &mut line);
        assert_eq!(line, "(b, d) => e / f");
    }

    #[test]
    fn the_modules_join_into_one_script() {
        let script = script();
        let mut names = HashSet::new();
        for line in script.lines() {
            assert!(!line.starts_with("import ") && !line.starts_with("export "), "{line}");
            assert!(line.matches('`').count().is_multiple_of(2), "a text spans lines: {line}");
        }
        for line in MODULES.iter().flat_map(|module| module.lines()) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
            let mut word = words.next();
            if word == Some("async") {
                word = words.next();
            }
            if matches!(word, Some("const" | "let" | "function" | "class")) {
                let name = words.find(|word| !word.is_empty()).expect("a declaration has a name");
                assert!(names.insert(name), "{name} is declared twice");
            }
        }
        assert!(names.contains("main"), "top-level declarations are found: {names:?}");
        assert!(!script.contains("\n//") && !script.contains("\n *"), "comments are left");
        assert!(!script.contains("</script"), "the script would end early");
        assert!(!script.contains("<!--"), "the script would be read as a comment");
    }
}
