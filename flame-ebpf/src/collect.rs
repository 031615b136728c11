//! The one sampling path: buffer, kernel stack, user stack, ring. A source of samples decides
//! whether a sample is wanted and what it weighs, then comes here.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_ktime_get_ns};
use flame_common::sample::{SampleHeader, SampleKind};

use crate::task::{self, Ids, UserRegisters};
use crate::{config::config, emit, scratch, stack};

/// Takes the current task's stacks and sends them as one sample of `value`.
///
/// `interrupted` are the user registers if user code was interrupted; else the sample has a
/// kernel stack, and the user stack starts where the task entered the kernel.
#[inline(always)]
pub(crate) fn collect(
    ctx: &impl EbpfContext,
    kind: SampleKind,
    value: u64,
    ids: Ids,
    interrupted: Option<UserRegisters>,
) {
    let Some(buffer) = scratch::buffer() else {
        return;
    };
    // SAFETY: the helper takes nothing and cannot fail.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let kernel_frames = if interrupted.is_none() && config!(kernel_stacks) != 0 {
        stack::kernel::take(ctx, buffer)
    } else {
        0
    };
    let kernel_frames = scratch::unknown(buffer, kernel_frames);
    let registers = interrupted.or_else(task::saved_user_registers);
    let (user_frames, user_end) = stack::user::walk(registers, kernel_frames, buffer);
    let user_frames = scratch::unknown(buffer, user_frames);
    let user_end = scratch::unknown(buffer, user_end as usize);
    buffer.header = SampleHeader {
        time_ns,
        value,
        pid: ids.pid,
        tid: ids.tid,
        kind: kind as u32,
        kernel_frames: kernel_frames as u16,
        user_frames: user_frames as u16,
        user_end: user_end as u32,
        pad: 0,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    emit::send(buffer, kernel_frames + user_frames);
}
