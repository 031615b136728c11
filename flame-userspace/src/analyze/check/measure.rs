//! The value of what a limit is on, in one profile.

use std::collections::HashMap;

use super::limit::{Limit, Subject};
use crate::analyze::noise::{Estimate, Noise};
use crate::analyze::{frame_module, frame_name};
use crate::profile::tree::FrameName;
use crate::profile::{LocationId, Profile, StringId};

/// What a limit is on, and all there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// What the limit is on.
    pub(super) part: Estimate,
    /// All samples.
    pub(super) total: Estimate,
    /// Whether the file tells how it was sampled.
    pub(super) noise_known: bool,
}

impl Measured {
    /// Adds up a column, each sample once however often the subject stands in its stack.
    pub(super) fn of(profile: &Profile, column: usize, limit: &Limit) -> Self {
        let noise = Noise::of(profile, column);
        let is_in = Samples::of(profile, limit);
        let mut measured = Self {
            part: Estimate::default(),
            total: Estimate::default(),
            noise_known: noise != Noise::Unknown,
        };
        for sample in profile.samples() {
            let (value, variance) = (sample.values[column], noise.variance(column, sample.values));
            measured.total.add(value, variance);
            if is_in.has(sample.stack.map(crate::profile::StackId::index)) {
                measured.part.add(value, variance);
            }
        }
        measured
    }

    /// What a sample of the part is worth; of all, where it has none. 0 where nothing is known.
    pub(super) fn weight(&self) -> f64 {
        if self.part.value == 0.0 { self.total.weight() } else { self.part.weight() }
    }

    /// The part's share of all, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        if self.total.value == 0.0 { 0.0 } else { self.part.value / self.total.value }
    }

    /// The variance of the share: by the sums of the part and of the rest, which vary
    /// independently of each other, to the first order (the delta method). A sample more of the
    /// part has this `weight`.
    pub(super) fn share_variance(&self, weight: f64) -> f64 {
        if self.total.value == 0.0 {
            return 0.0;
        }
        let share = self.share();
        let rest = (self.total.variance - self.part.variance).max(0.0);
        let part = self.part.variance + weight * weight;
        let sum = (1.0 - share).powi(2) * part + share * share * rest;
        sum / (self.total.value * self.total.value)
    }
}

/// Which samples the subject of a limit stands in.
enum Samples {
    All,
    /// By stack.
    Stacks(Vec<bool>),
}

impl Samples {
    fn of(profile: &Profile, limit: &Limit) -> Self {
        if limit.subject == Subject::Whole {
            return Self::All;
        }
        let mut known = HashMap::new();
        let locations: Vec<bool> = (0..profile.locations().len())
            .map(|row| matches(profile, LocationId::new(row), limit, &mut known))
            .collect();
        let mut stacks: Vec<bool> = Vec::with_capacity(profile.stacks().len());
        for node in profile.stacks() {
            let above = !limit.own && node.parent.is_some_and(|parent| stacks[parent.index()]);
            stacks.push(above || locations[node.location.index()]);
        }
        Self::Stacks(stacks)
    }

    fn has(&self, stack: Option<usize>) -> bool {
        match self {
            Self::All => true,
            Self::Stacks(stacks) => stack.is_some_and(|stack| stacks[stack]),
        }
    }
}

/// Whether the subject is among the functions of a location; for self values, the innermost. Which
/// names match is `known` from then on: very many locations may have one that is long.
fn matches(
    profile: &Profile,
    id: LocationId,
    limit: &Limit,
    known: &mut HashMap<StringId, bool>,
) -> bool {
    let location = profile.location(id);
    let mapping = location.mapping;
    match &limit.subject {
        Subject::Whole => true,
        Subject::Functions(glob) => {
            let lines = if limit.own { 1 } else { location.lines.len() };
            let names = location.lines.iter().take(lines);
            let mut names = names.map(|line| profile.function(line.function).name);
            if location.lines.is_empty() {
                let frame = match mapping {
                    Some(mapping) => FrameName::Nameless { mapping },
                    None => FrameName::Address { address: location.address },
                };
                return glob.matches(&frame_name(profile, frame));
            }
            let is = |name| glob.matches(profile.string(name));
            names.any(|name| *known.entry(name).or_insert_with(|| is(name)))
        }
        Subject::Modules(glob, by_path) => mapping.is_some_and(|mapping| {
            if *by_path {
                glob.matches(profile.string(profile.mapping(mapping).path))
            } else {
                glob.matches(&frame_module(profile, FrameName::Nameless { mapping }))
            }
        }),
    }
}
