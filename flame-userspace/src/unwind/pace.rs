//! How long a walk may take. Real ones take some microseconds, or milliseconds where tables have to be
//! made; code may be made so that each frame takes as long as tables do, and whoever waits for such
//! walks loses the samples of all others.

use std::time::{Duration, Instant};

/// What one walk may take, in any case.
const LONGEST: Duration = Duration::from_secs(1);
/// What it may take where all of them have taken more than this at once and that share of the time
/// since the first: in a second as many stacks as a CPU may copy take as long as that then.
const SHORT: Duration = Duration::from_micros(200);
const AT_ONCE: Duration = Duration::from_secs(5);
const SHARE: u32 = 4;

/// What walks have taken.
#[derive(Debug, Default)]
pub(super) struct Pace {
    first: Option<Instant>,
    spent: Duration,
    /// When the walk that is going on began.
    began: Option<Instant>,
    /// What it may take.
    may_take: Duration,
}

impl Pace {
    /// A walk begins.
    pub(super) fn begin(&mut self, now: Instant) {
        let since = now - *self.first.get_or_insert(now);
        let is_behind = self.spent > AT_ONCE + since / SHARE;
        self.began = Some(now);
        self.may_take = if is_behind { SHORT } else { LONGEST };
    }

    /// Whether the walk has taken too long.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.began.is_some_and(|began| now - began > self.may_take)
    }

    /// The walk has ended.
    pub(super) fn end(&mut self, now: Instant) {
        self.spent += self.began.take().map_or(Duration::ZERO, |began| now - began);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_are_cut_short_once_all_have_taken_too_much_of_the_time() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let short = Duration::from_millis(1);
        for _ in 0..7 {
            pace.begin(now);
            assert!(!pace.is_late(now + short) && pace.is_late(now + 2 * LONGEST));
            now += LONGEST;
            pace.end(now);
        }
        // Seven seconds of seven.
        pace.begin(now);
        assert!(pace.is_late(now + short));
        now += short;
        pace.end(now);
        // Of a minute they are few.
        now += Duration::from_secs(60);
        pace.begin(now);
        assert!(!pace.is_late(now + short));
    }
}
