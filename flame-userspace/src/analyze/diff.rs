//! The difference of two profiles, function by function. Functions are the same if their names and
//! modules are.

use std::collections::HashMap;
use std::sync::Arc;

use super::noise::{Estimate, Noise};
use super::normalize::{Normalize, NotComparable, Pair, Scale, Shared, shared};
use super::{FunctionTree, Holding, Worth, is_held};
use crate::profile::{Merge, Part, Profile, SampleType, scaled};

/// The label that marks the base's samples in a profile of differences, as `go tool pprof
/// -diff_base` sets it: shares are then of the base.
const BASE_LABEL: (&str, &str) = ("pprof::base", "true");

/// What differs between two profiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// What the values count.
    pub sample_type: SampleType,
    /// How the base was made comparable; its values here are multiplied already.
    pub scale: Scale,
    /// The base's total.
    pub base: Estimate,
    /// The new profile's total.
    pub new: Estimate,
    /// Whether self values are what functions hold: of a heap, where functions that only pass on
    /// what they are asked for are passed over for their callers.
    pub held: bool,
    /// The functions of both, by falling size of the change of their self values.
    pub rows: Vec<DiffRow>,
}

/// A function in both profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffRow {
    /// Its name, or `[module]` for a module's code without names.
    pub name: String,
    /// The file name of the mapping that it lies in; empty if unknown.
    pub module: String,
    /// What it was worth.
    pub base: Worth,
    /// What it is worth.
    pub new: Worth,
    /// The function by which it asks for most of what it holds, or did. Very many rows may have the
    /// same.
    pub through: Option<Arc<str>>,
}

/// Where a function is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In both profiles.
    Both,
    /// In the new one alone.
    New,
    /// In the base alone.
    Gone,
}

impl DiffRow {
    /// Where it is to be found.
    pub fn presence(&self) -> Presence {
        let absent = |worth: Worth| worth == Worth::default();
        match (absent(self.base), absent(self.new)) {
            (true, false) => Presence::New,
            (false, true) => Presence::Gone,
            _ => Presence::Both,
        }
    }

    /// How much its self value has grown.
    pub fn self_change(&self) -> i64 {
        self.new.self_value.saturating_sub(self.base.self_value)
    }

    /// How much its total has grown.
    pub fn total_change(&self) -> i64 {
        self.new.total.saturating_sub(self.base.total)
    }
}

impl Diff {
    /// Compares two profiles.
    pub fn of(pair: Pair<'_>, wanted: Option<Normalize>) -> Result<Self, NotComparable> {
        let scale = pair.scale(wanted)?;
        let mut rows: Vec<DiffRow> = Vec::new();
        let mut known: HashMap<(String, String), usize> = HashMap::new();
        let sides = [(pair.base, pair.base_column), (pair.new, pair.new_column)];
        let held = is_held(pair.new, pair.new_column);
        for (side, (profile, column)) in sides.into_iter().enumerate() {
            let tree = FunctionTree::of(profile, column);
            let holdings = if held {
                tree.holdings()
            } else {
                let of = |worth| Holding { worth, through: None };
                tree.worths().into_iter().map(of).collect()
            };
            let names = tree.shared_names();
            for (function, Holding { worth, through }) in tree.functions.into_iter().zip(holdings) {
                let through = through.map(|through| Arc::clone(&names[through as usize]));
                let key = (function.name, function.module);
                let row = *known.entry(key).or_insert_with_key(|(name, module)| {
                    let (name, module) = (name.clone(), module.clone());
                    let none = Worth::default();
                    rows.push(DiffRow { name, module, base: none, new: none, through: None });
                    rows.len() - 1
                });
                if side == 0 {
                    rows[row].base = Worth {
                        self_value: scaled(worth.self_value, scale.factor),
                        total: scaled(worth.total, scale.factor),
                    };
                } else {
                    rows[row].new = worth;
                }
                // By the new profile, where it is there.
                if worth != Worth::default() {
                    rows[row].through = through;
                }
            }
        }
        rows.retain(|row| row.base != row.new || row.new != Worth::default());
        rows.sort_by(|a, b| {
            let size = |row: &DiffRow| {
                (row.self_change().unsigned_abs(), row.total_change().unsigned_abs())
            };
            let by_name = || (&a.name, &a.module).cmp(&(&b.name, &b.module));
            size(b).cmp(&size(a)).then_with(by_name)
        });
        let [base, new] =
            sides.map(|(profile, column)| Noise::of(profile, column).total(profile, column));
        let factor = scale.factor;
        Ok(Self {
            sample_type: pair.new.sample_types()[pair.new_column].clone(),
            base: Estimate {
                value: base.value * factor,
                variance: base.variance * factor * factor,
            },
            new,
            scale,
            held,
            rows,
        })
    }

    /// How far a change between two values may be off by chance at 95 %. The samples of each
    /// profile are taken to be of equal weight, which those of a clock are.
    pub fn error(&self, base: i64, new: i64) -> f64 {
        let variance =
            (base as f64).abs() * self.base.weight() + (new as f64).abs() * self.new.weight();
        1.96 * variance.sqrt()
    }
}

