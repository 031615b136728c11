//! How far sampled values may be off by chance.
//!
//! **Clocks.** A sampling clock that fires every `P` of CPU time makes of a function a count of
//! samples. Counts of rare, independent events are Poisson: the variance of a count `n` is `n`, and
//! that of the value `V = nP` is `nP² = VP`. (Samples at fixed distances scatter a little less than
//! independent ones, so that this is on the safe side.) Where the file has the count beside the
//! value, the variance of a row is `V²/n`, whatever a sample was worth.
//!
//! **Heap.** An allocation of `s` bytes is sampled with probability `p = 1 - exp(-s/R)`, where `R`
//! is the interval, and then stands for `1/p` objects of `s` bytes: a Horvitz-Thompson estimate
//! (Horvitz and Thompson, "A Generalization of Sampling Without Replacement From a Finite
//! Universe", JASA 47, 1952). Its variance, sampled allocations being independent of each other, is
//! estimated by the sum of `(1 - p)/p² · s²` over the sampled ones. A row of `O` objects and `B`
//! bytes has them of the mean size `s = B/O`, and `Op` of them were sampled, so that its bytes have
//! the variance `B s (1 - p)/p`, its objects `O (1 - p)/p`. Go, gperftools and jemalloc sample so
//! too. Where every allocation is counted (`R` is 1), nothing is left to chance.
//!
//! **Stated errors.** A heap profile of windows, or of an interval that changed, has no one `R`
//! (its period is 0), and states the relative standard error `e` of each column's total `V` in its
//! comments. Samples are then taken to be worth the same, `w = e²V`, so that the total has the
//! variance `Vw = (eV)²`, and a row of the value `v` has `vw`.
//!
//! What this does not cover is how much a program differs from run to run.

use std::collections::HashMap;

use crate::profile::{Profile, STATED, Unit};

/// How the values of one column of a profile vary with the luck of sampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// Another column counts the samples.
    Counted {
        /// That column.
        samples: usize,
    },
    /// Each sample is worth this much.
    Period(f64),
    /// Allocations, sampled by their bytes.
    Allocations {
        /// The column of objects.
        objects: usize,
        /// The column of bytes.
        bytes: usize,
        /// Mean bytes between samples.
        interval: f64,
        /// Whether the values are bytes, and not objects.
        of_bytes: bool,
    },
    /// The file does not tell how it was sampled.
    Unknown,
}

impl Noise {
    /// How the column `sample_type` of `profile` varies.
    pub fn of(profile: &Profile, sample_type: usize) -> Self {
        let types = profile.sample_types();
        let own = &types[sample_type];
        let period = profile.period().max(0) as f64;
        let is_samples = |kind: &str| matches!(kind, "samples" | "sample");
        if own.unit == Unit::Count && is_samples(&own.kind) {
            return Self::Period(1.0);
        }
        if let Some((objects, bytes)) = allocation_columns(profile, sample_type)
            && period > 0.0
            && profile.period_type().is_some_and(|period| period.unit == Unit::Bytes)
        {
            let of_bytes = bytes == sample_type;
            return Self::Allocations { objects, bytes, interval: period, of_bytes };
        }
        let counts = |t: &crate::profile::SampleType| t.unit == Unit::Count && is_samples(&t.kind);
        if own.unit != Unit::Bytes
            && let Some(samples) = types.iter().position(counts)
        {
            return Self::Counted { samples };
        }
        match profile.period_type() {
            Some(period_type) if period_type == own && period > 0.0 => Self::Period(period),
            None if own.unit == Unit::Count && types.len() == 1 => Self::Period(1.0),
            _ => stated(profile).get(own.kind.as_str()).map_or(Self::Unknown, |error| {
                Self::Period(error * error * (profile.total(sample_type) as f64).abs())
            }),
        }
    }

