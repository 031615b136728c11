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
    /// The moments for windows that have not been.
    planned: VecDeque<Instant>,
}

impl Stratum {
    /// Begins now. `moments` tell when its windows are, as shares of its length.
    pub(super) fn begin(used: Usage, length: Duration, moments: impl Iterator<Item = f64>) -> Self {
        let began = Instant::now();
        let mut planned: Vec<Instant> =
            moments.map(|moment| began + length.mul_f64(moment)).collect();
        planned.sort_unstable();
        Self { used, began, ends: began + length, planned: planned.into() }
    }

    /// Takes the next moment for a window.
    pub(super) fn next(&mut self) -> Option<Instant> {
        self.planned.pop_front()
    }

    /// Leaves out the moments that a window serves which began at its own, and up to `now` left
    /// room for no other; how many they are.
    ///
    /// Moments in that time come too near to it for windows of their own. Of two that are `a` apart
    /// where windows are `d` apart, one window serves both with the probability `1 - a/d`, and else
    /// the second is left for a window at once: the mean of the distance stays `a`. What windows
    /// differ by then tells what moments differ by, in a program whose phases end at a steady rate,
    /// which differs in proportion to the distance. `random` gives numbers from 0 to 1.
    pub(super) fn serve(
        &mut self,
        began: Instant,
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) -> u32 {
        let room = now.saturating_duration_since(began).as_secs_f64();
        let left = self.planned.len();
        self.planned.retain(|moment| {
            let apart = moment.saturating_duration_since(began).as_secs_f64();
            random() * room < apart
        });
        (left - self.planned.len()) as u32
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
        let mut served = 0;
        for _ in 0..2000 {
            let moments = [0.2, 0.1, 0.9];
            let mut stratum = Stratum::begin(Usage::default(), length, moments.into_iter());
            let first = stratum.next().expect("the first moment");
            assert_eq!(first, stratum.began + length / 10);
            // Windows are 40 ms apart, the second moment 10.
            served += stratum.serve(first, first + length.mul_f64(0.4), || random.next());
            let later = stratum.planned.back().copied();
            assert_eq!(later, Some(stratum.began + length.mul_f64(0.9)), "one that is far off");
        }
        let mean = f64::from(2000 - served) / 2000.0 * 40.0;
        assert!((mean - 10.0).abs() < 2.0, "{mean}");
    }
}
