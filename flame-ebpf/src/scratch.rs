//! The CPU's sample buffer.

use flame_common::sample::SampleBuffer;

use crate::maps::BUFFER;

/// This CPU's buffer. A program asks for it once.
#[inline(always)]
pub(crate) fn buffer() -> Option<&'static mut SampleBuffer> {
    // SAFETY: the slot is this CPU's own, and the kernel runs one perf-event program at a time on
    // a CPU (`bpf_prog_active`), which asks once: there is no second reference.
    BUFFER.get_ptr_mut(0).map(|buffer| unsafe { &mut *buffer })
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
