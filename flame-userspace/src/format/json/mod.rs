//! Reports as JSON, for programs. The same content as the Markdown, by the schemas in this folder,
//! which the tests hold what is written against. Names are made
//! [`visible`](super::text::visible), so that no terminal or page stumbles over them, and cut at
//! a thousand characters.

mod report;
#[cfg(test)]
mod schema;

pub use report::report;

use serde_json::Value;

use super::text::visible;

/// The schema of [`report()`].
pub const REPORT_SCHEMA: &str = include_str!("report.schema.json");

/// The most characters of a name.
const LONGEST: usize = 1000;

/// A text of the profiled program's making.
fn text(text: &str) -> Value {
    let shown = visible(text);
    match shown.char_indices().nth(LONGEST) {
        None => Value::from(shown.as_ref()),
        Some((end, _)) => Value::from(format!("{}…", &shown[..end])),
    }
}

/// A name that may be unknown: `null` for an empty one.
fn known(name: &str) -> Value {
    if name.is_empty() { Value::Null } else { text(name) }
}
