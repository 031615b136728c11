//! Where a CPU's clock leaves its samples for user space, in memory that both share.
//!
//! Each CPU fills its slots in turn, and user space empties them in the same order. That touches one
//! page of memory for a sample, where a ring buffer that all CPUs share touches several, and pages that
//! were not touched for a millisecond are most of what a sample costs. What is too long for a slot, is
//! urgent, or finds the next slot full goes into the ring.

/// Bytes of a slot. A page holds some, so that none lies in two.
pub const SLOT_BYTES: usize = 1024;

/// Bytes of the longest sample that fits.
pub const SLOT_ROOM: usize = SLOT_BYTES - 8;

/// Room for one sample.
#[repr(C)]
pub struct Slot {
    /// Bytes of the sample that waits to be read; 0 if there is none. The programs write it last, and
    /// user space clears it when it has read the sample.
    pub bytes: u64,
    /// As on the ring: the header and the frames.
    pub sample: [u8; SLOT_ROOM],
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES && 4096 % SLOT_BYTES == 0);
