//! What a tick of the clock of traps costs at its fast pace: how long a thread of flame's own stands
//! still for it. (The timer's interrupt is most of it, and dear in a virtual machine, where it
//! changes by half from one hour to the next: so it is looked at again and again.)

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::calibrate::median;
use crate::bpf::{Pace, TrapClock};
use crate::session::timeline::now_ns;

/// Periods of the clock that tell: the last ones. How many a first look, and a later one, waits for,
/// in which its thread runs, of how many at most. How many of them are too few to tell.
const PERIODS: usize = 60;
const FIRST: (usize, usize) = (PERIODS, 400);
const LATER: (usize, usize) = (6, 12);
const FEWEST: usize = 20;

/// A period of the clock, as the thread saw it that waited for its tick.
#[derive(Debug, Clone, Copy, Default)]
struct Period {
    /// The longest time in which the thread stood still: its tick, unless another task ran.
    longest_ns: f64,
    /// How often it looked.
    turns: u32,
}

/// The periods that were looked at last.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    periods: VecDeque<Period>,
    looked: bool,
}

impl Ticks {
    /// Whether there has been no look at them.
    pub(super) fn are_new(&self) -> bool {
        !self.looked
    }

    /// Waits for some ticks of the clock, which does not run: some 30 ms at first, and then 3.
    pub(super) fn look(&mut self, clock: &mut TrapClock) -> Result<()> {
        let (wanted, most) = if self.are_new() { FIRST } else { LATER };
        self.looked = true;
        clock.start(Pace::Fast, now_ns())?;
        let period = period();
        let began = Instant::now();
        let mut before = began;
        let mut all = vec![Period::default(); most];
        let mut seen = 0;
        loop {
            let now = Instant::now();
            let number = (now - began).as_nanos() / period.as_nanos();
            let Some(of) = all.get_mut(number as usize) else { break };
            seen += usize::from(of.turns == 0);
            if seen > wanted {
                break;
            }
            of.longest_ns = of.longest_ns.max((now - before).as_nanos() as f64);
            of.turns += 1;
            before = now;
        }
        clock.stop()?;
        all.retain(|of| of.turns > 0);
        // The last one is not over.
        all.pop();
        self.periods.extend(all);
        self.periods.drain(..self.periods.len().saturating_sub(PERIODS));
        Ok(())
    }

    /// What a tick costs, in nanoseconds of CPU time; 0 where other tasks ran all the time.
    pub(super) fn ns(&self) -> f64 {
        of_periods(&self.periods, period().as_nanos() as f64).unwrap_or_default()
    }
}

/// The time from one tick to the next.
fn period() -> Duration {
    Duration::from_nanos(1_000_000_000 / Pace::Fast.frequency())
}

/// How long the thread stood still for a tick: the mean of what is within a factor of two of the
/// middle, without what a look takes itself. `None` if too few tell.
fn of_periods(all: &VecDeque<Period>, period_ns: f64) -> Option<f64> {
    if all.len() < FEWEST {
        return None;
    }
    let turns = |of: &Period| (period_ns - of.longest_ns).max(0.0) / f64::from(of.turns);
    let turn_ns = median(all.iter().map(turns).collect());
    let middle = median(all.iter().map(|of| of.longest_ns).collect());
    let near =
        all.iter().map(|of| of.longest_ns).filter(|&ns| ns > middle / 2.0 && ns < middle * 2.0);
    let near: Vec<f64> = near.collect();
    let mean = near.iter().sum::<f64>() / near.len() as f64;
    (near.len() * 2 >= FEWEST).then_some((mean - turn_ns).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_what_most_periods_stand_still_for() {
        let period = |longest_ns, turns| Period { longest_ns, turns };
        let mut all = VecDeque::from([period(16_050.0, 4679); 60]);
        assert!((of_periods(&all, 250_000.0).expect("a tick") - 16_000.0).abs() < 1.0);
        // Other tasks ran for the rest of some, and a look stood still before its tick came.
        all.extend([period(180_000.0, 700); 15]);
        all.extend([period(400.0, 30); 10]);
        assert!((of_periods(&all, 250_000.0).expect("a tick") - 16_000.0).abs() < 5.0);
        all.truncate(10);
        assert!(of_periods(&all, 250_000.0).is_none(), "too few");
    }
}
