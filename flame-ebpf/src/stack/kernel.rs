//! The kernel stack, which the kernel itself unwinds (by its ORC tables on x86-64).

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_stack;
use flame_common::limits::KERNEL_FRAMES;
use flame_common::sample::SampleBuffer;
use flame_common::stat::Stat;

use crate::stat::bump;

/// Writes the kernel frames at the head of the buffer and returns their number.
#[inline(always)]
pub(crate) fn take(ctx: &impl EbpfContext, buffer: &mut SampleBuffer) -> usize {
    let room = (KERNEL_FRAMES * 8) as u32;
    // SAFETY: the helper writes at most `room` bytes, for which the buffer has space.
    let written = unsafe { bpf_get_stack(ctx.as_ptr(), buffer.body.as_mut_ptr().cast(), room, 0) };
    if written < 0 {
        bump(Stat::NoKernelStack);
        return 0;
    }
    (written as usize / 8).min(KERNEL_FRAMES)
}
