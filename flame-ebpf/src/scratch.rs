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
