//! What makes two profiles comparable: as they are, by second of their sessions, or by share.

use std::fmt;

use crate::profile::{Profile, SampleType, Unit};

/// The comment of a profile that saw a command from its start to its own end.
pub const WHOLE_RUN: &str = "session: the whole run of its command";
/// The comment of a profile that saw what its time allowed.
pub const PART_OF_RUN: &str = "session: cut by time";

/// Whether a profile is that of the whole run of a command.
pub(crate) fn is_whole_run(profile: &Profile) -> bool {
    profile.comments().iter().any(|line| line == WHOLE_RUN)
}

/// How the base's values are made comparable with the new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalize {
    /// As they are.
    Totals,
    /// By second of the session.
    Rate,
    /// By share of the profile's total.
    Share,
}

impl Normalize {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Totals, Self::Rate, Self::Share];

    /// The name that a user gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Totals => "totals",
            Self::Rate => "rate",
            Self::Share => "share",
        }
    }
}

/// A way to compare two profiles, with the factor for the base's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// The way.
    pub by: Normalize,
    /// What the base's values are multiplied with.
    pub factor: f64,
    /// Why this way, in words.
    pub why: String,
}

/// Why two profiles cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotComparable(String);

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotComparable {}

impl NotComparable {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// The most sample types that an error lists, and the most characters that it tells of a name.
const LISTED: usize = 20;
const TOLD: usize = 60;

/// The start of a name of a profile's making, on one line, without what steers a terminal.
pub(super) fn told(name: &str) -> String {
    let start: String = name.chars().take(TOLD).collect();
    let cut = if start.len() < name.len() { "…" } else { "" };
    format!("{}{cut}", start.escape_debug())
}

/// Two profiles and the sample type in which they are compared.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The profile to compare with.
    pub base: &'a Profile,
    /// The profile to compare.
    pub new: &'a Profile,
    /// The sample type's column in `base`.
    pub base_column: usize,
    /// The sample type's column in `new`.
    pub new_column: usize,
}

/// A sample type that two profiles have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shared {
    /// Its column in the base.
    pub(crate) base: usize,
    /// Its column in the new profile.
    pub(crate) new: usize,
    /// What the base's values are multiplied with: 1 where a rate is not known.
    pub(crate) factor: f64,
}

/// The sample types that both profiles have, in the order of `new`, each made comparable by itself:
/// what is true of one moment is not multiplied beside what was counted in a time.
pub(crate) fn shared(base: &Profile, new: &Profile, normalize: Option<Normalize>) -> Vec<Shared> {
    let column = |wanted: &SampleType| base.sample_types().iter().position(|t| t == wanted);
    let shared = |(new_column, wanted): (usize, &SampleType)| {
        let pair = Pair { base, new, base_column: column(wanted)?, new_column };
        let factor = pair.scale(normalize).map_or(1.0, |scale| scale.factor);
        Some(Shared { base: pair.base_column, new: new_column, factor })
    };
    new.sample_types().iter().enumerate().filter_map(shared).collect()
}

impl<'a> Pair<'a> {
    /// The profiles by the sample type called `kind`, or by the new one's default.
    pub fn by(
        base: &'a Profile,
        new: &'a Profile,
        kind: Option<&str>,
    ) -> Result<Self, NotComparable> {
        let default = || new.sample_types().get(new.default_sample_type()).map(|t| &t.kind[..]);
        let Some(kind) = kind.or_else(default) else {
            return Err(NotComparable::new("the new profile has no sample types"));
        };
        let column = |profile: &Profile, which: &str| {
            profile.sample_type_index(kind).ok_or_else(|| {
                let types = profile.sample_types();
                let mut kinds: Vec<String> =
                    types.iter().take(LISTED).map(|t| told(&t.kind)).collect();
                if types.len() > LISTED {
                    kinds.push(format!("{} more", types.len() - LISTED));
                }
                NotComparable::new(format!(
                    "the {which} profile has no sample type \"{}\"; it has: {}",
                    told(kind),
                    kinds.join(", ")
                ))
            })
        };
        let pair =
            Self { base, new, base_column: column(base, "base")?, new_column: column(new, "new")? };
        let units = (pair.base_unit(), pair.unit());
        if units.0 != units.1 {
            return Err(NotComparable::new(format!(
                "\"{}\" is in {} in the base and in {} in the new profile",
                told(kind),
                told(units.0.name()),
                told(units.1.name())
            )));
        }
        Ok(pair)
    }

