//! Estimates from windows: stretches of time, chosen at random, in which allocations are sampled,
//! where sampling all the time would cost too much.
//!
//! A window picks a moment of the targets' time. While it is open the probes slow the targets down,
//! and the more so the more they allocate: in the same stretch of time a program that allocates
//! much does a small part of its usual work. So what is seen in the work `v_i` of a window counts
//! for the work `u_i` that was done just before it in as much time: `y_i = u_i (seen / v_i)`.
//!
//! Windows come in strata, within which they come at a constant rate. Of a stratum with the work
//! `W` (CPU time of the targets, the probes' own left out) and `n` windows, which stand for the
//! work `u_i` and the estimates `y_i` of what was allocated, the total is estimated by the ratio
//! `W Σy / Σu`, with the variance `(1 - Σu/W) W² n s² / (Σu)²`, where
//! `s² = Σ(y_i - u_i Σy/Σu)² / (n - 1)` (Cochran, "Sampling Techniques", 3rd edition 1977, section
//! 6.4). The `y_i` are themselves estimates by samples: what they vary by is a part of `s²`.
//! Estimates of strata add up.

use std::collections::HashMap;

use super::weight::{Blocks, Estimate};
use crate::aggregate::Key;

/// A quantity over the windows of a stratum.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// Σy
    y: f64,
    /// Σy²
    yy: f64,
    /// Σyu
    yu: f64,
}

impl Sums {
    fn add(&mut self, y: f64, u: f64) {
        self.y += y;
        self.yy += y * y;
        self.yu += y * u;
    }
}

/// The windows of a stratum: their number and their work.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    n: f64,
    /// Σu
    u: f64,
    /// Σu²
    uu: f64,
}

impl Work {
    /// The estimate of a quantity over a stratum of work `all`.
    fn estimate(self, sums: Sums, all: f64) -> Estimate {
        if self.u <= 0.0 {
            return Estimate::default();
        }
        let all = all.max(self.u);
        let ratio = sums.y / self.u;
        let value = ratio * all;
        if self.n < 2.0 {
            // One window tells nothing of how windows differ.
            return Estimate { value, variance: value * value };
        }
        let squares = sums.yy - 2.0 * ratio * sums.yu + ratio * ratio * self.uu;
        let spread = squares.max(0.0) / (self.n - 1.0);
        let scale = all / self.u;
        Estimate { value, variance: (1.0 - self.u / all) * scale * scale * self.n * spread }
    }
}

/// The work of the targets about a window, in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// In a stretch of time just before it, as long as the window, while nothing was probed.
    pub(crate) work: f64,
    /// In the window itself, above 0.
    pub(crate) work_seen: f64,
    /// How far that may be off, as a share of it: in all windows the same way.
    pub(crate) unsure: f64,
}

/// The estimates of a session's windows.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Of the window that is open, or of the one whose samples still come.
    open: HashMap<Key, [f64; 2]>,
    work: Work,
    /// Objects and bytes.
    sums: HashMap<Key, [Sums; 2]>,
    total: [Sums; 2],
    done: HashMap<Key, Blocks>,
    done_in_all: Blocks,
    /// What was seen, and by how much it may be off because the windows' work is not sure.
    unsure: Unsure,
}

/// A sum of values, and of their possible errors that all have the same sign.
#[derive(Debug, Clone, Copy, Default)]
struct Unsure {
    values: f64,
    errors: f64,
}

impl Unsure {
    /// The estimate with this error too.
    fn widen(self, mut estimate: Estimate) -> Estimate {
        if self.values > 0.0 {
            estimate.variance += (estimate.value * self.errors / self.values).powi(2);
        }
        estimate
    }
}

impl Windows {
    /// Takes in a sample of the window.
    pub(super) fn add(&mut self, key: &Key, blocks: Blocks) {
        let [objects, space] = self.open.entry(key.clone()).or_default();
        *objects += blocks.objects.value;
        *space += blocks.space.value;
    }

    /// The window is over; `None` if nothing can be told of it.
    pub(super) fn end_window(&mut self, window: Option<Window>) {
        let Some(Window { work, work_seen, unsure }) = window else {
            self.open.clear();
            return;
        };
        let mut all = [0.0; 2];
        for (key, values) in self.open.drain() {
            let sums = self.sums.entry(key).or_default();
            for ((sums, value), all) in sums.iter_mut().zip(values).zip(&mut all) {
                let value = value * work / work_seen;
                sums.add(value, work);
                *all += value;
            }
        }
        for (sums, all) in self.total.iter_mut().zip(all) {
            sums.add(all, work);
        }
        let [_, space] = all;
        self.unsure.values += space;
        self.unsure.errors += space * unsure;
        self.work.n += 1.0;
        self.work.u += work;
        self.work.uu += work * work;
    }

