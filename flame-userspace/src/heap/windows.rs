//! Estimates from windows: stretches of time, chosen at random, in which allocations are sampled,
//! where sampling all the time would cost too much.
//!
//! A window picks a moment of the targets' time. While it is open the probes slow the targets down,
//! and the more so the more they allocate: in the same stretch of time a program that allocates
//! much does a small part of its usual work. So what is seen in the work `v_i` of a window counts
//! for the work `u_i` that was done just before it in as much time: `y_i = u_i (seen / v_i)`.
//!
//! A window's work is its CPU time less what the hits of its probes cost ([`Prices`]).
//!
//! Windows come in strata, within which they come at a constant rate. Of a stratum with the work
//! `W` (CPU time of the targets, the probes' own left out) and `n` windows, which stand for the
//! work `u_i` and the estimates `y_i` of what was allocated, the total is estimated by the ratio
//! `W Σy / Σu`, with the variance `(1 - Σu/W) W² n s² / (Σu)²`, where
//! `s² = Σ(y_i - u_i Σy/Σu)² / (n - 1)` (Cochran, "Sampling Techniques", 3rd edition 1977, section
//! 6.4). The `y_i` are themselves estimates by samples: what they vary by is a part of `s²`.
//! Estimates of strata add up.
//!
//! Moments may be drawn nearer to one another than windows can be: then the second window comes as
//! soon as it can. So windows of a stratum differ a little more than moments do, and the error that
//! is stated is a little too large: by a tenth where strata have 110 ms and windows are 17 to 25 apart,
//! and by up to three where they have 80, in programs with phases longer than that. (To let one window count for both moments states up to a third too
//! little in programs with shorter ones.)

use std::collections::HashMap;

use super::price::Price;
use super::prices::Prices;
use super::reach::Reach;
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
    /// Adds a window's estimate `y`, which stands for the work `u`.
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
    fn add(&mut self, u: f64) {
        self.n += 1.0;
        self.u += u;
        self.uu += u * u;
    }

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

/// What the targets did about a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// Their work in a stretch of time just before it, as long as the window, while nothing was
    /// probed, in nanoseconds of CPU time.
    pub(crate) usual_ns: f64,
    /// Their CPU time in the window, in nanoseconds, above 0.
    pub(crate) cpu_ns: f64,
    /// Ticks of the clock in it, and those of them outside of traps.
    pub(crate) ticks: f64,
    pub(crate) ticks_outside: f64,
    /// Hits of probes in it, and the time that their samples took, in nanoseconds.
    pub(crate) hits: f64,
    pub(crate) sampling_ns: f64,
}

/// Windows that tell how windows differ.
const LEAST_WINDOWS: usize = 2;

/// Of the CPU time of a window at least this share was work, however dear traps seem.
const LEAST_WORK: f64 = 0.05;

impl Window {
    /// The work in the window, in nanoseconds, to divide by, and how far it may be off because it
    /// is not sure what hits cost, as a share of it. `told` is what a contrast told of that.
    fn work(&self, prices: &Prices, told: Option<Price>) -> (f64, f64) {
        let price = prices.of(self, told);
        let lost_ns = self.hits * price.ns;
        let work_ns = (self.cpu_ns - lost_ns).max(self.cpu_ns * LEAST_WORK);
        (work_ns, self.hits * price.standard_error / work_ns)
    }
}

/// The estimates of a session's windows.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Of the window that is open, or of the one whose samples still come.
    open: HashMap<Key, Blocks>,
    /// Windows of the stratum that is open.
    over: Vec<Over>,
    /// What traps took in windows up to now.
    prices: Prices,
    done: HashMap<Key, Blocks>,
    done_in_all: Blocks,
    /// What was seen, and by how much it may be off because the windows' work is not sure.
    unsure: Unsure,
    /// The work of strata that are closed, and that of those that had too few windows to be, in
    /// nanoseconds.
    done_ns: f64,
    open_ns: f64,
    /// What a contrast told of the price of a hit, at last.
    told: Option<Price>,
    /// Windows that estimates are made of.
    count: u64,
}

