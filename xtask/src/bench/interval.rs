//! Medians with their 95 % intervals, which assume nothing of how the noise is distributed.

/// The middle of measurements, and the range that holds the true middle in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: usize,
}

impl Interval {
    /// Of these measurements; with fewer than six there is no such range, and the least and the
    /// greatest stand in its place. None without measurements.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let middle = median(&sorted)?;
        let rank = rank(count);
        Some(Self { median: middle, low: sorted[rank], high: sorted[count - 1 - rank], count })
    }

    /// How far it reaches from the median, on the wider side.
    pub(super) fn reach(&self) -> f64 {
        (self.high - self.median).max(self.median - self.low)
    }

    /// Whether there are enough measurements for an interval.
    pub(super) fn holds(&self) -> bool {
        self.count >= LEAST
    }
}

/// The least number of measurements whose extremes hold the median in 95 of 100 cases.
const LEAST: usize = 6;

/// The middle of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, *upper))
}

/// The middle of values.
pub(super) fn middle(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    median(&values).unwrap_or(f64::NAN)
}

/// How many of the sorted measurements to leave out at each end: the median lies between the rest
/// unless more than so many fall on the other side, which a fair coin tells the chance of.
fn rank(count: usize) -> usize {
    let mut below = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut term = below;
    let mut rank = 0;
    // P(at most `rank` of `count` coins) must stay under 2.5 %.
    while rank + 1 < count.div_ceil(2) {
        term *= (count - rank) as f64 / (rank + 1) as f64;
        below += term;
        if below > 0.025 {
            break;
        }
        rank += 1;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_sign_test() {
        // From tables: the k-th smallest and greatest of n, k = rank + 1.
        for (count, k) in [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (40, 14)] {
            assert_eq!(rank(count) + 1, k, "{count}");
        }
    }

    #[test]
    fn an_interval_holds_its_median() {
        assert_eq!(Interval::of(&[]), None);
        let one = Interval::of(&[3.0]).expect("one value");
        assert_eq!((one.median, one.reach(), one.holds()), (3.0, 0.0, false));
        let nine = Interval::of(&[9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0]).expect("values");
        assert_eq!((nine.median, nine.low, nine.high), (5.0, 2.0, 8.0));
        assert!(nine.holds());
        assert!((middle([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
