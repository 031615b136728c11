//! What a hit of a probe costs, told by the contrast of a window with a moment just behind it under
//! more traps.
//!
//! In a window each of `m1` calls that make a block traps once, which takes `c1 = w m1 + c m1`, for
//! the work `w` about each and the cost `c` of a hit. Just behind it the calls that free trap too,
//! `f2` of them beside `m2` that make: `c2 = w m2 + (c - d)(m2 + f2)`, since traps that come more
//! densely are warmer and cost `d` less. So `(c2 m1 - c1 m2) / (f2 m1) = c - d (1 + m2 / f2)`, and
//! each such pair tells that. (CPU time without that of samples, which are taken in the window
//! alone, and of ticks.) `d` is what is usual, and what loops of flame's own tell at the time
//! (`warmth`), by how sure either is; without it hits seemed up to 15 % too cheap. (The clock of traps
//! does not see what is behind a trap, which is much of it.) A hit in a free is taken to be like
//! any other: the probes in frees are put on an instruction that the kernel emulates in the same
//! way, where there is one.
//!
//! In some pairs the program goes over from one thing to another in between, and they tell anything:
//! those that are far from the weighted median are left out. In others the whole machine is slower
//! for a moment, and hits cost half as much again, in windows without a pair as well as in these: so
//! it is the mean that counts, each by `f2 m1`, and not the median.
//!
//! Where others use the machine too, what a hit costs drifts by a quarter within half a minute, and
//! a mean of all pairs lags behind: it is the last few that tell what a hit costs now. They are off
//! by some percent, but others than those before and after them, so that a session's totals are off
//! by no more than the mean of all its pairs is: that is the error that is stated.

use std::collections::VecDeque;

use super::governor::Usage;
use super::warmth::Warmth;
use crate::heap::Price;

/// Pairs from which on they tell anything, and those that are kept.
const LEAST_PAIRS: usize = 8;
const MOST_PAIRS: usize = 256;
/// The last so many tell what a hit costs now. By the mean of all, fast phases of `heap_phases` were
/// 0.93 to 1.09 of the truth (36 runs of 45 s in busy hours, by what windows tell of a hit's price
/// alone: a deviation of 0.040); by the last 8, 12, 16 and 24 of 0.019, 0.020, 0.021 and 0.023.
const LAST_PAIRS: usize = 12;
/// How far from the median a pair tells a change of the program and not of the hits' cost, as a
/// share: that changes by half.
const FAR: f64 = 0.7;
/// How far a hit in a free may cost something else, as a share, because the kernel emulates another
/// instruction there, and in any case.
const UNLIKE: f64 = 0.15;
const ALIKE: f64 = 0.01;
/// By how much hits are cheaper where they come twice as densely, as a share, and how unsure that
/// is: programs told 0.01 to 0.08, and 35 runs of `heap_steady` and `heap_phases` 0.045 on average.
/// Loops of flame's own told 0.005 to 0.055, on one machine at different times, and less than programs
/// as often as more.
const WARMER: (f64, f64) = (0.04, 0.02);
/// By how much more than in those loops, which trap at even distances, hits are cheaper in programs:
/// a call that makes often comes right behind one that frees, and what runs behind the two of them
/// takes longer once. Seen were 0.001 to 0.029; 61 runs of `heap_phases` had 0.026 on average, 16 of
/// `heap_steady` in an hour in which others shared the core 0.011. (Loops with two places close to
/// one another show nothing of it, and those that make and free blocks 0.002.)
const UNEVEN: f64 = 0.023;
/// How far programs may differ from that, as a share of what loops tell, and at least.
const UNLIKE_LOOPS: f64 = 0.4;
const LEAST_UNLIKE: f64 = 0.015;
/// How far off the work of windows may be for not being sure, as a share of it.
const SURE: f64 = 0.0075;
/// One window in so many is followed by more traps, which cost as much as the window itself; once
/// there are as many pairs, while they are not sure; and then, since hits and ticks cost more or less
/// by the hour.
const OFTEN: u32 = 2;
const SELDOM: u32 = 4;
const RARELY: u32 = 16;
const ENOUGH_PAIRS: usize = 32;

/// A window and the moment behind it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// What it tells, in nanoseconds, and how much it counts.
    told: f64,
    weight: f64,
    /// What loops of flame's own told at the time.
    warmth: Option<Warmth>,
}