    /// The variance of a sample's value in the column, in the square of its unit.
    pub fn variance(&self, column: usize, values: &[i64]) -> f64 {
        let value = values[column] as f64;
        match *self {
            Self::Counted { samples } => {
                let samples = (values[samples] as f64).abs();
                if samples > 0.0 { value * value / samples } else { value * value }
            }
            Self::Period(period) => value.abs() * period,
            Self::Allocations { objects, bytes, interval, of_bytes } => {
                let (objects, bytes) =
                    ((values[objects] as f64).abs(), (values[bytes] as f64).abs());
                if interval <= 1.0 || objects == 0.0 {
                    return 0.0;
                }
                // An allocation of nothing is sampled as one of a byte.
                let size = (bytes / objects).max(1.0);
                // (1 - p)/p = exp(-s/R)/(1 - exp(-s/R)) = 1/(exp(s/R) - 1)
                let odds = 1.0 / (size / interval).exp_m1();
                if of_bytes { bytes * size * odds } else { objects * odds }
            }
            Self::Unknown => 0.0,
        }
    }

    /// The value of a column over all samples, with its variance.
    pub fn total(&self, profile: &Profile, column: usize) -> Estimate {
        let mut sum = Estimate::default();
        for sample in profile.samples() {
            sum.add(sample.values[column], self.variance(column, sample.values));
        }
        sum
    }
}

/// The columns of objects and bytes that belong to a column of a heap profile, such as
/// `inuse_objects` and `inuse_space`; `objects` and `space` of older formats.
pub fn allocation_columns(profile: &Profile, sample_type: usize) -> Option<(usize, usize)> {
    let kind = &profile.sample_types()[sample_type].kind;
    let family = kind.strip_suffix("objects").or_else(|| kind.strip_suffix("space"))?;
    let objects = profile.sample_type_index(&format!("{family}objects"))?;
    let bytes = profile.sample_type_index(&format!("{family}space"))?;
    Some((objects, bytes))
}

/// A sum of sampled values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// The sum.
    pub value: f64,
    /// Its variance by sampling.
    pub variance: f64,
}

impl Estimate {
    /// Adds a sample's value.
    pub fn add(&mut self, value: i64, variance: f64) {
        self.value += value as f64;
        self.variance += variance;
    }

    /// What a sample is worth on average: a sum of `n` samples worth `w` has the value `nw` and
    /// the variance `nw²`. 0 where nothing is left to chance.
    pub fn weight(&self) -> f64 {
        if self.value == 0.0 { 0.0 } else { self.variance / self.value.abs() }
    }

    /// How many samples of equal weight would be as sure.
    pub fn samples(&self) -> f64 {
        if self.variance == 0.0 { f64::INFINITY } else { self.value * self.value / self.variance }
    }
}

