//! How densely to sample: so that there are as many samples whatever is allocated.

use super::Heap;
use super::governor::Probing;

/// The shortest and the longest interval that flame chooses, in bytes.
const INTERVALS: (u64, u64) = (1 << 10, 4 << 20);
/// Samples a second that the interval is chosen for.
pub(super) const SAMPLES_A_SECOND: f64 = 500.0;
/// How often the interval is looked at, in nanoseconds.
const ADAPT_NS: u64 = 100_000_000;

impl Heap {
    /// Chooses the interval for a steady number of samples, whatever is allocated. Samples are
    /// weighted by the interval that chose them, so that a change has no bias.
    pub(super) fn adapt(&mut self, now_ns: u64) {
        let past_ns = now_ns.saturating_sub(self.adapted_ns);
        if past_ns < ADAPT_NS || self.probing == Probing::Windows {
            return;
        }
        let samples = self.ledger.samples().saturating_sub(self.adapted_samples);
        (self.adapted_ns, self.adapted_samples) = (now_ns, self.ledger.samples());
        self.choose(samples as f64 * 1e9 / past_ns as f64 / SAMPLES_A_SECOND);
    }

    /// Goes to an interval, by how many times more samples there were than wanted: at most half as
    /// long at a time, since what allocates little now may allocate much in a moment.
    pub(super) fn choose(&mut self, excess: f64) {
        if (0.5..=1.5).contains(&excess) {
            return;
        }
        self.sample_at(self.interval as f64 * excess.clamp(0.5, 16.0));
    }

    /// Goes to about this interval, in bytes, if the user has not chosen one.
    pub(super) fn sample_at(&mut self, interval: f64) {
        if self.options.interval.is_some() {
            return;
        }
        let (least, most) = INTERVALS;
        self.interval = (interval as u64).clamp(least, most);
        self.prober.interval(self.interval);
        let (least, most) = self.intervals;
        self.intervals = (least.min(self.interval), most.max(self.interval));
    }
}
