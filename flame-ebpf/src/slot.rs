//! The slots in which a CPU's clock leaves its samples.

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_probe_read_kernel};
use flame_common::sample::SampleBuffer;
use flame_common::slot::{SLOT_ROOM, Slot};

use crate::config::config;
use crate::maps::SLOTS;
use crate::memory::exchange;

/// Which of a CPU's slots is next.
#[repr(C)]
pub(crate) struct Turn {
    next: u64,
    /// What the next one was found to hold.
    held: u64,
}

impl Turn {
    /// Looks at the next slot, whose memory comes meanwhile from afar.
    #[inline(always)]
    pub(crate) fn look(&mut self) {
        if let Some(slot) = self.slot() {
            // verifier: no choice by it yet, or both ways would be followed through all of the walk.
            // SAFETY: the slot is a map's value, which lives as long as the program runs.
            self.held = unsafe { (&raw const (*slot).bytes).read_volatile() };
        }
    }

    /// Leaves the first `bytes` of the buffer in the next slot; whether there was room.
    #[inline(always)]
    pub(crate) fn leave(&mut self, buffer: &SampleBuffer, bytes: usize) -> bool {
        if self.held != 0 || bytes > SLOT_ROOM {
            return false;
        }
        let Some(slot) = self.slot() else {
            return false;
        };
        // SAFETY: the slot is a map's value, and empty, so that user space does not look at it; there
        // is room for `bytes`, and the buffer is longer.
        unsafe {
            let (to, from) = ((&raw mut (*slot).sample).cast(), (&raw const *buffer).cast());
            bpf_probe_read_kernel(to, bytes as u32, from);
            exchange(&raw mut (*slot).bytes, bytes as u64);
        }
        self.next = self.next.wrapping_add(1);
        true
    }

    #[inline(always)]
    fn slot(&self) -> Option<*mut Slot> {
        // SAFETY: the helper takes nothing and cannot fail.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        let slots = config!(slots);
        let turn = self.next as u32 & slots.wrapping_sub(1);
        SLOTS.get_ptr_mut(cpu.wrapping_mul(slots).wrapping_add(turn))
    }
}
