//! What a hit of a probe costs, told by the contrast of a window with a moment just behind it under
//! more traps.
//!
//! In a window each of `m1` calls that make a block traps once, which takes `c1 = w m1 + c m1`, for
//! the work `w` about each and the cost `c` of a hit. Just behind it the calls that free trap too,
//! `f2` of them beside `m2` that make: `c2 = w m2 + (c - d)(m2 + f2)`, since traps that come more
//! densely are warmer and cost `d` less. So `(c2 m1 - c1 m2) / (f2 m1) = c - d (1 + m2 / f2)`, and
//! each such pair tells that. (CPU time without that of samples, which are taken in the window
//! alone, and of ticks.) `d` is what was seen in other programs, and what the clock of
//! traps tells of the difference, by how sure either is; without it hits seemed up to 15 % too cheap. A hit in a free is taken to be like any other: the probes in frees
//! are put on an instruction that the kernel emulates in the same way, where there is one.
//!
//! In some pairs the program goes over from one thing to another in between, and they tell anything.
//! So it is the weighted median of what the pairs tell that counts, each by `f2 m1`, with the
//! standard error that the median of the deviations gives it (for normal errors
//! `1.253 x 1.483 x MAD / sqrt(n)`, with `n = (Σw)² / Σw²`; Kish, "Survey Sampling", 1965, 11.7).

use super::governor::Usage;
use crate::heap::{AFTER, Price};

/// Pairs from which on they tell anything, and those that are kept.
const LEAST_PAIRS: usize = 5;
const MOST_PAIRS: usize = 256;
/// From the median of the deviations to the standard error of a median of one.
const SPREAD: f64 = 1.253 * 1.483;
/// How far a hit in a free may cost something else, as a share, because the kernel emulates another
/// instruction there, and in any case.
const UNLIKE: f64 = 0.15;
const ALIKE: f64 = 0.03;
/// By how much hits are cheaper where they come twice as densely, as a share, and how unsure that is:
/// seen in loops of arithmetic, on one machine at different times, were 0.01 to 0.08.
const WARMER: (f64, f64) = (0.04, 0.035);
/// How far off the work of windows may be for not being sure, as a share of it.
const SURE: f64 = 0.03;
/// Pairs after which, sure or not, one window in so many is followed by more traps.
const ENOUGH_PAIRS: usize = 16;
const SELDOM: u32 = 4;

/// The pairs up to now.
#[derive(Debug, Clone, Default)]
pub(super) struct Contrast {
    /// What each tells, in nanoseconds, and how much it counts.
    pairs: Vec<(f64, f64)>,
    /// The next to be replaced.
    oldest: usize,
    /// What all moments behind windows used.
    behind: Usage,
    /// Whether frees were probed on instructions of another kind.
    unlike: bool,
}

impl Contrast {
    /// Takes in a window, and the moment behind it; whether the probes in frees were on instructions
    /// of the same kind.
    pub(super) fn add(&mut self, window: Usage, behind: Usage, alike: bool) {
        let (c1, c2) = (window.cpu_ns - window.sampling_ns, behind.cpu_ns - behind.sampling_ns);
        let (m1, m2) = (window.hits - window.frees, behind.hits - behind.frees);
        let weight = behind.frees * m1;
        if weight <= 0.0 || c1 <= 0.0 || c2 <= 0.0 {
            return;
        }
        self.unlike |= !alike;
        self.behind = self.behind.plus(behind);
        let pair = ((c2 * m1 - c1 * m2) / weight, weight);
        if self.pairs.len() < MOST_PAIRS {
            self.pairs.push(pair);
        } else {
            self.pairs[self.oldest] = pair;
            self.oldest = (self.oldest + 1) % MOST_PAIRS;
        }
    }

    /// What a hit costs without its sample, in nanoseconds, if there are pairs to tell; `windows` is
    /// what all windows used.
    pub(super) fn told(&self, windows: Usage) -> Option<Price> {
        if self.pairs.len() < LEAST_PAIRS {
            return None;
        }
        let ns = median(self.pairs.clone())?;
        let deviations = self.pairs.iter().map(|(told, weight)| ((told - ns).abs(), *weight));
        let deviation = median(deviations.collect())?;
        let (sum, squares) =
            self.pairs.iter().fold((0.0, 0.0), |(sum, squares), (_, w)| (sum + w, squares + w * w));
        let by_chance = SPREAD * deviation * squares.sqrt() / sum;
        let like = if self.unlike { UNLIKE } else { ALIKE };
        let warmer = self.warmer(windows, ns);
        let ns = ns + warmer.ns;
        let standard_error = by_chance.hypot(warmer.standard_error).hypot(like * ns);
        (ns > 0.0).then_some(Price { ns, standard_error })
    }