    /// The stratum is over, in which so much work was done in all. `false` if it had no window: its
    /// work is then to be added to the next one's.
    pub(super) fn end_stratum(&mut self, all: f64) -> bool {
        let work = std::mem::take(&mut self.work);
        if work.u <= 0.0 {
            return false;
        }
        let blocks = |[objects, space]: [Sums; 2]| Blocks {
            objects: work.estimate(objects, all),
            space: work.estimate(space, all),
        };
        for (key, sums) in self.sums.drain() {
            *self.done.entry(key).or_default() += blocks(sums);
        }
        self.done_in_all += blocks(std::mem::take(&mut self.total));
        true
    }

    /// The estimates of the strata that are over, by key and in all.
    pub(super) fn take(&mut self) -> (HashMap<Key, Blocks>, Blocks) {
        let unsure = std::mem::take(&mut self.unsure);
        let widen = |Blocks { objects, space }: Blocks| Blocks {
            objects: unsure.widen(objects),
            space: unsure.widen(space),
        };
        let rows = self.done.drain().map(|(key, blocks)| (key, widen(blocks))).collect();
        (rows, widen(std::mem::take(&mut self.done_in_all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessTable;
    use std::collections::HashSet;

    fn key() -> Key {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        Key { process, tid: 1, thread: "t".into(), stack: None }
    }

    fn blocks(bytes: f64) -> Blocks {
        let estimate = Estimate { value: bytes, variance: 0.0 };
        Blocks { objects: estimate, space: estimate }
    }

    #[test]
    fn a_steady_program_is_known_exactly_by_its_work() {
        let mut windows = Windows::default();
        for work in [10.0, 20.0, 5.0] {
            windows.add(&key(), blocks(work * 3.0));
            windows.end_window(Some(Window { work, work_seen: work, unsure: 0.0 }));
        }
        assert!(windows.end_stratum(350.0));
        let (rows, all) = windows.take();
        assert_eq!(rows.len(), 1);
        assert!((all.space.value - 1050.0).abs() < 1e-6, "{all:?}");
        assert!(all.space.standard_error() < 1e-3, "{all:?}");
        assert!(!windows.end_stratum(1.0), "no window, no estimate");
    }

    #[test]
    fn a_window_that_saw_less_work_than_usual_stands_for_the_usual() {
        let mut windows = Windows::default();
        // Slow phases at rate 1, and fast ones at rate 10, which the probes slow down by ten times.
        for (rate, work_seen) in [(1.0, 10.0), (10.0, 1.0), (1.0, 10.0), (10.0, 1.0)] {
            windows.add(&key(), blocks(rate * work_seen));
            windows.end_window(Some(Window { work: 10.0, work_seen, unsure: 0.1 }));
        }
        windows.add(&key(), blocks(1e9));
        windows.end_window(None);
        assert!(windows.end_stratum(1000.0));
        let (_, all) = windows.take();
        assert!((all.space.value - 5500.0).abs() < 1e-6, "{all:?}");
        assert!(all.space.standard_error() > 550.0, "{all:?}");
    }

    #[test]
    fn the_printed_error_is_that_of_repeated_windows() {
        // A program whose rate changes from one moment to the next; windows at random moments.
        let rate = |moment: usize| if moment % 7 < 2 { 50.0 } else { 1.0 };
        let moments = 7000;
        let truth: f64 = (0..moments).map(rate).sum();
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % moments
        };
        let mut squares = 0.0;
        let rounds = 300;
        for _ in 0..rounds {
            let mut windows = Windows::default();
            for _ in 0..200 {
                windows.add(&key(), blocks(rate(random())));
                windows.end_window(Some(Window { work: 1.0, work_seen: 1.0, unsure: 0.0 }));
            }
            windows.end_stratum(moments as f64);
            let (_, all) = windows.take();
            squares += ((all.space.value - truth) / all.space.standard_error()).powi(2);
        }
        let deviation = (squares / f64::from(rounds)).sqrt();
        assert!((0.9..1.1).contains(&deviation), "{deviation}");
    }
}
