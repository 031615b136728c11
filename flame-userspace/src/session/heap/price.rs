//! What a hit of a probe costs on this machine: measured on a function of flame's own.

use std::fs::File;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use flame_common::block::ARGUMENTS_SHIFT;
use flame_common::heap::{Arguments, Role};

use crate::bpf::{HeapPrograms, Probe};
use crate::process;

/// Batches that are timed, and rounds in each.
const BATCHES: usize = 100;
const ROUNDS: u32 = 20;
/// Probed instructions in a row.
const IN_A_ROW: u64 = 8;

/// The price of a hit, in nanoseconds of CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Price {
    /// Of the trap itself.
    pub(super) hit_ns: f64,
    /// What the code behind it takes longer: what it has in the CPU's caches and predictors was
    /// pushed out.
    pub(super) after_ns: f64,
}

/// A function that does nothing, and begins with an instruction that the kernel emulates: an
/// allocator of one byte, to the program on its probe.
#[unsafe(naked)]
extern "C" fn probed(_size: usize) {
    core::arch::naked_asm!("nop", "ret")
}

/// [`IN_A_ROW`] of them: nothing lies between two traps.
#[unsafe(naked)]
extern "C" fn probed_often(_size: usize) {
    core::arch::naked_asm!("nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "ret")
}

/// Some code as programs have between two allocations.
#[inline(never)]
fn work(number: u32) -> usize {
    black_box(format!("{number} {}", number ^ 0x5555)).len()
}

impl Price {
    /// Measures it. flame has to be a target meanwhile, and no sample is to be taken.
    pub(super) fn measure(programs: &HeapPrograms) -> Result<Self> {
        let first = file_offset(probed as *const () as u64)?;
        let row = file_offset(probed_often as *const () as u64)?;
        let file = File::open("/proc/self/exe").context("open flame's own program")?;
        let arguments = u64::from(Arguments::AT_ENTRY.pack()) << ARGUMENTS_SHIFT;
        let cookie = Role::Malloc as u64 | arguments;
        let offsets = std::iter::once(first).chain(row..row + IN_A_ROW);
        let probes: Vec<Probe> = offsets.map(|offset| Probe { offset, cookie }).collect();
        let bare = time(one_call_and_work);
        let link = programs
            .allocations(&file, &probes, Some(std::process::id()))
            .context("probe a function of flame's own")?;
        let hit_ns = time(|_| probed_often(1)) / IN_A_ROW as f64;
        let with_work = time(one_call_and_work);
        // Closing it waits for all CPUs.
        thread::spawn(|| drop(link));
        Ok(Self { hit_ns, after_ns: (with_work - bare - hit_ns).max(0.0) })
    }
}

fn file_offset(address: u64) -> Result<u64> {
    process::own_file_offset(address).context("find flame's own code")
}

fn one_call_and_work(number: u32) {
    probed(1);
    black_box(work(number));
}

/// How long a round takes, in nanoseconds: the median of batches. (In the mean, one moment in which
/// the machine does other things would count for hundreds of rounds.)
fn time(round: impl Fn(u32)) -> f64 {
    let mut batches: Vec<f64> = (0..=BATCHES)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(&round);
            start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}
