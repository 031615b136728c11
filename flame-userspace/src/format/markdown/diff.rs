//! The difference of two profiles.

use std::fmt::Write as _;

use super::text::{capped, cell, code};
use super::{head, value};
use crate::analyze::diff::Diff;
use crate::format::change::{comparison, presence, relative, signed, totals};

/// What a difference says besides the profiles.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The base's name.
    pub base: &'a str,
    /// The new profile's name.
    pub new: &'a str,
}

/// A difference as Markdown, with at most `top` functions.
pub fn diff(diff: &Diff, sides: &Sides<'_>, top: usize) -> String {
    let mut out = String::new();
    // Writing to a text cannot fail, here and below.
    _ = writeln!(out, "# From {} to {}\n", code(sides.base), code(sides.new));
    _ = writeln!(out, "- {}", capped(&totals(diff)));
    _ = writeln!(out, "- {}", capped(&comparison(&diff.scale)));
    let changed: Vec<_> = diff.rows.iter().filter(|row| row.base != row.new).collect();
    if changed.is_empty() {
        out.push_str("- no function has changed\n");
        return out;
    }
    let unit = &diff.sample_type.unit;
    out.push_str("\n## Functions by the change of their self value\n\n");
    out.push_str(&head(
        &["change", "±", "change %", "base", "new", "total change"],
        &["function", "module", ""],
    ));
    for row in changed.iter().take(top) {
        let (base, new) = (row.base.self_value, row.new.self_value);
        _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            signed(unit, row.self_change()),
            value(unit, diff.error(base, new) as i64),
            relative(row.self_change() as f64, base as f64),
            value(unit, base),
            value(unit, new),
            signed(unit, row.total_change()),
            cell(&row.name),
            cell(&row.module),
            presence(row),
        );
    }
    let rest = &changed[changed.len().min(top)..];
    if !rest.is_empty() {
        let change = rest.iter().fold(0i64, |sum, row| sum.saturating_add(row.self_change()));
        _ = writeln!(out, "\n… {} more functions, {} self.", rest.len(), signed(unit, change));
    }
    out
}