    /// `d (1 + m2 / f2)`, where hits seem to cost `ns`.
    fn warmer(&self, windows: Usage, ns: f64) -> Price {
        let factor = self.behind.hits / self.behind.frees;
        let (share, unsure) = WARMER;
        let usual = Price { ns: share * factor * ns, standard_error: unsure * factor * ns };
        let (Some(inside), Some(behind)) = (windows.trap(), self.behind.trap()) else {
            return usual;
        };
        let by_ticks = Price {
            ns: (inside.ns - behind.ns) * factor,
            standard_error: inside.standard_error.hypot(behind.standard_error) * factor,
        };
        by_ticks.and(usual)
    }

    /// Whether a pair more is worth its price, by what `windows` saw up to now, the `number`th of
    /// which has just been.
    pub(super) fn wants_more(&self, windows: Usage, number: u32, trap_ns: f64) -> bool {
        if self.pairs.len() >= ENOUGH_PAIRS && !number.is_multiple_of(SELDOM) {
            return false;
        }
        let Some(outside_ns) = windows.outside_ns() else { return true };
        let unsure = self.told(windows).map_or(AFTER.1 * trap_ns, |told| told.standard_error);
        windows.hits * unsure > outside_ns * SURE
    }
}

/// The value at which half of the weight is on either side.
fn median(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let found = values.iter().find(|(_, weight)| {
        below += weight;
        below >= half
    });
    found.map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLING_NS: f64 = 5e4;

    /// A time of `cpu_ns` in a program that works `work` ns for each block and frees each, where
    /// hits cost 800 ns, and 40 less where frees trap; 100 of that is behind the trap.
    fn usage(cpu_ns: f64, work: f64, frees: bool) -> Usage {
        let (traps, hit) = if frees { (2.0, 760.0) } else { (1.0, 800.0) };
        let made = cpu_ns / (work + traps * hit);
        let ticks = 1e6;
        Usage {
            hits: made * traps,
            frees: made * (traps - 1.0),
            cpu_ns: cpu_ns + SAMPLING_NS,
            ticks,
            ticks_in_traps: ticks * (made * traps * (hit - 100.0) + SAMPLING_NS)
                / (cpu_ns + SAMPLING_NS),
            sampling_ns: SAMPLING_NS,
        }
    }

    #[test]
    fn it_is_found_by_the_contrast() {
        let mut contrast = Contrast::default();
        for pair in 0..30 {
            // In one pair of ten the program is at something else when the second moment comes.
            let work = if pair % 10 == 9 { 5000.0 } else { 500.0 };
            contrast.add(usage(3e6, 500.0, false), usage(2e6, work, true), true);
        }
        let found = contrast.told(usage(3e6, 500.0, false)).expect("a price");
        assert!((found.ns - 800.0).abs() < 1.0, "{found:?}");
        assert!((found.standard_error / 24.0 - 1.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn its_error_is_that_of_medians() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        let (mut squares, mut stated) = (0.0, 0.0);
        let rounds = 400;
        for _ in 0..rounds {
            let mut contrast = Contrast::default();
            for _ in 0..40 {
                // A sum of twelve is nearly normal, with a deviation of 1: of 5 %.
                let off = (0..12).map(|_| random()).sum::<f64>() - 6.0;
                let work = 500.0 * (1.0 + 0.05 * off);
                contrast.add(usage(3e6, 500.0, false), usage(3e6, work, true), true);
            }
            let told = contrast.told(usage(3e6, 500.0, false)).expect("a price");
            squares += (told.ns - 800.0).powi(2);
            stated += told.standard_error.powi(2) - (ALIKE * told.ns).powi(2);
        }
        let ratio = (squares / stated).sqrt();
        assert!((0.8..1.25).contains(&ratio), "{ratio} of {rounds} rounds");
    }

    #[test]
    fn pairs_are_wanted_until_they_tell() {
        let mut contrast = Contrast::default();
        let window = usage(3e6, 500.0, false);
        assert_eq!(contrast.told(window), None);
        assert!(contrast.wants_more(window, 1, 1000.0));
        // A program that allocates seldom does not need to know.
        assert!(!contrast.wants_more(Usage { hits: 20.0, ..window }, 1, 1000.0));
        for _ in 0..20 {
            contrast.add(window, usage(3e6, 500.0, true), true);
        }
        assert!(!contrast.wants_more(window, 5, 1000.0));
        // Frees on other instructions are not as good.
        contrast.add(window, usage(3e6, 500.0, true), false);
        assert!(contrast.told(window).is_some_and(|told| told.standard_error > 100.0));
        assert!(contrast.wants_more(window, 8, 1000.0));
    }
}
