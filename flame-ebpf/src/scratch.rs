//! What each CPU has to itself.

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
    let (buffer, walk) = (BUFFER.get_ptr_mut(0)?, WALK.get_ptr_mut(0)?);
    let remembered = REMEMBERED.get_ptr_mut(0)?;
    // SAFETY: the slots are this CPU's own, and the kernel runs one perf-event program at a time
    // on a CPU (`bpf_prog_active`), which asks once: there are no second references.
    unsafe {
        Some(Scratch { buffer: &mut *buffer, walk: &mut *walk, remembered: &mut *remembered })
    }
}
