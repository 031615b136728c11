//! What a hit of a probe costs on this machine: measured on flame's own code.

use std::time::Instant;

use anyhow::Result;
use flame_common::block::ARGUMENTS_SHIFT;
use flame_common::heap::{Arguments, Role};
use flame_common::poisson::NEVER;

use super::own_code::{self, OwnProbes};
use crate::bpf::{HeapKernel, HeapPrograms, Probe, Programs};

/// Batches that are timed, and rounds in each.
const BATCHES: usize = 100;
const ROUNDS: u32 = 20;
/// Probed instructions in a row. Where probes are slow to take out, and what is put in next waits
/// for that, only the first of them is probed.
const IN_A_ROW: u64 = 8;

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

/// The middle of values, of which there are some.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
