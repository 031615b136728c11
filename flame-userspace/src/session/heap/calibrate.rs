//! What a hit of a probe, and a tick of the clock of traps, cost on this machine: measured on
//! flame's own code.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use flame_common::block::ARGUMENTS_SHIFT;
use flame_common::heap::{Arguments, Role};
use flame_common::poisson::NEVER;

use super::own_code::{self, OwnProbes};
use crate::bpf::{HeapKernel, HeapPrograms, Pace, Probe, Programs, TrapClock};
use crate::session::timeline::now_ns;

/// Batches that are timed, and rounds in each.
const BATCHES: usize = 100;
const ROUNDS: u32 = 20;
/// Probed instructions in a row. Where probes are slow to take out, and what is put in next waits
/// for that, only the first of them is probed.
const IN_A_ROW: u64 = 8;

/// Periods of the clock that are looked at: those in which the thread runs, of so many at most; and
/// how many of them are too few.
const PERIODS: usize = 100;
const MOST_PERIODS: usize = 800;
const FEWEST_PERIODS: usize = 20;

/// [`IN_A_ROW`] instructions that the kernel emulates, and nothing between two traps: an allocator
/// of one byte, to the program on its probes.
#[unsafe(naked)]
extern "C" fn probed_often(_size: usize) {
    core::arch::naked_asm!("nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "ret")
}

/// What there is for heap profiles, and what a hit of its probes costs in a tight loop.
pub(in crate::session) struct Priced {
    pub(super) kernel: HeapKernel,
    /// In nanoseconds of CPU time.
    pub(super) hit_ns: f64,
}

impl Priced {
    /// Measures on flame itself, which is a target meanwhile: before anything is sampled.
    pub(in crate::session) fn measure(
        mut kernel: HeapKernel,
        programs: &mut Programs,
    ) -> Result<Self> {
        // The bytes are counted down.
        kernel.switch.set_interval(NEVER)?;
        let own = std::process::id();
        programs.add_target(own)?;
        let hit_ns = of_hit(&kernel.programs);
        programs.remove_target(own);
        let hit_ns = hit_ns?;
        log::debug!("a hit of a probe: {hit_ns:.0} ns");
        Ok(Self { kernel, hit_ns })
    }
}

/// What a hit costs in a tight loop, in nanoseconds of CPU time. flame has to be a target
/// meanwhile, and no sample is to be taken.
fn of_hit(programs: &HeapPrograms) -> Result<f64> {
    let row = own_code::place(probed_often)?;
    let arguments = u64::from(Arguments::AT_ENTRY.pack()) << ARGUMENTS_SHIFT;
    let cookie = Role::Malloc as u64 | arguments;
    let count = if programs.closes_fast() { IN_A_ROW } else { 1 };
    let probes: Vec<Probe> = (row..row + count).map(|offset| Probe { offset, cookie }).collect();
    let _probes = OwnProbes::open(programs, &probes)?;
    Ok(time(|| probed_often(1)) / count as f64)
}

/// How long a round takes, in nanoseconds: the median of batches. (In the mean, one moment in which
/// the machine does other things would count for hundreds of rounds.)
fn time(round: impl Fn()) -> f64 {
    let batches = (0..=BATCHES).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| round());
        start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    });
    median(batches.collect())
}

/// What a tick of the clock costs at its fast pace, in nanoseconds of CPU time: how long this thread
/// stands still for it. (The timer's interrupt is most of it, and dear in a virtual machine.)
pub(super) fn of_tick(clock: &mut TrapClock) -> Result<f64> {
    clock.start(Pace::Fast, now_ns())?;
    let period = Duration::from_nanos(1_000_000_000 / Pace::Fast.frequency());
    let began = Instant::now();
    let mut before = began;
    let mut all = vec![Period::default(); MOST_PERIODS];
    let mut seen = 0;
    loop {
        let now = Instant::now();
        let number = (now - began).as_nanos() / period.as_nanos();
        let Some(of) = all.get_mut(number as usize) else { break };
        seen += usize::from(of.turns == 0);
        if seen > PERIODS {
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
    of_periods(&all, period.as_nanos() as f64).context(
        "see what a tick of the clock of probes' traps costs: other tasks ran all the time",
    )
}

/// A period of the clock, as the thread saw it that waited for its tick.
#[derive(Debug, Clone, Copy, Default)]
struct Period {
    /// The longest time in which the thread stood still: its tick, unless another task ran.
    longest_ns: f64,
    /// How often it looked.
    turns: u32,
}

/// How long the thread stood still for a tick: the mean of what is within a factor of two of the
/// middle, without what a look takes itself. `None` if too few tell.
fn of_periods(all: &[Period], period_ns: f64) -> Option<f64> {
    if all.len() < FEWEST_PERIODS {
        return None;
    }
    let turns = |of: &Period| (period_ns - of.longest_ns).max(0.0) / f64::from(of.turns);
    let turn_ns = median(all.iter().map(turns).collect());
    let middle = median(all.iter().map(|of| of.longest_ns).collect());
    let near =
        all.iter().map(|of| of.longest_ns).filter(|&ns| ns > middle / 2.0 && ns < middle * 2.0);
    let near: Vec<f64> = near.collect();
    let mean = near.iter().sum::<f64>() / near.len() as f64;
    (near.len() * 2 >= FEWEST_PERIODS).then_some((mean - turn_ns).max(0.0))
}

/// The middle of values, of which there are some.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_what_most_periods_stand_still_for() {
        let period = |longest_ns, turns| Period { longest_ns, turns };
        let mut all = vec![period(16_050.0, 4679); 60];
        assert!((of_periods(&all, 250_000.0).expect("a tick") - 16_000.0).abs() < 1.0);
        // Other tasks ran for the rest of some, and a look stood still before its tick came.
        all.extend([period(180_000.0, 700); 15]);
        all.extend([period(400.0, 30); 10]);
        assert!((of_periods(&all, 250_000.0).expect("a tick") - 16_000.0).abs() < 5.0);
        assert!(of_periods(&all[..10], 250_000.0).is_none(), "too few");
    }
}
