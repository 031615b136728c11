//! Sending a sample to user space: just the bytes used.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use flame_common::block::Block;
use flame_common::limits::{COMM, SAMPLE_FRAMES, STACK_COPY};
use flame_common::sample::{HEADER_BYTES, SampleBuffer, SampleHeader, SampleKind, StackEnd};
use flame_common::stat::Stat;
use flame_common::unwind::REGISTER_WORDS;

use crate::config::config;
use crate::maps::SAMPLES;
use crate::slot::Turn;
use crate::stat::bump;
use crate::task::Ids;

/// Bytes of registers and the longest copy of a stack.
const MOST_COPY: usize = REGISTER_WORDS * 8 + STACK_COPY;

/// Sends the header, the first `frames` frames, and `copied` bytes of stack with the registers in
/// front of them: by a slot of the clock's, if it is the clock's and one is empty, or by the ring.
/// User space looks at both on its own clock; it is woken only when a quarter of the ring waits, or
/// where the stack is of code that user space does not know (`is_news`). Whether there was room.
#[inline(always)]
pub(crate) fn send(
    buffer: &SampleBuffer,
    frames: usize,
    copied: usize,
    kind: SampleKind,
    is_news: bool,
    turn: &mut Turn,
) -> bool {
    let copy = if copied > 0 { REGISTER_WORDS * 8 + copied } else { 0 };
    let bytes = HEADER_BYTES + (frames & (SAMPLE_FRAMES - 1)) * 8 + copy.min(MOST_COPY);
    // SAFETY: the buffer starts with the header and has room for all frames and the whole copy
    // behind it; the mask and the minimum keep the length inside.
    let used = unsafe { core::slice::from_raw_parts((&raw const *buffer).cast::<u8>(), bytes) };
    let lost = match kind {
        SampleKind::Leaving => {
            // No sample: without room those of the thread's end have shorter stacks, and its CPU time is
            // that of the last reading.
            return SAMPLES.output::<[u8]>(used, wakeup(is_news)).is_ok();
        }
        SampleKind::Cpu => Stat::RingFull,
        SampleKind::Growth => Stat::GrowthRingFull,
        SampleKind::Alloc | SampleKind::Free | SampleKind::Begun => Stat::HeapRingFull,
    };
    // Where a walk of the clock's goes astray, other code may lie there than was told.
    let astray = matches!(kind, SampleKind::Cpu)
        && (buffer.header.user_end == StackEnd::Unreadable as u32
            || buffer.header.user_end == StackEnd::Implausible as u32);
    let is_urgent = is_news || astray;
    let has_room = matches!(kind, SampleKind::Cpu) && !is_urgent && turn.leave(buffer, bytes)
        || SAMPLES.output::<[u8]>(used, wakeup(is_urgent)).is_ok();
    if !has_room {
        bump(lost);
    }
    has_room
}

/// A header alone, of now.
#[inline(always)]
pub(crate) fn header(kind: SampleKind, ids: Ids) -> SampleHeader {
    SampleHeader {
        // SAFETY: the helper takes nothing and cannot fail.
        time_ns: unsafe { bpf_ktime_get_ns() },
        value: 0,
        id: 0,
        interval: 0,
        address: 0,
        pid: ids.pid,
        tid: ids.tid,
        kind: kind as u32,
        kernel_frames: 0,
        user_frames: 0,
        user_end: StackEnd::NoUserStack as u32,
        copied: 0,
        comm: [0; COMM],
    }
}

/// Sends a header alone, and wakes user space if it is urgent; whether there was room.
#[inline(always)]
pub(crate) fn send_header(header: &SampleHeader, urgent: bool) -> bool {
    // SAFETY: a header is made of integers without padding between them.
    let bytes =
        unsafe { core::slice::from_raw_parts((&raw const *header).cast::<u8>(), HEADER_BYTES) };
    SAMPLES.output::<[u8]>(bytes, wakeup(urgent)).is_ok()
}

/// Tells user space that what was sampled is no more.
// verifier: a function of its own, whose stack is not the caller's. Kernels before 6.13 have 512 bytes
// for all that call each other.
#[inline(never)]
pub(crate) fn tell_end(ids: Ids, block: Block, address: u64) {
    let header =
        SampleHeader { value: block.size, id: block.id, address, ..header(SampleKind::Free, ids) };
    if !send_header(&header, false) {
        bump(Stat::FreeRingFull);
    }
}

/// Whether more than one part in so many of the ring waits to be read.
#[inline(always)]
pub(crate) fn is_filled_beyond(parts: u64) -> bool {
    SAMPLES.query(u64::from(BPF_RB_AVAIL_DATA)) > u64::from(config!(ring_bytes)) / parts
}

/// Whether to wake user space: the flags of the ring's helper.
#[inline(always)]
fn wakeup(at_once: bool) -> u64 {
    let wakes = at_once || is_filled_beyond(4);
    u64::from(if wakes { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP })
}
