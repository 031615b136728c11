//! What a hit of a probe costs on this machine: measured on a function of flame's own.

use std::fs::File;
use std::time::Instant;

use anyhow::{Context as _, Result};
use flame_common::block::ARGUMENTS_SHIFT;
use flame_common::heap::{Arguments, Role};

use crate::bpf::{HeapPrograms, Probe};
use crate::process;

/// Calls of the function that are timed.
const CALLS: u32 = 2000;

/// A function that does nothing, and begins with an instruction that the kernel emulates: an
/// allocator of one byte, to the program on its probe.
#[unsafe(naked)]
extern "C" fn probed(_size: usize) {
    core::arch::naked_asm!("nop", "ret")
}

/// The price of a hit, in nanoseconds. flame has to be a target meanwhile, and no sample is to be
/// taken.
pub(super) fn price_ns(programs: &HeapPrograms) -> Result<f64> {
    let address = probed as *const () as u64;
    let offset = process::own_file_offset(address).context("find flame's own code")?;
    let file = File::open("/proc/self/exe").context("open flame's own program")?;
    let arguments = u64::from(Arguments::AT_ENTRY.pack()) << ARGUMENTS_SHIFT;
    let probe = Probe { offset, cookie: Role::Malloc as u64 | arguments };
    let link = programs
        .allocations(&file, &[probe], Some(std::process::id()))
        .context("probe a function of flame's own")?;
    for _ in 0..CALLS / 10 {
        probed(1);
    }
    let start = Instant::now();
    for _ in 0..CALLS {
        probed(1);
    }
    let price = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
    drop(link);
    Ok(price)
}