    /// What the values count.
    pub fn unit(&self) -> &'a Unit {
        &self.new.sample_types()[self.new_column].unit
    }

    fn base_unit(&self) -> &'a Unit {
        &self.base.sample_types()[self.base_column].unit
    }

    /// The sample type's name.
    pub fn kind(&self) -> &'a str {
        &self.new.sample_types()[self.new_column].kind
    }

    /// How to compare, where it was asked for, and else: what is true of one moment (a heap in
    /// use) and commands that ran to their end as they are, sessions cut by time by second.
    pub fn scale(&self, wanted: Option<Normalize>) -> Result<Scale, NotComparable> {
        let scale = |by, factor, why: &str| Scale { by, factor, why: why.to_owned() };
        match wanted {
            Some(Normalize::Totals) => Ok(scale(Normalize::Totals, 1.0, "as asked")),
            Some(Normalize::Share) => {
                let totals = [(self.base, self.base_column), (self.new, self.new_column)]
                    .map(|(profile, column)| profile.total(column) as f64);
                let nothing = totals.contains(&0.0);
                let factor = if nothing { 1.0 } else { totals[1] / totals[0] };
                Ok(scale(Normalize::Share, factor, "as asked"))
            }
            Some(Normalize::Rate) => {
                let factor = self.rate().ok_or_else(|| {
                    NotComparable::new(
                        "a profile does not tell how long its session was: no rate can be had",
                    )
                })?;
                Ok(scale(Normalize::Rate, factor, "as asked"))
            }
            None => Ok(self.usual()),
        }
    }

    fn usual(&self) -> Scale {
        let totals = |why: &str| Scale { by: Normalize::Totals, factor: 1.0, why: why.to_owned() };
        if ["inuse", "peak", "resident"].iter().any(|gauge| self.kind().starts_with(gauge)) {
            return totals("values of a moment");
        }
        let says = |comment: &str| {
            [self.base, self.new].map(|profile| profile.comments().iter().any(|c| c == comment))
        };
        if says(WHOLE_RUN) == [true; 2] {
            return totals("both commands ran to their end");
        }
        match (says(PART_OF_RUN), self.rate()) {
            ([false, false], _) => {
                totals("not told whether the sessions were cut by time; --normalize decides")
            }
            (_, None) => totals("a session was cut by time, but how long one was is not told"),
            (_, Some(factor)) => Scale {
                by: Normalize::Rate,
                factor,
                why: "by second: a session was cut by time".to_owned(),
            },
        }
    }

    /// The new session's length in units of the base's.
    fn rate(&self) -> Option<f64> {
        let lengths = [self.base, self.new].map(Profile::duration_ns);
        let known = lengths.iter().all(|length| *length > 0);
        known.then(|| lengths[1] as f64 / lengths[0] as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Builder, SampleType};

    fn profile(kind: &str, unit: &str, seconds: i64, comment: &str, value: i64) -> Profile {
        let mut b = Builder::new(vec![SampleType::new(kind, unit)], 0);
        b.time(1, seconds * 1_000_000_000);
        b.comment(comment);
        let none = b.label_set(Vec::new());
        b.sample(None, none, &[value]);
        b.finish()
    }

    #[test]
    fn whole_runs_are_compared_by_totals_and_cut_sessions_by_second() {
        let of = |a: &str, b: &str| {
            let (a, b) =
                (profile("cpu", "nanoseconds", 10, a, 1), profile("cpu", "nanoseconds", 30, b, 1));
            let scale = Pair::by(&a, &b, None).expect("the same type").scale(None);
            scale.map(|scale| (scale.by, scale.factor)).expect("comparable")
        };
        assert_eq!(of(WHOLE_RUN, WHOLE_RUN), (Normalize::Totals, 1.0));
        assert_eq!(of(PART_OF_RUN, PART_OF_RUN), (Normalize::Rate, 3.0));
        assert_eq!(of(WHOLE_RUN, PART_OF_RUN), (Normalize::Rate, 3.0));
        assert_eq!(of("", ""), (Normalize::Totals, 1.0));
    }

    #[test]
    fn a_heap_in_use_has_no_rate_unless_asked() {
        let of = |name, seconds| profile(name, "bytes", seconds, PART_OF_RUN, 100);
        for gauge in ["inuse_space", "peak_space", "resident_space"] {
            let (a, b) = (of(gauge, 10), of(gauge, 20));
            let pair = Pair::by(&a, &b, None).expect("the same type");
            assert_eq!(pair.scale(None).expect("comparable").by, Normalize::Totals, "{gauge}");
            for (by, expected) in [(Normalize::Rate, 2.0), (Normalize::Share, 1.0)] {
                let factor = pair.scale(Some(by)).expect("comparable").factor;
                assert!((factor - expected).abs() < 1e-9, "{gauge}, {by:?}: {factor}");
            }
        }
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        let (a, b) =
            (profile("cpu", "nanoseconds", 0, "", 1), profile("cpu", "nanoseconds", 1, "", 1));
        let pair = Pair::by(&a, &b, None).expect("the same type");
        assert!(pair.scale(Some(Normalize::Rate)).is_err());
        let error = Pair::by(&a, &b, Some("heap")).expect_err("no such type");
        assert_eq!(error.to_string(), "the base profile has no sample type \"heap\"; it has: cpu");
        let other = profile("cpu", "count", 1, "", 1);
        let error = Pair::by(&a, &other, None).expect_err("another unit").to_string();
        assert!(error.contains("nanoseconds in the base and in count"), "{error}");
    }

    #[test]
    fn what_cannot_be_compared_is_told_in_a_line_whatever_it_is_called() {
        let evil = "\u{1b}]0;owned\u{7}\n# heading\u{202e}";
        let long = "n".repeat(10_000);
        let types: Vec<SampleType> =
            [evil, &long].into_iter().cycle().take(100).map(|t| SampleType::new(t, t)).collect();
        let many = Builder::new(types, 0).finish();
        let count = profile(evil, "count", 1, "", 1);
        for error in [
            Pair::by(&many, &count, Some("cpu")).expect_err("no such type"),
            Pair::by(&count, &many, None).expect_err("another unit"),
        ] {
            let error = error.to_string();
            assert!(!error.contains(['\u{1b}', '\u{7}', '\n', '\u{202e}']), "{error:?}");
            assert!(error.len() < 3000, "{} bytes", error.len());
            assert!(error.contains(r"\u{1b}]0;owned\u{7}\n# heading\u{202e}"), "{error}");
        }
    }
}
