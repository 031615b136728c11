//! What a hit of a probe, and a tick of the clock of traps, cost on this machine: measured on
//! flame's own code.

use std::time::{Duration, Instant};

use anyhow::Result;
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

/// Ticks of the clock that are looked at.
const TICKS: usize = 100;

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
    // In each period the longest time in which this thread stood still, which is its tick's unless
    // another task ran.
    let mut longest = vec![Duration::ZERO; TICKS];
    let mut turns = 0u32;
    loop {
        let now = Instant::now();
        let number = (now - began).as_nanos() / period.as_nanos();
        let Some(still) = longest.get_mut(number as usize) else { break };
        *still = (*still).max(now - before);
        turns += 1;
        before = now;
    }
    clock.stop()?;
    let still: Vec<f64> = longest.iter().map(|still| still.as_nanos() as f64).collect();
    let turn_ns =
        (period.as_nanos() as f64 - median(still.clone())) * TICKS as f64 / f64::from(turns);
    Ok((mean_near_median(&still) - turn_ns).max(0.0))
}

/// The mean of those values that are within a factor of two of the middle one.
fn mean_near_median(values: &[f64]) -> f64 {
    let middle = median(values.to_vec());
    let near = values.iter().filter(|&&value| (0.5..2.0).contains(&(value / middle)));
    let (sum, count) = near.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    if count > 0 { sum / f64::from(count) } else { middle }
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
    fn what_is_far_from_the_median_is_left_out() {
        assert!((mean_near_median(&[10.0, 11.0, 12.0, 300.0, 1.0]) - 11.0).abs() < 1e-9);
        assert!(mean_near_median(&[0.0, 0.0]).abs() < 1e-9);
    }
}
