//! A check's outcome as JUnit XML, which build servers show as tests: one a limit.

use std::fmt::Write as _;

use super::change::{notes, told};
use super::text::markup;
use crate::analyze::check::Check;

/// The outcome as XML. A limit that lies within the error passes, and says so.
pub fn check(check: &Check, base: &str, new: &str) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a text cannot fail, here and below.
    _ = writeln!(
        out,
        "<testsuites><testsuite name=\"flame check\" tests=\"{}\" failures=\"{}\" errors=\"0\" \
         skipped=\"0\">",
        check.outcomes.len(),
        check.failures(),
    );
    let class = markup(&format!("{new} against {base}"));
    for outcome in &check.outcomes {
        let told = told(check, outcome);
        _ = writeln!(out, "<testcase classname=\"{class}\" name=\"{}\">", markup(&told.limit));
        let text = format!(
            "{} -> {}, {}; would fail from {}",
            told.base, told.new, told.growth, told.smallest
        );
        if check.fails(outcome) {
            _ = writeln!(out, "<failure message=\"{}\"/>", markup(&text));
        } else {
            _ = writeln!(out, "<system-out>{}: {}</system-out>", told.verdict, markup(&text));
        }
        out.push_str("</testcase>\n");
    }
    let notes: Vec<String> = notes(check).iter().map(|note| markup(note)).collect();
    _ = writeln!(out, "<system-out>{}</system-out>", notes.join("\n"));
    out.push_str("</testsuite></testsuites>\n");
    out
}
