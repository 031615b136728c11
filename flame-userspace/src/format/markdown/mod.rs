//! Reports as Markdown, for people and for programs that read text. What is told is decided in
//! [`analyze`](crate::analyze); here it is laid out. Names of the profiled program's making are
//! shown in code spans alone, one line each, and cut.

mod check;
mod diff;
mod report;
mod text;

pub use check::check;
pub use diff::{Sides, diff};
pub use report::{Heading, report};

use super::change;
use crate::profile::Unit;

/// A table's head: names of columns, those in front of `|` to the right.
fn head(right: &[&str], left: &[&str]) -> String {
    let names: Vec<&str> = right.iter().chain(left).copied().collect();
    let rules: Vec<&str> = right.iter().map(|_| "--:").chain(left.iter().map(|_| ":--")).collect();
    format!("| {} |\n| {} |\n", names.join(" | "), rules.join(" | "))
}

/// A value of a unit of the profile's making.
fn value(unit: &Unit, value: i64) -> String {
    in_unit(unit, &unit.format(value))
}

/// A change with its sign, of a unit of the profile's making.
fn signed(unit: &Unit, change: i64) -> String {
    in_unit(unit, &change::signed(unit, change))
}

/// A text that tells values in `unit`, for a table's cell or a line.
fn in_unit(unit: &Unit, told: &str) -> String {
    match unit {
        Unit::Other(name) if !text::is_plain(name) => text::cell(told),
        _ => told.to_owned(),
    }
}

/// What a text starts with, without the line that ends it: its schema, flame's version, and what it
/// was made from.
fn front_matter(schema: &str, source: &str) -> String {
    let (version, source) = (text::quoted(env!("CARGO_PKG_VERSION")), text::quoted(source));
    format!("---\nschema: {schema}\nflame: {version}\nprofile: {source}\n")
}

/// What a report or a difference that flame wrote was made from; `None` for any other file. Only
/// the start is read.
pub fn source_of(markdown: &[u8]) -> Option<String> {
    let head = &markdown[..markdown.len().min(4096)];
    let (schema, head) = line(head.strip_prefix(b"---\n")?)?;
    if !matches!(schema, b"schema: flame-report/1" | b"schema: flame-diff/1") {
        return None;
    }
    let (version, rest) = line(head)?;
    version.strip_prefix(b"flame: \"")?;
    let (source, _) = line(rest)?;
    serde_json::from_slice(source.strip_prefix(b"profile: ")?).ok()
}

fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}