/// A window that is over.
#[derive(Debug)]
struct Over {
    window: Window,
    seen: HashMap<Key, Blocks>,
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
        *self.open.entry(key.clone()).or_default() += blocks;
    }

    /// The window is over; `None` if nothing can be told of it.
    pub(super) fn end_window(&mut self, window: Option<Window>) {
        let seen = std::mem::take(&mut self.open);
        self.over.extend(window.map(|window| Over { window, seen }));
    }

    /// The stratum is over, in which so much work was done in all, in nanoseconds. If it had fewer
    /// windows than tell how they differ, it is a part of the next one.
    pub(super) fn end_stratum(&mut self, all_ns: f64, told: Option<Price>) {
        self.open_ns += all_ns;
        self.told = told;
        if self.over.len() >= LEAST_WINDOWS {
            self.close_stratum();
        }
    }

    fn close_stratum(&mut self) {
        let (all, told) = (self.open_ns, self.told);
        let mut work = Work::default();
        let mut sums: HashMap<Key, [Sums; 2]> = HashMap::new();
        let mut total = [Sums::default(); 2];
        self.over.iter().for_each(|over| self.prices.add(&over.window));
        for Over { window, seen } in self.over.drain(..) {
            let usual = window.usual_ns;
            let (work_seen, unsure) = window.work(&self.prices, told);
            let stands_for = usual / work_seen;
            let mut in_all = Blocks::default();
            for (key, blocks) in seen {
                let [objects, space] = sums.entry(key).or_default();
                objects.add(blocks.objects.value * stands_for, usual);
                space.add(blocks.space.value * stands_for, usual);
                in_all += blocks;
            }
            let Blocks { objects, space } = in_all;
            total[0].add(objects.value * stands_for, usual);
            total[1].add(space.value * stands_for, usual);
            log::debug!(
                "{window:?}: {work_seen:.0} ns of work, {:.0} blocks, {:.0} bytes",
                objects.value,
                space.value,
            );
            let space = space.value * stands_for;
            self.unsure.values += space;
            self.unsure.errors += space * unsure;
            work.add(usual);
        }
        if work.u <= 0.0 {
            return;
        }
        self.count += work.n as u64;
        self.open_ns = 0.0;
        self.done_ns += all;
        let blocks = |[objects, space]: [Sums; 2]| Blocks {
            objects: work.estimate(objects, all),
            space: work.estimate(space, all),
        };
        for (key, sums) in sums {
            *self.done.entry(key).or_default() += blocks(sums);
        }
        self.done_in_all += blocks(total);
    }

    /// Ends what is open; the work that no estimate stands for, in nanoseconds, if no window was
    /// open at all.
    pub(super) fn unseen_ns(&mut self) -> f64 {
        self.close_stratum();
        if self.done_ns > 0.0 { 0.0 } else { self.open_ns }
    }

    /// How windows lie in the work that they stand for.
    pub(super) fn reach(&self) -> Reach {
        Reach { windows: self.count, work_ns: self.done_ns }
    }

    /// The estimates of the strata that are over, by key and in all.
    pub(super) fn take(&mut self) -> (HashMap<Key, Blocks>, Blocks) {
        self.close_stratum();
        self.count = 0;
        let unsure = std::mem::take(&mut self.unsure);
        let (done, without) =
            (std::mem::take(&mut self.done_ns), std::mem::take(&mut self.open_ns));
        // The last stretch had no window: it is taken to be like the rest, which may be as far off
        // as what it adds.
        let more = if done > 0.0 { without / done } else { 0.0 };
        let all = |estimate: Estimate| {
            let Estimate { value, variance } = unsure.widen(estimate);
            let variance = variance * (1.0 + more).powi(2) + (value * more).powi(2);
            Estimate { value: value * (1.0 + more), variance }
        };
        let widen =
            |Blocks { objects, space }: Blocks| Blocks { objects: all(objects), space: all(space) };
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
        Key { process, tid: 1, thread: "t".into(), stack: None, guesses: 0, cut: None }
    }

    fn blocks(bytes: f64) -> Blocks {
        let estimate = Estimate { value: bytes, variance: 0.0 };
        Blocks { objects: estimate, space: estimate }
    }

    /// What the hits of [`window`] cost.
    const TOLD: Option<Price> = Some(Price { ns: 1.0, standard_error: 0.0 });

    /// A window of 10 ns, so much of it outside of traps of 1 ns, and ticks so many that they are
    /// exact.
    fn window(usual_ns: f64, outside_ns: f64) -> Window {
        let (cpu_ns, ticks) = (10.0, 1e9);
        let ticks_outside = outside_ns / cpu_ns * ticks;
        let hits = cpu_ns - outside_ns;
        Window { usual_ns, cpu_ns, ticks, ticks_outside, hits, sampling_ns: 0.0 }
    }

    #[test]
    fn a_steady_program_is_known_exactly_by_its_work() {
        let mut windows = Windows::default();
        for work in [10.0, 20.0, 5.0] {
            windows.add(&key(), blocks(10.0 * 3.0));
            windows.end_window(Some(window(work, 10.0)));
        }
        windows.end_stratum(350.0, TOLD);
        assert!(windows.unseen_ns() == 0.0);
        assert_eq!(windows.reach(), Reach { windows: 3, work_ns: 350.0 });
        let (rows, all) = windows.take();
        assert_eq!((rows.len(), windows.reach()), (1, Reach::default()));
        assert!((all.space.value - 1050.0).abs() < 1e-6, "{all:?}");
        assert!(all.space.standard_error() < 1e-3, "{all:?}");
        // A stretch with fewer than two windows is a part of the next, or like those before.
        windows.end_stratum(50.0, TOLD);
        for _ in 0..2 {
            windows.add(&key(), blocks(10.0 * 3.0));
            windows.end_window(Some(window(10.0, 10.0)));
            windows.end_stratum(175.0, TOLD);
        }
        windows.end_stratum(40.0, TOLD);
        let (_, all) = windows.take();
        assert!((all.space.value - 440.0 * 3.0).abs() < 1e-6, "{all:?}");
        let error = all.space.standard_error();
        assert!((error - 120.0).abs() < 1.0, "{error}");
        assert_eq!(windows.take().0.len(), 0);
    }

    #[test]
    fn a_window_that_saw_less_work_than_usual_stands_for_the_usual() {
        let mut windows = Windows::default();
        // Slow phases at rate 1, and fast ones at rate 10, which the probes slow down by ten times.
        for (rate, work_seen) in [(1.0, 10.0), (10.0, 1.0), (1.0, 10.0), (10.0, 1.0)] {
            windows.add(&key(), blocks(rate * work_seen));
            windows.end_window(Some(window(10.0, work_seen)));
        }
        windows.add(&key(), blocks(1e9));
        windows.end_window(None);
        windows.end_stratum(1000.0, TOLD);
        let (_, all) = windows.take();
        assert!((all.space.value / 5500.0 - 1.0).abs() < 1e-3, "{all:?}");
    }

    #[test]
    fn what_hits_cost_is_no_work() {
        let told = Some(Price { ns: 1100.0, standard_error: 50.0 });
        // Of 10 ms 2000 hits take 1.1 us each, and their samples 0.1 ms.
        let window = Window { hits: 2000.0, cpu_ns: 10e6, sampling_ns: 1e5, ..window(10e6, 5.0) };
        let mut prices = Prices::default();
        // What ticks tell, a quarter of a window in traps, is unsure for want of ticks.
        prices.add(&Window { ticks: 4.0, ticks_outside: 3.0, ..window });
        let (work, unsure) = window.work(&prices, told);
        assert!((work / 7.7e6 - 1.0).abs() < 0.02, "{work}");
        assert!((unsure / (0.1 / 7.7) - 1.0).abs() < 0.1, "{unsure}");
        // However dear they seem, some work was done.
        let dear = Some(Price { ns: 6000.0, standard_error: 50.0 });
        assert!(window.work(&prices, dear).0 >= 0.5e6);
    }

    #[test]
    fn few_ticks_a_window_make_no_bias() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        // 1800 hits of 800 ns, and what is behind each, in 3 ms.
        let hit = Price { ns: 800.0, standard_error: 0.0 }.of_trap(3e6 / 1800.0);
        let work_ns = 3e6 - 1800.0 * hit.ns;
        let mut windows: Vec<Window> = Vec::new();
        for _ in 0..2000 {
            let ticks_outside = (0..30).filter(|_| random() < 0.52).count() as f64;
            let (ticks, cpu_ns, hits) = (30.0, 3e6, 1800.0);
            let (usual_ns, sampling_ns) = (0.0, 0.0);
            windows.push(Window { usual_ns, cpu_ns, ticks, ticks_outside, hits, sampling_ns });
        }
        let mut sum = 0.0;
        for stratum in windows.chunks(8) {
            let mut prices = Prices::default();
            for window in stratum {
                prices.add(window);
            }
            sum += stratum.iter().map(|w| work_ns / w.work(&prices, None).0).sum::<f64>();
        }
        let mean = sum / windows.len() as f64;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn the_error_of_windows_that_are_moved_apart_is_not_stated_too_small() {
        // Strata of 120 moments and two windows, in a program with phases of 5 to 25 or 40 to 400.
        // Windows are 20 apart: of nearer ones the second is moved. What a window sees varies by its
        // samples too.
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        for (of_samples, of_phases, shortest) in
            [(60.0, 0.0, 40), (10.0, 60.0, 40), (40.0, 40.0, 40), (10.0, 60.0, 5)]
        {
            let mut squares = 0.0;
            let rounds = 300;
            for _ in 0..rounds {
                let mut rates = Vec::new();
                while rates.len() < 100 * 120 + 40 {
                    let rate = 100.0 + if random(2) == 0 { of_phases } else { -of_phases };
                    let length = shortest + random(9 * shortest);
                    rates.extend(std::iter::repeat_n(rate, length));
                }
                let (mut windows, mut soonest) = (Windows::default(), 0);
                for stratum in 0..100 {
                    let mut drawn = [random(120), random(120)];
                    drawn.sort_unstable();
                    for moment in drawn {
                        let at = (stratum * 120 + moment).max(soonest);
                        soonest = at + 20;
                        let sample = if random(2) == 0 { of_samples } else { -of_samples };
                        let value = rates[at] + sample;
                        let seen = Estimate { value, variance: of_samples * of_samples };
                        windows.add(&key(), Blocks { objects: seen, space: seen });
                        windows.end_window(Some(window(10.0, 10.0)));
                    }
                    windows.end_stratum(1200.0, TOLD);
                }
                let (_, all) = windows.take();
                let truth: f64 = rates.iter().take(100 * 120).sum();
                squares += ((all.space.value - truth) / all.space.standard_error()).powi(2);
            }
            let deviation = (squares / f64::from(rounds)).sqrt();
            assert!(
                (0.8..1.1).contains(&deviation),
                "{of_samples} {of_phases} {shortest}: {deviation}"
            );
        }
    }

    #[test]
    fn work_without_a_window_is_told() {
        let mut windows = Windows::default();
        windows.end_stratum(300.0, TOLD);
        assert!((windows.unseen_ns() - 300.0).abs() < 1e-9);
        windows.end_window(Some(window(10.0, 10.0)));
        windows.end_stratum(100.0, TOLD);
        assert!(windows.unseen_ns() == 0.0, "it stands for what was before it");
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
                windows.add(&key(), blocks(rate(random()) * 10.0));
                windows.end_window(Some(window(1.0, 10.0)));
            }
            windows.end_stratum(moments as f64, TOLD);
            let (_, all) = windows.take();
            squares += ((all.space.value - truth) / all.space.standard_error()).powi(2);
        }
        let deviation = (squares / f64::from(rounds)).sqrt();
        assert!((0.9..1.1).contains(&deviation), "{deviation}");
    }
}
