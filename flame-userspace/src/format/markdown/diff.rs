//! The difference of two profiles.

use std::fmt::Write as _;

use super::text::{capped, cell, code, is_plain};
use super::{front_matter, head, signed, value};
use crate::analyze::diff::Diff;
use crate::format::change::{comparison, held, presence, relative, totals};

/// What a difference says besides the profiles.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The base's name.
    pub base: &'a str,
    /// The new profile's name.
    pub new: &'a str,
}

impl Sides<'_> {
    /// What a difference was made from, for [`source_of`](super::source_of).
    pub fn source_id(&self) -> String {
        format!("{} to {}", self.base, self.new)
    }
}

/// A difference as Markdown, with at most `top` functions.
pub fn diff(diff: &Diff, sides: &Sides<'_>, top: usize) -> String {
    let mut out = front_matter("flame-diff/1", &sides.source_id());
    let unit = &diff.sample_type.unit;
    // Writing to a text cannot fail, here and below.
    _ = writeln!(out, "---\n\n# From {} to {}\n", code(sides.base), code(sides.new));
    let totals = totals(diff);
    let is_plain = [&diff.sample_type.kind[..], unit.name()].into_iter().all(is_plain);
    _ = writeln!(out, "- {}", if is_plain { capped(&totals) } else { code(&totals) });
    _ = writeln!(out, "- {}", capped(&comparison(&diff.scale)));
    if let Some(held) = held(diff) {
        _ = writeln!(out, "- {held}");
    }
    let changed: Vec<_> = diff.rows.iter().filter(|row| row.base != row.new).collect();
    if changed.is_empty() {
        out.push_str("- no function has changed\n");
        return out;
    }
    let what = if diff.held { "what they hold" } else { "their self value" };
    _ = writeln!(out, "\n## Functions by the change of {what}\n");
    let last: &[&str] = if diff.held { &["", "through"] } else { &[""] };
    out.push_str(&head(
        &["change", "±", "change %", "base", "new", "total change"],
        &[&["function", "module"], last].concat(),
    ));
    for row in changed.iter().take(top) {
        let (base, new) = (row.base.self_value, row.new.self_value);
        _ = write!(
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
        if diff.held {
            _ = write!(out, " {} |", row.through.as_deref().map_or_else(String::new, cell));
        }
        out.push('\n');
    }
    let rest = &changed[changed.len().min(top)..];
    if !rest.is_empty() {
        let change = rest.iter().fold(0i64, |sum, row| sum.saturating_add(row.self_change()));
        let what = if diff.held { "held" } else { "self" };
        _ = writeln!(out, "\n… {} more functions, {} {what}.", rest.len(), signed(unit, change));
    }
    out
}