/// The pairs up to now.
#[derive(Debug, Clone, Default)]
pub(super) struct Contrast {
    /// The oldest in front.
    pairs: VecDeque<Pair>,
    /// What all moments behind windows used.
    behind: Usage,
    /// Whether frees were probed on instructions of another kind.
    unlike: bool,
}

impl Contrast {
    /// Takes in a window, and the moment behind it; whether the probes in frees were on instructions
    /// of the same kind; and what loops of flame's own told at the time.
    pub(super) fn add(
        &mut self,
        window: Usage,
        behind: Usage,
        alike: bool,
        warmth: Option<Warmth>,
    ) {
        let without = |used: Usage| used.cpu_ns - Price::of_samples(used.sampling_ns).ns;
        let (c1, c2) = (without(window), without(behind));
        let (m1, m2) = (window.hits - window.frees, behind.hits - behind.frees);
        let weight = behind.frees * m1;
        if weight <= 0.0 || c1 <= 0.0 || c2 <= 0.0 {
            return;
        }
        self.unlike |= !alike;
        self.behind = self.behind.plus(behind);
        let pair = Pair { told: (c2 * m1 - c1 * m2) / weight, weight, warmth };
        if self.pairs.len() == MOST_PAIRS {
            self.pairs.pop_front();
        }
        self.pairs.push_back(pair);
    }

    /// What a hit costs now without its sample, in nanoseconds, if there are pairs to tell; how far
    /// off a session's totals are by it.
    pub(super) fn told(&self) -> Option<Price> {
        let now = self.of_last(LAST_PAIRS)?;
        Some(Price { standard_error: self.in_all()?.standard_error, ..now })
    }

    /// What hits cost in the mean of all pairs.
    pub(super) fn in_all(&self) -> Option<Price> {
        self.of_last(MOST_PAIRS)
    }

    /// What hits cost in the mean of the last so many pairs.
    fn of_last(&self, count: usize) -> Option<Price> {
        if self.pairs.len() < LEAST_PAIRS {
            return None;
        }
        let pairs = || self.pairs.iter().rev().take(count);
        let middle = median(pairs().collect())?;
        let near = pairs().filter(|pair| (pair.told - middle).abs() <= FAR * middle.abs());
        let near = near.map(|pair| (pair.told, pair.weight));
        let mean = mean(near).filter(|mean| mean.ns > 0.0)?;
        let warmer = self.warmer(mean.ns);
        let ns = mean.ns + warmer.ns;
        let like = if self.unlike { UNLIKE } else { ALIKE };
        let standard_error = mean.standard_error.hypot(warmer.standard_error).hypot(like * ns);
        Some(Price { ns, standard_error })
    }

    /// `d (1 + m2 / f2)`, where hits seem to cost `ns`: what is usual, and what loops of flame's own
    /// told, by how sure either is.
    fn warmer(&self, ns: f64) -> Price {
        let factor = self.behind.hits / self.behind.frees;
        let (share, _) = WARMER;
        // Of what a hit costs, which is more than `ns` by just that.
        let of = factor * ns / (1.0 - factor * share).max(0.5);
        let price =
            |(share, unsure): (f64, f64)| Price { ns: share * of, standard_error: unsure * of };
        let by_loops = self.warmer_by_loops().map(price);
        by_loops.into_iter().fold(price(WARMER), Price::and)
    }

    /// By how much hits are cheaper where they come twice as densely, by those in flame's own loops,
    /// as a share, and how unsure that is of the targets. It is the median that counts: in a look
    /// others may have run, and where the machine is busy some looks tell three times as much as most,
    /// by whose mean it was 0.041 in place of 0.033.
    fn warmer_by_loops(&self) -> Option<(f64, f64)> {
        let looks = self.pairs.iter().filter_map(|pair| pair.warmth);
        let (all, less): (Vec<f64>, Vec<f64>) =
            looks.map(|look| (look.once, look.once - look.twice)).unzip();
        let (once, less) = (middle(all)?.ns, middle(less)?);
        let share = less.ns / once;
        let unlike = (UNLIKE_LOOPS * share).abs().max(LEAST_UNLIKE);
        (once > 0.0).then_some((share + UNEVEN, unlike.hypot(less.standard_error / once)))
    }