/// The standard errors of columns' totals, as shares of them, by the columns' names: as flame states
/// them in the comments of the profile of a whole session.
pub fn stated(profile: &Profile) -> HashMap<&str, f64> {
    let mut all = HashMap::new();
    let lines = profile.comments().iter().filter_map(|line| line.split_once(STATED));
    for error in lines.flat_map(|(_, errors)| errors.split(", ")) {
        let known = error.strip_suffix(" %").and_then(|error| error.rsplit_once(' '));
        if let Some((kind, percent)) = known
            && let Ok(percent) = percent.parse::<f64>()
            && (0.0..f64::INFINITY).contains(&percent)
        {
            all.entry(kind).or_insert(percent / 100.0);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Builder, SampleType};

    fn types(kinds: &[(&str, &str)]) -> Vec<SampleType> {
        kinds.iter().map(|&(kind, unit)| SampleType::new(kind, unit)).collect()
    }

    #[test]
    fn a_clocks_samples_are_poisson_counts() {
        let mut b = Builder::new(types(&[("samples", "count"), ("cpu", "nanoseconds")]), 1);
        let none = b.label_set(Vec::new());
        b.sample(None, none, &[100, 1000]);
        let profile = b.finish();
        let noise = Noise::of(&profile, 1);
        assert_eq!(noise, Noise::Counted { samples: 0 });
        let total = noise.total(&profile, 1);
        assert_eq!((total.value, total.variance), (1000.0, 10_000.0));
        assert_eq!((total.weight(), total.samples()), (10.0, 100.0));
        assert_eq!(Noise::of(&profile, 0), Noise::Period(1.0));
    }

    #[test]
    fn a_period_tells_what_a_sample_is_worth() {
        let mut b = Builder::new(types(&[("cpu", "nanoseconds"), ("wall", "nanoseconds")]), 0);
        b.period(SampleType::new("cpu", "nanoseconds"), 50);
        let profile = b.finish();
        assert_eq!(Noise::of(&profile, 0), Noise::Period(50.0));
        assert_eq!(Noise::of(&profile, 1), Noise::Unknown);
        let folded = Builder::new(types(&[("stacks", "count")]), 0).finish();
        assert_eq!(Noise::of(&folded, 0), Noise::Period(1.0));
    }

    /// Draws allocations as the sampler does, and compares the estimates' scatter with the formula.
    #[test]
    fn the_variance_of_sampled_allocations_is_what_sampling_shows() {
        const INTERVAL: f64 = 1000.0;
        let mut state = 1u64;
        let mut uniform = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for size in [16.0, 1000.0, 5000.0f64] {
            let p = 1.0 - (-size / INTERVAL).exp();
            let trials = 2000;
            let (mut sums, mut squares, mut told) = (0.0, 0.0, 0.0);
            for _ in 0..trials {
                let hits = (0..1000).filter(|_| uniform() < p).count() as f64;
                let (objects, bytes) = ((hits / p).round() as i64, (hits * size / p) as i64);
                let noise =
                    Noise::Allocations { objects: 0, bytes: 1, interval: INTERVAL, of_bytes: true };
                told += noise.variance(1, &[objects, bytes]) / f64::from(trials);
                sums += bytes as f64;
                squares += (bytes as f64).powi(2);
            }
            let mean = sums / f64::from(trials);
            assert!((mean / (1000.0 * size) - 1.0).abs() < 0.05, "{size}: {mean}");
            let seen = squares / f64::from(trials) - mean * mean;
            assert!((told / seen - 1.0).abs() < 0.15, "{size}: {told} told, {seen} seen");
        }
    }

    #[test]
    fn errors_that_the_comments_state_are_read() {
        let mut b = Builder::new(types(&[("alloc_space", "bytes"), ("cpu", "nanoseconds")]), 0);
        b.comment("a comment");
        b.comment("growth: pages; standard errors: growth_space 12.5 %");
        b.comment("standard errors: alloc_objects 50.0 %, alloc_space 25.0 %");
        let profile = b.finish();
        let expected = [("growth_space", 0.125), ("alloc_objects", 0.5), ("alloc_space", 0.25)];
        assert_eq!(stated(&profile), HashMap::from(expected));
    }

    #[test]
    fn where_no_interval_is_known_the_stated_errors_count() {
        let heap = [("alloc_objects", "count"), ("alloc_space", "bytes")];
        let windows = |comment: &str| {
            let mut b = Builder::new(types(&heap), 1);
            b.period(SampleType::new("space", "bytes"), 0);
            b.comment(comment);
            let none = b.label_set(Vec::new());
            b.sample(None, none, &[30, 3000]);
            b.sample(None, none, &[10, 1000]);
            b.finish()
        };
        let profile = windows("standard errors: alloc_objects 20.0 %, alloc_space 7.0 %");
        let noise = Noise::of(&profile, 1);
        let total = noise.total(&profile, 1);
        assert!((total.variance.sqrt() - 280.0).abs() < 1e-6, "{total:?}");
        assert!((noise.variance(1, &[10, 1000]) / total.variance - 0.25).abs() < 1e-9);
        for comment in
            ["", "standard errors: alloc_space NaN %", "standard errors: alloc_space -1 %"]
        {
            assert_eq!(Noise::of(&windows(comment), 1), Noise::Unknown, "{comment}");
        }
    }

    #[test]
    fn what_is_counted_in_full_has_no_noise() {
        let heap = [("inuse_objects", "count"), ("inuse_space", "bytes")];
        let mut b = Builder::new(types(&heap), 1);
        b.period(SampleType::new("space", "bytes"), 1);
        let none = b.label_set(Vec::new());
        b.sample(None, none, &[3, 300]);
        let profile = b.finish();
        let total = Noise::of(&profile, 1).total(&profile, 1);
        assert_eq!((total.value, total.variance), (300.0, 0.0));
        assert!(total.weight() <= 0.0 && total.samples().is_infinite());
    }
}
