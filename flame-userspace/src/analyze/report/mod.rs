//! What there is to say of a profile in a few lines: facts in absolute values, from which writers
//! make a text for people or an object for programs. Bounded, and the same for the same profile.

mod around;
mod groups;
mod lines;
mod paths;
mod view;

pub use around::{Around, CallPath};
pub use groups::{Group, Groups};
pub use lines::HotLine;
pub use paths::{PathKind, PathRow};
pub use view::{FunctionRow, HoldingRow, Rest, View};

use crate::profile::{LabelSetId, Profile, SampleType, Unit};

use super::noise::Noise;
use super::normalize::is_whole_run;
use groups::distinct;

/// Below this many samples a profile is too small to conclude from.
pub const FEW_SAMPLES: f64 = 200.0;
/// Sessions shorter than this see little of a program: ten seconds.
const SHORT_NS: i64 = 10_000_000_000;
/// The share of code without names that is worth a warning.
const MUCH_UNNAMED: f64 = 0.1;

/// How much a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportOptions {
    /// The most rows of a table of functions.
    pub top: usize,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self { top: 10 }
    }
}

/// The facts of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Every sample type of the profile, with the sum of its column.
    pub types: Vec<(SampleType, i64)>,
    /// The column that viewers show first.
    pub default: usize,
    /// When the session began, in nanoseconds since the Unix epoch; 0 if unknown.
    pub start_ns: i64,
    /// How long it lasted, in nanoseconds; 0 if unknown.
    pub duration_ns: i64,
    /// What was sampled and the mean distance between samples.
    pub period: Option<(SampleType, i64)>,
    /// How many samples were taken, where the profile counts them.
    pub samples: Option<i64>,
    /// Distinct processes, by their label `pid`.
    pub processes: usize,
    /// Distinct threads, by their label `tid`.
    pub threads: usize,
    /// What the profile says of itself.
    pub comments: Vec<String>,
    /// What speaks against conclusions.
    pub warnings: Vec<String>,
    /// The columns that are told of: the default one, what a heap allocated in all, and who
    /// touched the memory that is there.
    pub views: Vec<View>,
}

impl Report {
    /// The facts of `profile`.
    pub fn of(profile: &Profile, options: ReportOptions) -> Self {
        let types = profile.sample_types().iter().enumerate();
        let types: Vec<_> = types.map(|(i, t)| (t.clone(), profile.total(i))).collect();
        let default = profile.default_sample_type();
        let views: Vec<View> = columns(profile)
            .into_iter()
            .map(|column| View::of(profile, column, options.top))
            .collect();
        let samples = types.iter().find(|(t, _)| t.unit == Unit::Count && t.kind == "samples");
        let period = profile.period_type().cloned().zip(Some(profile.period()));
        Self {
            default,
            start_ns: profile.time_ns(),
            duration_ns: profile.duration_ns(),
            period: period.filter(|(_, period)| *period > 0),
            samples: samples.map(|(_, total)| *total),
            processes: distinct(profile, "pid"),
            threads: distinct(profile, "tid"),
            comments: profile.comments().to_vec(),
            warnings: warnings(profile, views.first()),
            types,
            views,
        }
    }
}

/// The columns worth a view.
fn columns(profile: &Profile) -> Vec<usize> {
    if profile.sample_count() == 0 {
        return Vec::new();
    }
    let mut columns = vec![profile.default_sample_type()];
    for kind in ["alloc_space", "resident_space"] {
        let other = profile.sample_type_index(kind);
        columns.extend(other.filter(|other| *other != columns[0]));
    }
    columns
}

fn warnings(profile: &Profile, view: Option<&View>) -> Vec<String> {
    let Some(view) = view else { return vec!["the profile has no samples".to_owned()] };
    let mut warnings = Vec::new();
    match view.samples {
        Some(samples) if samples < FEW_SAMPLES => warnings
            .push(format!("few samples ({samples:.0}): shares of a few percent may be chance")),
        _ if Noise::of(profile, view.column) == Noise::Unknown => warnings.push(
            "the profile does not tell how it was sampled: no errors can be given".to_owned(),
        ),
        _ => {}
    }
    let duration = profile.duration_ns();
    if (1..SHORT_NS).contains(&duration) && !is_whole_run(profile) {
        let duration = Unit::Nanoseconds.format(duration);
        warnings.push(format!("short session ({duration}): it may not have seen all there is"));
    }
    let mut share = |value: i64, what: &str| {
        if let Some(share) = view.share(value).filter(|share| *share > MUCH_UNNAMED) {
            warnings.push(format!("{:.1} % of the value {what}", share * 100.0));
        }
    };
    share(view.unnamed, "is in code without names");
    share(view.stackless, "has no stack");
    if profile.samples().any(|sample| sample.values[view.column] < 0) {
        warnings.push("some values are below zero: this is a difference".to_owned());
    }
    warnings
}

/// The text label of a set under any of these keys.
fn text_label<'a>(profile: &'a Profile, set: LabelSetId, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| profile.text_label(set, key))
}

#[cfg(test)]
mod tests;
