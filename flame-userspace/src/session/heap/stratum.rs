//! A stretch of time with windows at random moments, and which moments a window serves.

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

    /// Leaves out the moments that a window serves which was `opened`, behind which none can open
    /// before the `soonest` time; how many they are.
    ///
    /// Moments in that time come too near to it for windows of their own. Of two that are `a` apart
    /// where windows are `d` apart, one window serves both with the probability `1 - a/d`, and else
    /// the second is moved to the soonest time: the mean of the distance stays `a`. What windows
    /// differ by then tells what moments differ by, in a program whose phases end at a steady rate,
    /// which differs in proportion to the distance. `random` gives numbers from 0 to 1.
    pub(super) fn serve(
        &mut self,
        opened: Instant,
        soonest: Instant,
        mut random: impl FnMut() -> f64,
    ) -> u32 {
        let room = soonest.saturating_duration_since(opened).as_secs_f64();
        let left = self.moments.len();
        self.moments.retain(|moment| {
            let apart = moment.saturating_duration_since(opened).as_secs_f64();
            random() * room < apart
        });
        (left - self.moments.len()) as u32
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
    fn near_moments_are_served_so_that_the_mean_of_their_distance_stays() {
        let mut random = Random::default();
        let length = Duration::from_millis(100);
        let begins = Instant::now();
        let mut served = 0;
        for _ in 0..2000 {
            let mut stratum = Stratum::plan(begins, length, [0.2, 0.1, 0.9].into_iter());
            let first = stratum.moment().expect("the first moment");
            assert_eq!(first, begins + length / 10);
            stratum.take_moment();
            // Windows are 40 ms apart, the second moment 10.
            served += stratum.serve(first, first + length.mul_f64(0.4), || random.next());
            let later = stratum.moments.back().copied();
            assert_eq!(later, Some(begins + length.mul_f64(0.9)), "one that is far off");
        }
        let mean = f64::from(2000 - served) / 2000.0 * 40.0;
        assert!((mean - 10.0).abs() < 2.0, "{mean}");
    }
}
