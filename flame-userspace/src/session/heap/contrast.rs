//! What a target's own code takes longer after a trap, since what it has in the CPU's caches and
//! predictors was pushed out: told by the contrast of a window with the same moment under more
//! traps.
//!
//! In a window each call that makes a block traps once: outside of traps `o1 = w m1 + a m1` passes,
//! for `m1` such calls with the work `w` about each and `a` after each trap. Just behind it the
//! calls that free trap too, `f2` of them beside `m2` that make: `o2 = w m2 + a (m2 + f2)`. So
//! `o2 m1 - o1 m2 = a f2 m1`; `a` is the ratio of the sums of both sides over the pairs, with the
//! standard error of a ratio (Cochran, "Sampling Techniques", 3rd edition 1977, section 6.4). That
//! takes a trap in a free to be like any other.
//!
//! A few pairs tell little. What was seen in other programs counts beside them, by how sure either
//! is.

use super::governor::Usage;
use crate::heap::After;

/// What was seen in perl, sqlite3, python3 and loops of arithmetic, on one machine, as a share of
/// the time in the trap: 0.02 to 0.27.
const SHARE: f64 = 0.13;
const SHARE_UNSURE: f64 = 0.10;
/// Pairs from which on their spread tells how sure they are.
const LEAST_PAIRS: f64 = 5.0;
/// How far off the work of windows may be for not being sure, as a share of it.
const SURE: f64 = 0.02;
/// Pairs after which, sure or not, one window in so many is followed by more traps.
const ENOUGH_PAIRS: f64 = 16.0;
const SELDOM: u32 = 4;

/// The pairs up to now: their number, and sums of both sides' values and products.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contrast {
    n: f64,
    x: f64,
    z: f64,
    xx: f64,
    xz: f64,
    zz: f64,
}

impl Contrast {
    /// Takes in a window, and the moment behind it.
    pub(super) fn add(&mut self, window: Usage, behind: Usage) {
        let (Some(o1), Some(o2)) = (window.outside_ns(), behind.outside_ns()) else { return };
        let (m1, m2) = (window.hits - window.frees, behind.hits - behind.frees);
        let (x, z) = (o2 * m1 - o1 * m2, behind.frees * m1);
        self.n += 1.0;
        self.x += x;
        self.z += z;
        self.xx += x * x;
        self.xz += x * z;
        self.zz += z * z;
    }

    /// What the pairs tell alone.
    fn told(&self) -> Option<After> {
        let Self { n, x, z, xx, xz, zz } = *self;
        if n < LEAST_PAIRS || z <= 0.0 {
            return None;
        }
        let ns = x / z;
        let squares = (xx - 2.0 * ns * xz + ns * ns * zz).max(0.0);
        Some(After { ns, standard_error: (squares * n / (n - 2.0)).sqrt() / z })
    }

    /// What code takes longer after a trap of `trap_ns`.
    pub(super) fn after(&self, trap_ns: f64) -> After {
        let before = After { ns: trap_ns * SHARE, standard_error: trap_ns * SHARE_UNSURE };
        let Some(told) = self.told() else { return before };
        let sure = |after: After| after.standard_error.max(0.1).powi(-2);
        let sum = sure(before) + sure(told);
        let ns = (before.ns * sure(before) + told.ns * sure(told)) / sum;
        After { ns: ns.max(0.0), standard_error: sum.powf(-0.5) }
    }

    /// Whether a pair more is worth its price, by what `windows` saw up to now, the `number`th of
    /// which has just been.
    pub(super) fn wants_more(&self, windows: Usage, number: u32, trap_ns: f64) -> bool {
        if self.n >= ENOUGH_PAIRS && !number.is_multiple_of(SELDOM) {
            return false;
        }
        let Some(outside_ns) = windows.outside_ns() else { return true };
        windows.hits * self.after(trap_ns).standard_error > outside_ns * SURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time of `cpu_ns` in a program that works 500 ns for each block and frees each, where
    /// traps take 800 ns and the code behind them `after` longer.
    fn usage(cpu_ns: f64, after: f64, frees: bool) -> Usage {
        let traps = if frees { 2.0 } else { 1.0 };
        let made = cpu_ns / (500.0 + traps * (800.0 + after));
        let ticks = 100.0;
        Usage {
            hits: made * traps,
            frees: made * (traps - 1.0),
            cpu_ns,
            ticks,
            ticks_in_traps: ticks * made * traps * 800.0 / cpu_ns,
        }
    }

    #[test]
    fn it_is_found_by_the_contrast() {
        for after in [0.0, 40.0, 250.0] {
            let mut contrast = Contrast::default();
            for pair in 0..30 {
                let cpu_ns = 10e6 + f64::from(pair % 3) * 1e5;
                contrast.add(usage(cpu_ns, after, false), usage(cpu_ns / 2.0, after, true));
            }
            let found = contrast.after(800.0);
            assert!((found.ns - after).abs() < 1.0, "{found:?}, not {after}");
        }
    }

    #[test]
    fn what_is_known_of_other_programs_counts_until_there_are_pairs() {
        let mut contrast = Contrast::default();
        let window = usage(10e6, 100.0, false);
        assert_eq!(contrast.after(1000.0), After { ns: 130.0, standard_error: 100.0 });
        assert!(contrast.wants_more(window, 1, 1000.0));
        // A program that allocates seldom does not need to know.
        assert!(!contrast.wants_more(Usage { hits: 20.0, ..window }, 1, 1000.0));
        for _ in 0..20 {
            contrast.add(window, usage(5e6, 100.0, true));
        }
        assert!(!contrast.wants_more(window, 4, 1000.0), "{:?}", contrast.after(1000.0));
    }
}
