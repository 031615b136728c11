//! Sending a sample to user space: just the bytes used.

use aya_ebpf::bindings::{
    BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE,
};
use flame_common::limits::SAMPLE_FRAMES;
use flame_common::sample::{HEADER_BYTES, SampleBuffer};
use flame_common::stat::Stat;

use crate::maps::SAMPLES;
use crate::stat::bump;

/// Sends the header and the first `frames` frames. User space looks at the ring on its own clock;
/// it is woken only when a quarter of the ring waits.
#[inline(always)]
pub(crate) fn send(buffer: &SampleBuffer, frames: usize) {
    let bytes = HEADER_BYTES + (frames & (SAMPLE_FRAMES - 1)) * 8;
    let waiting = SAMPLES.query(u64::from(BPF_RB_AVAIL_DATA));
    let flags = if waiting > SAMPLES.query(u64::from(BPF_RB_RING_SIZE)) / 4 {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: the buffer starts with the header and goes on with `SAMPLE_FRAMES` frames, and the
    // mask keeps the length inside.
    let used = unsafe { core::slice::from_raw_parts((&raw const *buffer).cast::<u8>(), bytes) };
    match SAMPLES.output::<[u8]>(used, u64::from(flags)) {
        Ok(()) => bump(Stat::Sent),
        Err(_) => bump(Stat::RingFull),
    }
}
