//! Changes in words: how a diff and a check tell values, growth and errors, in whatever form.

use std::fmt::Write as _;

use crate::analyze::check::{Bound, Check, Outcome, Verdict};
use crate::analyze::diff::{Diff, DiffRow, Presence};
use crate::analyze::normalize::Scale;
use crate::profile::Unit;

/// A change with its sign.
pub fn signed(unit: &Unit, change: i64) -> String {
    let sign = if change > 0 { "+" } else { "" };
    format!("{sign}{}", unit.format(change))
}

/// A relative change with its sign; nothing where there was nothing.
pub fn relative(change: f64, base: f64) -> String {
    if base > 0.0 { format!("{:+.1} %", 100.0 * change / base) } else { String::new() }
}

/// How the base was made comparable.
pub fn comparison(scale: &Scale) -> String {
    let by = scale.by.name();
    if (scale.factor - 1.0).abs() < 1e-9 {
        format!("compared by {by}: {}", scale.why)
    } else {
        format!("compared by {by} (base times {:.4}): {}", scale.factor, scale.why)
    }
}

/// What the self values of a diff are, where they are something else.
pub fn held(diff: &Diff) -> Option<&'static str> {
    diff.held.then_some(
        "functions that only pass on what they are asked for, such as allocators and containers, \
         are passed over for their callers",
    )
}

/// A diff's totals in a line.
pub fn totals(diff: &Diff) -> String {
    let unit = &diff.sample_type.unit;
    let change = diff.new.value - diff.base.value;
    let error = 1.96 * (diff.new.variance + diff.base.variance).sqrt();
    let mut line = format!(
        "{}: {} -> {}, {}",
        diff.sample_type.kind,
        unit.format(diff.base.value as i64),
        unit.format(diff.new.value as i64),
        signed(unit, change as i64),
    );
    if diff.base.value > 0.0 {
        let share = 100.0 / diff.base.value;
        // Writing to a text cannot fail.
        _ = write!(line, " ({:+.1} % ± {:.1})", change * share, error * share);
    }
    line
}

/// Whether a function is new or gone, as a word.
pub fn presence(row: &DiffRow) -> &'static str {
    match row.presence() {
        Presence::Both => "",
        Presence::New => "new",
        Presence::Gone => "gone",
    }
}

/// An outcome in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `ok`, `FAIL`, or `noise` for what lies within the error.
    pub verdict: &'static str,
    /// The limit as it was given.
    pub limit: String,
    /// The base's value, scaled.
    pub base: String,
    /// The new value.
    pub new: String,
    /// The growth, with its error at 95 %.
    pub growth: String,
    /// The smallest growth, or value, that would have failed.
    pub smallest: String,
}

/// Tells an outcome.
pub fn told(check: &Check, outcome: &Outcome) -> Told {
    let value = |value: f64| {
        if outcome.of_shares() {
            format!("{:.2} %", value * 100.0)
        } else {
            outcome.unit.format(value.round() as i64)
        }
    };
    let change = outcome.new - outcome.base;
    let grown = |change: f64| match outcome.limit.bound {
        Bound::Points(_) | Bound::Share(_) => format!("{:+.2} pp", change * 100.0),
        _ => match outcome.relative(change) {
            Some(share) => format!("{:+.1} %", share * 100.0),
            None if change > 0.0 => format!("+{}", value(change)),
            None => value(change),
        },
    };
    let error = grown(outcome.error);
    let smallest = match outcome.limit.bound {
        Bound::Growth(_) | Bound::Points(_) => grown(outcome.smallest - outcome.base),
        Bound::More(_) => format!("+{}", value(outcome.smallest - outcome.base)),
        Bound::Share(_) | Bound::AtMost(_) => value(outcome.smallest),
    };
    Told {
        verdict: match outcome.verdict {
            _ if check.fails(outcome) => "FAIL",
            Verdict::Noise => "noise",
            _ => "ok",
        },
        limit: outcome.limit.text.clone(),
        base: value(outcome.base),
        new: value(outcome.new),
        growth: format!("{} ± {}", grown(change), error.trim_start_matches('+')),
        smallest,
    }
}

/// What a reader has to know besides the table.
pub fn notes(check: &Check) -> Vec<String> {
    let mut notes: Vec<String> = check.scales().into_iter().map(comparison).collect();
    for outcome in &check.outcomes {
        let text = &outcome.limit.text;
        if outcome.is_empty() {
            notes.push(format!("{text:?}: neither profile has anything of it"));
        } else if !outcome.noise_known {
            notes.push(format!(
                "{text:?}: a profile does not tell how it was sampled, so that every difference \
                 counts"
            ));
        }
        if outcome.verdict == Verdict::Noise && !check.strict {
            notes.push(format!(
                "{text:?}: beyond the limit, but no more than chance explains; more samples would \
                 tell"
            ));
        }
    }
    notes
}