    /// Whether a pair more is worth its price, by what `windows` saw up to now, the `number`th of
    /// which has just been. Without pairs a hit's price is known to `unsure_ns`.
    pub(super) fn wants_more(&self, windows: Usage, number: u32, unsure_ns: f64) -> bool {
        let enough = self.pairs.len() >= ENOUGH_PAIRS;
        if !number.is_multiple_of(if enough { SELDOM } else { OFTEN }) {
            return false;
        }
        let Some(outside_ns) = windows.outside_ns() else { return true };
        if number.is_multiple_of(RARELY) {
            return windows.hits > 0.0;
        }
        // A few pairs do not tell well how far they are off.
        let told = self.told().filter(|_| enough);
        let unsure = told.map_or(unsure_ns, |told| told.standard_error);
        windows.hits * unsure > outside_ns * SURE
    }
}

/// The value at which half of the weight is on either side.
fn median(mut pairs: Vec<&Pair>) -> Option<f64> {
    pairs.sort_by(|one, other| one.told.total_cmp(&other.told));
    let half = pairs.iter().map(|pair| pair.weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let found = pairs.iter().find(|pair| {
        below += pair.weight;
        below >= half
    });
    found.map(|pair| pair.told)
}

/// The median of values, and its standard error if all but a few are normal (which lie within 1.349
/// deviations for their middle half; the median of many is off by 1.2533 times what their mean is);
/// `None` of fewer than four.
fn middle(mut values: Vec<f64>) -> Option<Price> {
    let count = values.len();
    if count < 4 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let half = values[count * 3 / 4] - values[count / 4];
    let standard_error = 1.2533 * half / 1.349 / (count as f64).sqrt();
    Some(Price { ns: values[count / 2], standard_error })
}

/// The mean of values by their weights, and its standard error (Cochran, "Sampling Techniques",
/// 1977, 6.4: of a ratio of sums); `None` of fewer than two.
fn mean(values: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Price> {
    let count = values.clone().count() as f64;
    let sum: f64 = values.clone().map(|(_, weight)| weight).sum();
    if count < 2.0 || sum <= 0.0 {
        return None;
    }
    let ns = values.clone().map(|(value, weight)| value * weight).sum::<f64>() / sum;
    let squares: f64 = values.map(|(value, weight)| (weight * (value - ns)).powi(2)).sum();
    Some(Price { ns, standard_error: (squares * count / (count - 1.0)).sqrt() / sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLING_NS: f64 = 5e4;
    const WARMTH: Option<Warmth> = Some(Warmth { once: 600.0, twice: 589.8 });

    /// A time of `cpu_ns` in a program that works `work` ns for each block and frees each, where
    /// hits cost 800 ns, and 32 less where frees trap; 100 of that is behind the trap.
    fn usage(cpu_ns: f64, work: f64, frees: bool) -> Usage {
        slower(cpu_ns, work, frees, 1.0)
    }

    /// The same, where hits cost so many times as much.
    fn slower(cpu_ns: f64, work: f64, frees: bool, times: f64) -> Usage {
        let (traps, hit) = if frees { (2.0, 768.0 * times) } else { (1.0, 800.0 * times) };
        let made = cpu_ns / (work + traps * hit);
        let ticks = 1e6;
        let all_ns = cpu_ns + Price::of_samples(SAMPLING_NS).ns;
        Usage {
            hits: made * traps,
            frees: made * (traps - 1.0),
            cpu_ns: all_ns,
            ticks,
            ticks_in_traps: ticks * (made * traps * (hit - 100.0) + SAMPLING_NS) / all_ns,
            sampling_ns: SAMPLING_NS,
        }
    }

    /// How unsure `d` makes that, by what is usual and what loops tell.
    fn warmer_error() -> f64 {
        1600.0 * (0.02f64.powi(-2) + 0.015f64.powi(-2)).powf(-0.5)
    }

    #[test]
    fn it_is_found_by_the_contrast() {
        let mut contrast = Contrast::default();
        for pair in 0..30 {
            // In one pair of ten the program is at something else when the second moment comes.
            let work = if pair % 10 == 9 { 5000.0 } else { 500.0 };
            contrast.add(usage(3e6, 500.0, false), usage(2e6, work, true), true, WARMTH);
        }
        let found = contrast.told().expect("a price");
        assert!((found.ns - 800.0).abs() < 1.0, "{found:?}");
        // A hundredth of it; what is usual and what loops tell.
        let error = 8.0f64.hypot(warmer_error());
        assert!((found.standard_error / error - 1.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn a_look_in_which_others_ran_tells_little() {
        let mut contrast = Contrast::default();
        for pair in 0..30 {
            let warmth =
                if pair % 5 == 0 { Some(Warmth { once: 900.0, twice: 600.0 }) } else { WARMTH };
            contrast.add(usage(3e6, 500.0, false), usage(3e6, 500.0, true), true, warmth);
        }
        let found = contrast.told().expect("a price");
        assert!((found.ns - 800.0).abs() < 1.0, "{found:?}");
    }

    #[test]
    fn it_is_the_mean_of_moments_in_which_hits_cost_more() {
        let mut contrast = Contrast::default();
        for pair in 0..40 {
            let times = if pair % 4 == 0 { 1.4 } else { 1.0 };
            let [inside, behind] = [false, true].map(|frees| slower(3e6, 500.0, frees, times));
            contrast.add(inside, behind, true, WARMTH);
        }
        let found = contrast.told().expect("a price").ns;
        // The slower moments have fewer hits, and so count a little less.
        assert!((850.0..880.0).contains(&found), "{found}");
    }

    /// What a session of pairs tells: the mean of what each stretch of it was told, and at last.
    fn session(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, Price) {
        let mut contrast = Contrast::default();
        let mut told = Vec::new();
        for (work, times) in pairs {
            let inside = slower(3e6, 500.0, false, times);
            contrast.add(inside, slower(3e6, work, true, times), true, WARMTH);
            told.extend(contrast.told());
        }
        let mean = told.iter().map(|price| price.ns).sum::<f64>() / told.len() as f64;
        (mean, *told.last().expect("a price"))
    }

    #[test]
    fn its_error_is_that_of_a_session() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        let (mut squares, mut stated) = (0.0, 0.0);
        let rounds = 400;
        for _ in 0..rounds {
            // A sum of twelve is nearly normal, with a deviation of 1: of 15 %.
            let mut off = || (0..12).map(|_| random()).sum::<f64>() - 6.0;
            let (mean, last) = session((0..120).map(|_| (500.0 * (1.0 + 0.15 * off()), 1.0)));
            squares += (mean - 800.0).powi(2);
            stated += last.standard_error.powi(2) - (ALIKE * last.ns).hypot(warmer_error()).powi(2);
        }
        let ratio = (squares / stated).sqrt();
        assert!((0.8..1.25).contains(&ratio), "{ratio} of {rounds} rounds");
    }

    #[test]
    fn it_follows_a_price_that_drifts() {
        let times = |pair: usize| if pair < 60 { 1.3 } else { 1.0 };
        let (mean, last) = session((0..120).map(|pair| (500.0, times(pair))));
        assert!((last.ns - 800.0).abs() < 1.0, "{last:?}");
        // What it is behind by is half of the last pairs' number, of all of them.
        assert!((mean / 920.0 - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn pairs_are_wanted_until_they_tell() {
        let mut contrast = Contrast::default();
        let window = usage(3e6, 500.0, false);
        assert_eq!(contrast.told(), None);
        assert!(contrast.wants_more(window, 2, 100.0));
        // A program that allocates seldom does not need to know.
        assert!(!contrast.wants_more(Usage { hits: 20.0, ..window }, 2, 100.0));
        for number in 1..=40 {
            let every = if contrast.pairs.len() < ENOUGH_PAIRS { OFTEN } else { SELDOM };
            assert_eq!(contrast.wants_more(window, number, 100.0), number % every == 0);
            contrast.add(window, usage(3e6, 500.0, true), true, WARMTH);
        }
        // A program in which they come to little of the time knows enough.
        let share = 400.0 / window.hits;
        let ticks_in_traps = window.ticks_in_traps * share;
        let seldom = Usage { hits: 400.0, ticks_in_traps, ..window };
        assert!(!contrast.wants_more(seldom, 3 * SELDOM, 100.0));
        // But for what may change.
        assert!(contrast.wants_more(seldom, 2 * RARELY, 100.0));
        // Frees on other instructions are not as good.
        contrast.add(window, usage(3e6, 500.0, true), false, WARMTH);
        assert!(contrast.told().is_some_and(|told| told.standard_error > 100.0));
        assert!(contrast.wants_more(seldom, 3 * SELDOM, 100.0));
    }
}
