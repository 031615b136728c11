//! A stretch of time with windows at random moments.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::governor::Usage;

/// A stretch of time with windows at random moments.
#[derive(Debug)]
pub(super) struct Stratum {
    /// What had been used when it began, and when that was.
    pub(super) used: Usage,
    pub(super) began: Instant,
    /// When it is to end.
    pub(super) ends: Instant,
    /// The moments at which windows are to open that have not been, the first in front.
    moments: VecDeque<Instant>,
}

impl Stratum {
    /// Of this length. `moments` tell when its windows are to open, as shares of it.
    pub(super) fn plan(
        begins: Instant,
        length: Duration,
        moments: impl Iterator<Item = f64>,
    ) -> Self {
        let mut moments: Vec<Instant> =
            moments.map(|moment| begins + length.mul_f64(moment)).collect();
        moments.sort_unstable();
        let (used, ends) = (Usage::default(), begins + length);
        Self { used, began: begins, ends, moments: moments.into() }
    }

    /// Begins now.
    pub(super) fn begin(&mut self, used: Usage) {
        self.used = used;
        self.began = Instant::now();
    }

    /// The moment at which the next window is to open.
    pub(super) fn moment(&self) -> Option<Instant> {
        self.moments.front().copied()
    }

    /// The window of the next moment opens.
    pub(super) fn take_moment(&mut self) {
        self.moments.pop_front();
    }
}

/// Random numbers.
#[derive(Debug, Default)]
pub(super) struct Random {
    state: RandomState,
    drawn: u64,
}

impl Random {
    /// A number from 0 to 1.
    pub(super) fn next(&mut self) -> f64 {
        self.drawn += 1;
        self.state.hash_one(self.drawn) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_in_the_order_of_their_moments() {
        let (begins, length) = (Instant::now(), Duration::from_millis(100));
        let mut stratum = Stratum::plan(begins, length, [0.9, 0.1].into_iter());
        assert_eq!(stratum.ends, begins + length);
        for of_length in [0.1, 0.9] {
            assert_eq!(stratum.moment(), Some(begins + length.mul_f64(of_length)));
            stratum.take_moment();
        }
        assert_eq!(stratum.moment(), None);
    }
}
