//! Limits on how much a profile may have grown, told apart from what sampling does by chance.
//!
//! A limit is passed if the growth that the profiles show is beyond it, and it *fails* if it is so
//! by more than chance explains at 95 %: with the new value `N` and the base's `B`, scaled by `s`,
//! a limit of growth by the share `r` fails if
//!
//! ```text
//! D = N - (1 + r) s B  >  z sqrt(Var N + (1 + r)² s² Var B),        z = 1.96
//! ```
//!
//! which is the test of two Poisson means by their unconstrained variances (Gu, Ng, Tang and
//! Schucany, "Testing the Ratio of Two Poisson Rates", Biometrical Journal 50, 2008, statistic W1)
//! with the variances of [`noise`](super::noise). `z` is that of the two-sided interval, so that
//! what fails is what lies beyond the error that is told, and a growth that is just at the limit
//! fails once in thirty to forty times. Other limits have another `D`: `N - sB - a` for growth by an amount,
//! `N - a` for an amount, and shares of the totals in the place of values for shares.
//!
//! A count of `n` has the variance `n + 1` here: that of the gamma distribution of shape `n + 1`
//! which gives the exact upper limit of a Poisson mean (Garwood, "Fiducial Limits for the Poisson
//! Distribution", Biometrika 28, 1936). It keeps a count of nothing from being a certainty, and the
//! test from failing too often where counts are small: a test here computes how often it does.

mod glob;
mod limit;
mod measure;
mod verdict;

pub use glob::Glob;
pub use limit::{Amount, Bound, Limit, ParseError, Subject};
pub use verdict::{Outcome, Verdict};

use super::normalize::{Normalize, NotComparable, Pair, Scale};
use crate::profile::Profile;
use measure::Measured;

/// How to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// How to make the base comparable, if not as [`Pair::scale`] finds.
    pub normalize: Option<Normalize>,
    /// Whether what lies within the error fails too.
    pub strict: bool,
}

/// What became of a set of limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// One for each limit, in their order.
    pub outcomes: Vec<Outcome>,
    /// Whether what lies within the error fails too.
    pub strict: bool,
}

impl Check {
    /// Holds `new` against `base`. A limit on what the profiles do not have is an error.
    pub fn of(
        base: &Profile,
        new: &Profile,
        limits: &[Limit],
        options: CheckOptions,
    ) -> Result<Self, NotComparable> {
        let outcome = |limit: &Limit| {
            let pair = Pair::by(base, new, Some(&limit.metric))?;
            let scale = pair.scale(options.normalize)?;
            let amount = limit.amount(pair.unit())?;
            let measured = [(base, pair.base_column), (new, pair.new_column)]
                .map(|(profile, column)| Measured::of(profile, column, limit));
            Ok(verdict::judge(limit, amount, pair.unit(), scale, &measured))
        };
        let outcomes = limits.iter().map(outcome).collect::<Result<_, NotComparable>>()?;
        Ok(Self { outcomes, strict: options.strict })
    }

    /// Whether an outcome is a failure.
    pub fn fails(&self, outcome: &Outcome) -> bool {
        match outcome.verdict {
            Verdict::Within => false,
            Verdict::Noise => self.strict,
            Verdict::Beyond => true,
        }
    }

    /// How many limits failed.
    pub fn failures(&self) -> usize {
        self.outcomes.iter().filter(|outcome| self.fails(outcome)).count()
    }

    /// How the base was made comparable, once for each way.
    pub fn scales(&self) -> Vec<&Scale> {
        let mut scales: Vec<&Scale> = self.outcomes.iter().map(|outcome| &outcome.scale).collect();
        scales.dedup();
        scales
    }
}

#[cfg(test)]
mod tests;
