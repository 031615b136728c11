//! What each CPU has to itself.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use flame_common::sample::SampleBuffer;

use crate::maps::{BUFFER, REMEMBERED, WALK};
use crate::stack::{RememberedRules, Walk};

/// A CPU's own.
pub(crate) struct Scratch {
    pub(crate) buffer: &'static mut SampleBuffer,
    pub(crate) walk: &'static mut Walk,
    pub(crate) remembered: &'static mut RememberedRules,
}

/// This CPU's own. A program asks for it once.
#[inline(always)]
pub(crate) fn get() -> Option<Scratch> {
    // SAFETY: the helper takes nothing and cannot fail.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let (buffer, walk) = (BUFFER.get_ptr_mut(cpu)?, WALK.get_ptr_mut(0)?);
    let remembered = REMEMBERED.get_ptr_mut(0)?;
    // SAFETY: the slots are this CPU's own, and the kernel runs one perf-event program at a time
    // on a CPU (`bpf_prog_active`), which asks once: there are no second references.
    unsafe {
        Some(Scratch { buffer: &mut *buffer, walk: &mut *walk, remembered: &mut *remembered })
    }
}

/// The same number, of which the verifier knows nothing any more.
///
/// verifier: it follows every value of a loop's counter through all that comes after the loop,
/// and most of the time that loading takes goes there. What was in memory meanwhile is any number
/// to it, so that the ways out of the loop are one to it. `black_box` alone hides a value from the
/// compiler and not from the verifier.
#[inline(always)]
pub(crate) fn unknown(buffer: &mut SampleBuffer, number: usize) -> usize {
    let slot = &raw mut buffer.header.time_ns;
    // SAFETY: the slot is a part of the buffer that is borrowed here, and any bits are a number.
    unsafe {
        slot.write_volatile(number as u64);
        slot.read_volatile() as usize
    }
}
