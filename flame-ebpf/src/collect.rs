//! The one sampling path: buffer, kernel stack, user stack, ring. A source of samples decides
//! whether a sample is wanted and what it weighs, then comes here.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_ktime_get_ns};
use flame_common::sample::{SampleHeader, SampleKind};
use flame_common::unwind::Registers;

use crate::task::{self, Ids};
use crate::{config::config, emit, scratch, stack};

/// Takes the current task's stacks and sends them as one sample of `value`.
///
/// If the registers `interrupted` are those of user code, there is no kernel stack; else the user
/// stack starts where the task entered the kernel.
#[inline(always)]
pub(crate) fn collect(
    ctx: &impl EbpfContext,
    kind: SampleKind,
    value: u64,
    ids: Ids,
    interrupted: &pt_regs,
) {
    let Some(mut scratch) = scratch::get() else {
        return;
    };
    // SAFETY: the helper takes nothing and cannot fail.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let in_user = task::interrupted_user_registers(interrupted, &mut scratch.walk.registers);
    let kernel_frames = if !in_user && config!(kernel_stacks) != 0 {
        stack::kernel::take(ctx, scratch.buffer)
    } else {
        0
    };
    let kernel_frames = scratch::unknown(scratch.buffer, kernel_frames);
    let has_user = in_user || task::saved_user_registers(&mut scratch.walk.registers);
    let innermost = |registers: &mut Registers| {
        if in_user {
            task::interrupted_user_registers(interrupted, registers);
        } else {
            task::saved_user_registers(registers);
        }
    };
    let user = stack::user::walk(&mut scratch, ids, has_user, kernel_frames, time_ns, innermost);
    let copied = scratch::unknown(scratch.buffer, user.copied);
    scratch.buffer.header = SampleHeader {
        time_ns,
        value,
        pid: ids.pid,
        tid: ids.tid,
        kind: kind as u32,
        kernel_frames: kernel_frames as u16,
        user_frames: user.frames as u16,
        user_end: user.end as u32,
        copied: copied as u32,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    emit::send(scratch.buffer, kernel_frames + user.frames, copied);
}
