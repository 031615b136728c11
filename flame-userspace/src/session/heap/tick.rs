//! What a tick of the clock of traps costs at its fast pace: how much longer a thread of flame's own
//! stands still while it ticks than while it does not. (The timer's interrupt is most of it, and dear
//! in a virtual machine, where it changes by half from one hour to the next: so it is looked at again
//! and again. A tick by itself takes a third more than that, but others are cheaper beside it, as the
//! kernel's scheduler's, whose way through the kernel it keeps in the caches.)

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::{Pace, TrapClock};
use crate::session::timeline::now_ns;

/// How long a look is: a period of the kernel's scheduler where it has 250 ticks a second, and some
/// where it has more.
const LOOK: Duration = Duration::from_millis(4);
/// Looks of either kind at first, which count while there are so few, and that are kept.
const FIRST: usize = 6;
const KEPT: usize = 24;
const FEWEST: usize = 4;
/// What stands still for longer than this is interrupted: a turn of the loop takes 50 ns.
const INTERRUPTED: Duration = Duration::from_nanos(400);
/// And if for longer than this, by another task.
const BY_A_TASK: Duration = Duration::from_micros(200);

/// Looks at it, while it ticks and while it does not, in turns.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// For which share of its time the thread stood still in looks while it did not tick and while it
    /// did.
    still: [VecDeque<f64>; 2],
    looks: usize,
}

impl Ticks {
    /// Whether there has been no look at them.
    pub(super) fn are_new(&self) -> bool {
        self.looks == 0
    }

    /// Looks at some ticks of the clock, which does not run: for some 50 ms at first, and then 4.
    pub(super) fn look(&mut self, clock: &mut TrapClock) -> Result<()> {
        let looks = if self.are_new() { 2 * FIRST } else { 1 };
        for _ in 0..looks {
            let ticks = self.looks.is_multiple_of(2);
            self.looks += 1;
            if ticks {
                clock.start(Pace::Fast, now_ns())?;
                // Its first tick comes after a period: none is to come at an edge.
                still(period() / 2);
            }
            let still = still(LOOK);
            if ticks {
                clock.stop()?;
            }
            let kept = &mut self.still[usize::from(ticks)];
            kept.extend(still);
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
        Ok(())
    }

    /// What a tick costs, in nanoseconds of CPU time; 0 where other tasks ran nearly all the time.
    pub(super) fn ns(&self) -> f64 {
        let [without, with] = &self.still;
        if without.len().min(with.len()) < FEWEST {
            return 0.0;
        }
        let longer = (undisturbed(with) - undisturbed(without)).max(0.0);
        longer * period().as_nanos() as f64
    }
}

/// The time from one tick to the next.
fn period() -> Duration {
    Duration::from_nanos(1_000_000_000 / Pace::Fast.frequency())
}

/// What looks tell in which little else happened: of six of either kind their difference varies by two
/// thirds of what that of medians does.
fn undisturbed(looks: &VecDeque<f64>) -> f64 {
    let mut looks: Vec<f64> = looks.iter().copied().collect();
    looks.sort_by(f64::total_cmp);
    looks[looks.len() * 3 / 10]
}

/// For which share of a time this thread is interrupted, without what other tasks run meanwhile, who
/// have ticks of their own; `None` if those run for more than half of it.
fn still(time: Duration) -> Option<f64> {
    let began = Instant::now();
    let (mut before, mut still, mut others) = (began, Duration::ZERO, Duration::ZERO);
    while before - began < time {
        let now = Instant::now();
        match now - before {
            turn if turn >= BY_A_TASK => others += turn,
            turn if turn > INTERRUPTED => still += turn,
            _ => {}
        }
        before = now;
    }
    let own = (before - began).saturating_sub(others);
    (own > time / 2).then(|| still.div_duration_f64(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_what_it_adds() {
        let mut ticks = Ticks::default();
        assert!(ticks.are_new() && ticks.ns() == 0.0);
        // The scheduler's tick, and others that ran in some of the looks.
        let looks = |share: f64| {
            let of = move |look: usize| share + if look.is_multiple_of(4) { 0.02 } else { 0.007 };
            (0..9).map(of).collect::<VecDeque<f64>>()
        };
        let tick_ns = 9e3;
        ticks.still = [looks(0.0), looks(tick_ns / period().as_nanos() as f64)];
        assert!((ticks.ns() - tick_ns).abs() < 1.0, "{}", ticks.ns());
        // Not less than nothing, however the looks turned out.
        ticks.still.swap(0, 1);
        assert!(ticks.ns() == 0.0);
    }
}