/// The difference as a profile: the new samples, and the base's below zero and labelled as
/// `go tool pprof -diff_base` labels them. It has the sample types that both have, each made
/// comparable by itself; that of the pair as `scale` tells.
pub fn profile(pair: Pair<'_>, scale: &Scale, normalize: Option<Normalize>) -> Profile {
    let shared = shared(pair.base, pair.new, normalize);
    let types = shared.iter().map(|of| pair.new.sample_types()[of.new].clone()).collect();
    let default = shared.iter().position(|of| of.new == pair.new_column).unwrap_or_default();
    let mut merge = Merge::new(types, default);
    merge.describe(pair.new);
    merge.comment(format!("difference of two profiles by {}", scale.by.name()));
    let columns = shared.iter().map(|of| (of.new, 1.0)).collect();
    merge.add(&Part { profile: pair.new, columns, label: None });
    let factor = |of: &Shared| if of.new == pair.new_column { scale.factor } else { of.factor };
    let columns = shared.iter().map(|of| (of.base, -factor(of))).collect();
    merge.add(&Part { profile: pair.base, columns, label: Some(BASE_LABEL) });
    merge.finish()
}

#[cfg(test)]
mod tests {
    use super::super::normalize::PART_OF_RUN;
    use super::*;
    use crate::profile::{Builder, Function, Line, Location, Unit};

    fn profile_of(stacks: &[(&[&str], i64)], seconds: i64) -> Profile {
        let types =
            vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")];
        let mut b = Builder::new(types, 1);
        b.time(1, seconds * 1_000_000_000);
        let none = b.label_set(Vec::new());
        for (names, count) in stacks {
            let frames: Vec<_> = names
                .iter()
                .map(|name| {
                    let (name, file) = (b.string(name), b.string(""));
                    let row = Function { name, system_name: name, file, start_line: 0 };
                    let function = b.function(row);
                    let lines = vec![Line { function, line: 0, column: 0 }];
                    b.location(Location { mapping: None, address: 0, lines })
                })
                .collect();
            let stack = b.stack(frames);
            b.sample(stack, none, &[*count, count * 10]);
        }
        b.finish()
    }

    fn pair<'a>(base: &'a Profile, new: &'a Profile) -> Pair<'a> {
        Pair::by(base, new, Some("cpu")).expect("both have it")
    }

    #[test]
    fn functions_are_matched_and_sorted_by_the_size_of_the_change() {
        let base = profile_of(&[(&["main", "old"], 50), (&["main", "same"], 100)], 1);
        let new = profile_of(&[(&["main", "fresh"], 70), (&["main", "same"], 101)], 1);
        let diff = Diff::of(pair(&base, &new), None).expect("comparable");
        let rows: Vec<_> = diff.rows.iter().map(|r| (&r.name[..], r.self_change())).collect();
        assert_eq!(rows, [("fresh", 700), ("old", -500), ("same", 10), ("main", 0)]);
        assert_eq!(diff.rows[0].presence(), Presence::New);
        assert_eq!(diff.rows[1].presence(), Presence::Gone);
        assert_eq!(diff.rows[3].total_change(), 210);
        assert_eq!((diff.base.value, diff.new.value), (1500.0, 1710.0));
        assert_eq!(diff.sample_type.unit, Unit::Nanoseconds);
        let error = diff.error(1000, 1010);
        assert!((error - 1.96 * (2010.0f64 * 10.0).sqrt()).abs() < 1e-9, "{error}");
    }

    #[test]
    fn the_base_is_scaled_by_time_or_share() {
        let base = profile_of(&[(&["f"], 10)], 1);
        let new = profile_of(&[(&["f"], 40)], 4);
        for by in [Normalize::Rate, Normalize::Share] {
            let diff = Diff::of(pair(&base, &new), Some(by)).expect("comparable");
            assert_eq!(diff.rows[0].self_change(), 0, "{by:?}");
            assert_eq!(diff.rows[0].base.total, 400);
        }
    }

    #[test]
    fn a_difference_as_a_profile_adds_up_to_the_change() {
        let base = profile_of(&[(&["main", "old"], 50), (&["main"], 1)], 1);
        let new = profile_of(&[(&["main", "fresh"], 70), (&["main"], 1)], 1);
        let scale = pair(&base, &new).scale(None).expect("comparable");
        let difference = profile(pair(&base, &new), &scale, None);
        assert_eq!((difference.total(0), difference.total(1)), (20, 200));
        assert_eq!(difference.default_sample_type(), 1);
        assert_eq!(difference.functions().len(), 3);
        let is_base = |labels| difference.text_label(labels, "pprof::base") == Some("true");
        let marked = difference.samples().filter(|sample| is_base(sample.labels));
        let values: Vec<i64> = marked.map(|sample| sample.values[0]).collect();
        assert_eq!(values, [-50, -1]);
    }

    #[test]
    fn what_is_true_of_one_moment_is_not_multiplied_beside_what_was_counted() {
        let of = |seconds: i64| {
            let types = ["alloc_space", "inuse_space"].map(|kind| SampleType::new(kind, "bytes"));
            let mut b = Builder::new(types.to_vec(), 0);
            b.time(1, seconds * 1_000_000_000);
            b.comment(PART_OF_RUN);
            let none = b.label_set(Vec::new());
            b.sample(None, none, &[seconds, 7]);
            b.finish()
        };
        let (base, new) = (of(60), of(120));
        let pair = Pair::by(&base, &new, Some("alloc_space")).expect("both have it");
        let difference = profile(pair, &pair.scale(None).expect("comparable"), None);
        let values: Vec<Vec<i64>> = difference.samples().map(|s| s.values.to_vec()).collect();
        assert_eq!(values, [[120, 7], [-120, -7]]);
    }
}
