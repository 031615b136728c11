//! A check's outcome, for the summary of a pull request.

use std::fmt::Write as _;

use super::text::{capped, cell};
use super::{Sides, head, in_unit};
use crate::analyze::check::Check;
use crate::format::change::{notes, told};
use crate::format::markdown::text::code;

/// The outcome as Markdown.
pub fn check(check: &Check, sides: &Sides<'_>) -> String {
    let mut out = String::new();
    let verdict = match check.failures() {
        0 => "no limit was passed".to_owned(),
        1 => "1 limit was passed".to_owned(),
        failures => format!("{failures} limits were passed"),
    };
    // Writing to a text cannot fail, here and below.
    _ = writeln!(out, "### flame check: {verdict}\n");
    _ = writeln!(out, "{} against {}\n", code(sides.new), code(sides.base));
    out.push_str(&head(
        &["base", "new", "growth (95 %)", "would fail from"],
        &["verdict", "limit"],
    ));
    for outcome in &check.outcomes {
        let told = told(check, outcome);
        let verdict = if check.fails(outcome) { "**FAIL**" } else { told.verdict };
        _ = writeln!(
            out,
            "| {} | {} | {} | {} | {verdict} | {} |",
            in_unit(&outcome.unit, &told.base),
            in_unit(&outcome.unit, &told.new),
            in_unit(&outcome.unit, &told.growth),
            in_unit(&outcome.unit, &told.smallest),
            cell(&told.limit),
        );
    }
    out.push('\n');
    for note in notes(check) {
        _ = writeln!(out, "- {}", code(&capped(&note)));
    }
    out
}
