//! Reports as Markdown, for people and for programs that read text. What is told is decided in
//! [`analyze`](crate::analyze); here it is laid out. Names of the profiled program's making are
//! shown in code spans alone, one line each, and cut.

mod check;
mod diff;
mod report;
mod text;

pub use check::check;
pub use diff::{Sides, diff};
pub use report::{Heading, report, source_of};

use crate::profile::Unit;

/// A share for people.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A table's head: names of columns, those in front of `|` to the right.
fn head(right: &[&str], left: &[&str]) -> String {
    let names: Vec<&str> = right.iter().chain(left).copied().collect();
    let rules: Vec<&str> = right.iter().map(|_| "--:").chain(left.iter().map(|_| ":--")).collect();
    format!("| {} |\n| {} |\n", names.join(" | "), rules.join(" | "))
}

/// A value of a unit of the profile's making.
fn value(unit: &Unit, value: i64) -> String {
    match unit {
        Unit::Other(_) => text::capped(&unit.format(value)).replace('|', "\\|"),
        _ => unit.format(value),
    }
}
