//! Whether a limit holds.

use super::limit::{Bound, Limit};
use super::measure::Measured;
use crate::analyze::noise::Estimate;
use crate::analyze::normalize::{Normalize, Scale};
use crate::profile::Unit;

/// Half the width of a two-sided 95 % interval of a normal distribution, in standard deviations.
pub(super) const Z: f64 = 1.959_964;

/// What became of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The limit holds.
    Within,
    /// The profiles show more than the limit, but no more than chance explains.
    Noise,
    /// The limit is passed.
    Beyond,
}

/// A limit, and what the profiles show.
///
/// Values are in the unit of the metric, or shares of the total from 0 to 1: see
/// [`of_shares`](Self::of_shares).
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The limit.
    pub limit: Limit,
    /// What the metric's values count.
    pub unit: Unit,
    /// How the base was made comparable.
    pub scale: Scale,
    /// The base's value, scaled.
    pub base: f64,
    /// The new value.
    pub new: f64,
    /// How far `new - base` may be off by chance at 95 %.
    pub error: f64,
    /// The smallest new value that would have failed.
    pub smallest: f64,
    /// What became of it.
    pub verdict: Verdict,
    /// How many samples of equal weight stand behind the base's and the new value.
    pub samples: [f64; 2],
    /// Whether both files tell how they were sampled; else every difference counts.
    pub noise_known: bool,
}

impl Outcome {
    /// Whether [`base`](Self::base), [`new`](Self::new) and the others are shares.
    pub fn of_shares(&self) -> bool {
        matches!(self.limit.bound, Bound::Points(_) | Bound::Share(_))
            || self.scale.by == Normalize::Share && matches!(self.limit.bound, Bound::Growth(_))
    }

    /// How much of the base's value `difference` is; `None` where there was nothing.
    pub fn relative(&self, difference: f64) -> Option<f64> {
        (self.base > 0.0).then(|| difference / self.base)
    }

    /// Whether neither profile has anything of what the limit is on.
    pub fn is_empty(&self) -> bool {
        self.samples == [0.0; 2]
    }
}

/// A value with its variance, and what a sample of it is worth.
#[derive(Clone, Copy)]
struct Side {
    value: f64,
    variance: f64,
    weight: f64,
}

/// Judges a limit, whose amount is in the unit of the values, by the base and the new profile.
pub(super) fn judge(
    limit: &Limit,
    amount: f64,
    unit: &Unit,
    scale: Scale,
    measured: &[Measured; 2],
) -> Outcome {
    let by_share = scale.by == Normalize::Share;
    let shares = matches!(limit.bound, Bound::Points(_) | Bound::Share(_))
        || by_share && matches!(limit.bound, Bound::Growth(_));
    let factor = if shares { 1.0 } else { scale.factor };
    // What no sample was seen of would be seen by samples as the other profile's.
    let weights = measured.each_ref().map(Measured::weight);
    let weights = match weights {
        [0.0, new] => [new / scale.factor, new],
        [base, 0.0] => [base, base * scale.factor],
        both => both,
    };
    let [base, new] = [0, 1].map(|i| side(&measured[i], weights[i], shares));
    let base =
        Side { value: base.value * factor, variance: base.variance * factor * factor, ..base };
    // The new value is held against `most`, which is as uncertain as the base times `lever`.
    let (most, lever) = match limit.bound {
        Bound::Growth(share) => ((1.0 + share) * base.value, 1.0 + share),
        Bound::Points(_) | Bound::More(_) => (base.value + amount, 1.0),
        Bound::Share(_) | Bound::AtMost(_) => (amount, 0.0),
    };
    let uncertain = lever * lever * base.variance;
    let beyond = new.value - most;
    let verdict = if beyond <= 0.0 {
        Verdict::Within
    } else if beyond > Z * (new.variance + uncertain).sqrt() {
        Verdict::Beyond
    } else {
        Verdict::Noise
    };
    Outcome {
        limit: limit.clone(),
        unit: unit.clone(),
        scale,
        base: base.value,
        new: new.value,
        error: Z * (new.variance + base.variance).sqrt(),
        smallest: smallest(most, uncertain, new.weight),
        verdict,
        samples: measured.each_ref().map(|m| samples(&m.part)),
        noise_known: measured.iter().all(|m| m.noise_known),
    }
}

/// The part, or its share, with the variance of one sample more: see the module's documentation.
fn side(measured: &Measured, weight: f64, share: bool) -> Side {
    if share {
        let total = measured.total.value;
        let variance = measured.share_variance(weight);
        let weight = if total == 0.0 { 0.0 } else { weight / total };
        Side { value: measured.share(), variance, weight }
    } else {
        let Estimate { value, variance } = measured.part;
        Side { value, variance: variance + weight * weight, weight }
    }
}

fn samples(part: &Estimate) -> f64 {
    if part.value == 0.0 { 0.0 } else { part.samples() }
}

/// The smallest value `x` of samples worth `w`, whose variance is `wx + w²`, that lies so far
/// beyond `most` that chance does not explain it: the larger root of
/// `(x - most)² = z² (wx + w² + uncertain)`.
fn smallest(most: f64, uncertain: f64, w: f64) -> f64 {
    let half = most + Z * Z * w / 2.0;
    let rest = most * most - Z * Z * (w * w + uncertain);
    half + (half * half - rest).max(0.0).sqrt()
}
