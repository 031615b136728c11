//! Who holds what lives: how much, since when, and how that has grown.

use std::collections::HashMap;

use super::history::{self, History};
use super::weight::{Blocks, Estimate};
use crate::aggregate::Stack;
use crate::process::ProcessId;

/// What a stack of a process holds.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) process: ProcessId,
    pub(crate) stack: Stack,
    pub(crate) holds: Holds,
}

impl Holder {
    /// One of whose blocks it is not known since when they live.
    pub(super) fn without_history(process: ProcessId, stack: Stack, blocks: Blocks) -> Self {
        Self { process, stack, holds: Holds { blocks, has_unknown: true, ..Holds::default() } }
    }
}

/// Blocks that live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holds {
    pub(crate) blocks: Blocks,
    /// The blocks' ages in nanoseconds, and how many blocks each stands for.
    ages: Vec<(u64, f64)>,
    /// Their bytes at each moment of the history.
    at: Vec<Estimate>,
    /// Of the bytes, the variance of those that lived at a moment already: what does not count
    /// when the two are compared.
    common: Vec<f64>,
    /// Whether some of it has no ages and no history.
    has_unknown: bool,
}

/// How much more is held than at an earlier moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    pub(crate) bytes: Estimate,
    /// How long ago that moment was.
    pub(crate) over_ns: u64,
    /// Between how many moments since then it rose, of how many.
    pub(crate) rises: usize,
    pub(crate) steps: usize,
}

impl Holds {
    /// Adds a block that lives, of this age at `now_ns`.
    fn add(&mut self, blocks: Blocks, born_ns: u64, age_ns: u64, times_ns: &[u64]) {
        self.blocks += blocks;
        self.ages.push((age_ns, blocks.objects.value));
        self.common.resize(times_ns.len(), 0.0);
        for (common, _) in self.common.iter_mut().zip(times_ns).filter(|(_, at)| born_ns <= **at) {
            *common += blocks.space.variance;
        }
    }

    /// Adds what another holds.
    pub(crate) fn join(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.has_unknown |= other.has_unknown;
        self.ages.extend_from_slice(&other.ages);
        self.at.resize(self.at.len().max(other.at.len()), Estimate::default());
        self.common.resize(self.common.len().max(other.common.len()), 0.0);
        self.at.iter_mut().zip(&other.at).for_each(|(sum, at)| *sum += *at);
        self.common.iter_mut().zip(&other.common).for_each(|(sum, one)| *sum += one);
    }

    /// The age of the oldest block, and that which half of the blocks have passed; `None` if no
    /// block's age is known.
    pub(crate) fn ages_ns(&self) -> Option<(u64, u64)> {
        let mut ages = self.ages.clone();
        ages.sort_unstable_by_key(|(age, _)| *age);
        let half: f64 = ages.iter().map(|(_, blocks)| blocks).sum::<f64>() / 2.0;
        let mut passed = 0.0;
        let median = ages.iter().find(|(_, blocks)| {
            passed += blocks;
            passed >= half
        });
        Some((ages.last()?.0, median?.0))
    }

    /// How it has grown since the middle of the time between the first moment and the end. `None`
    /// of a history that is too short, or not all of it.
    pub(crate) fn growth(&self, times_ns: &[u64], end_ns: u64) -> Option<Growth> {
        if self.has_unknown {
            return None;
        }
        let first = *times_ns.first()?;
        let middle = first + end_ns.saturating_sub(first) / 2;
        let from = times_ns.iter().position(|time| *time >= middle)?;
        let (then, now) = (*self.at.get(from)?, self.blocks.space);
        let common = self.common.get(from).copied().unwrap_or(0.0);
        let bytes = Estimate {
            value: now.value - then.value,
            variance: (now.variance + then.variance - 2.0 * common).max(0.0),
        };
        let values: Vec<f64> =
            self.at[from..].iter().map(|at| at.value).chain([now.value]).collect();
        let rises = values.windows(2).filter(|two| two[1] > two[0]).count();
        let over_ns = end_ns.saturating_sub(times_ns[from]);
        Some(Growth { bytes, over_ns, rises, steps: values.len() - 1 })
    }
}

impl Growth {
    /// Whether it grows, and not by chance, nor at once.
    pub(crate) fn is_steady(&self) -> bool {
        self.bytes.value > 2.0 * self.bytes.standard_error()
            && self.steps >= 2
            && self.rises * 4 >= self.steps * 3
    }
}

/// Collects what lives by who holds it.
#[derive(Debug, Default)]
pub(super) struct Collecting(HashMap<history::Holder, Holds>);

impl Collecting {
    pub(super) fn add(
        &mut self,
        holder: history::Holder,
        blocks: Blocks,
        (born_ns, age_ns): (u64, u64),
        history: &History,
    ) {
        let holds = self.0.entry(holder).or_default();
        holds.add(blocks, born_ns, age_ns, history.times_ns());
    }

    pub(super) fn finish(self, history: &History) -> Vec<Holder> {
        let holder = |((process, stack), mut holds): (history::Holder, Holds)| {
            holds.at = history.of((process, stack));
            Holder { process, stack, holds }
        };
        let mut all: Vec<Holder> = self.0.into_iter().map(holder).collect();
        all.sort_by(|a, b| {
            let bytes = |one: &Holder| one.holds.blocks.space.value;
            bytes(b).total_cmp(&bytes(a)).then((a.process, a.stack).cmp(&(b.process, b.stack)))
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(at: &[f64], now: u64) -> Holds {
        let at = at.iter().map(|&value| Estimate { value, variance: 0.0 }).collect();
        let mut holds = Holds { at, ..Holds::default() };
        holds.add(Blocks::of_sample(now, 1), 0, 7, &[]);
        holds
    }

    #[test]
    fn growth_is_that_since_the_middle() {
        let times = [0, 10, 20, 30];
        let growth = holds(&[1.0, 2.0, 3.0, 4.0], 5).growth(&times, 40).expect("a history");
        assert!((growth.bytes.value - 2.0).abs() < 1e-6, "{growth:?}");
        assert_eq!((growth.over_ns, growth.rises, growth.steps), (20, 2, 2));
        assert!(growth.is_steady());
        let cache = holds(&[0.0, 900.0, 1000.0, 1000.0], 1000).growth(&times, 40);
        assert!(!cache.expect("a history").is_steady());
        assert_eq!(holds(&[], 5).growth(&[], 40), None);
    }

    #[test]
    fn what_lived_before_does_not_make_growth_uncertain() {
        let mut holds = Holds::default();
        let block = Blocks::of_sample(16, 1 << 14);
        holds.add(block, 5, 35, &[10]);
        holds.at = vec![block.space];
        let growth = holds.growth(&[10], 10).expect("a history");
        assert!(growth.bytes.standard_error() < 1e-6, "{growth:?}");
    }

    #[test]
    fn the_median_age_is_by_blocks() {
        let mut holds = Holds::default();
        for (size, age) in [(1 << 20, 50), (16, 10), (16, 20), (16, 30)] {
            holds.add(Blocks::of_sample(size, 1 << 14), 0, age, &[]);
        }
        assert_eq!(holds.ages_ns(), Some((50, 20)));
        let mut both = Holds::default();
        both.join(&holds);
        assert_eq!(both.ages_ns(), Some((50, 20)));
    }
}
