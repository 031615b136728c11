//! The one sampling path: buffer, kernel stack, user stack, ring. A source of samples decides
//! whether a sample is wanted and what it weighs, then comes here.

use core::hint::black_box;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_current_comm;
use flame_common::limits::COMM;
use flame_common::sample::{SampleHeader, SampleKind};
use flame_common::unwind::Registers;

use crate::scratch::{self, Scratch};
use crate::task::{self, Ids};
use crate::{config::config, emit, stack};

/// What a sample says besides its stacks; see [`SampleHeader`].
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) kind: SampleKind,
    pub(crate) value: u64,
    pub(crate) id: u64,
    pub(crate) interval: u64,
    pub(crate) address: u64,
}

impl Measured {
    /// A sample that weighs `value` and says nothing else.
    #[inline(always)]
    pub(crate) fn plain(kind: SampleKind, value: u64) -> Self {
        Self { kind, value, id: 0, interval: 0, address: 0 }
    }
}

/// Takes the current task's stacks and sends them as one sample.
///
/// If the registers `interrupted` are those of user code, there is no kernel stack; else the user
/// stack starts where the task entered the kernel. `scratch.walk` knows the process.
#[inline(always)]
pub(crate) fn collect(
    ctx: &impl EbpfContext,
    measured: &Measured,
    ids: Ids,
    interrupted: &pt_regs,
    scratch: &mut Scratch,
    time_ns: u64,
) {
    scratch.turn.look();
    let in_user = task::interrupted_user_registers(interrupted, &mut scratch.walk.registers);
    let in_user = scratch::unknown(scratch.buffer, usize::from(in_user)) != 0;
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
    finish(scratch, measured, ids, time_ns, kernel_frames, has_user, innermost);
}

/// Takes the user stack from the registers in `scratch.walk`, and sends it; whether there was room.
/// `innermost` gives the same registers again.
#[inline(always)]
pub(crate) fn send(
    scratch: &mut Scratch,
    measured: &Measured,
    ids: Ids,
    has_user: bool,
    innermost: impl FnOnce(&mut Registers),
) -> bool {
    scratch.walk.known.look_up(ids);
    // SAFETY: the helper takes nothing and cannot fail.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    finish(scratch, measured, ids, time_ns, 0, has_user, innermost)
}

#[inline(always)]
fn finish(
    scratch: &mut Scratch,
    measured: &Measured,
    ids: Ids,
    time_ns: u64,
    kernel_frames: usize,
    has_user: bool,
    innermost: impl FnOnce(&mut Registers),
) -> bool {
    let user = stack::user::walk(scratch, has_user, kernel_frames, time_ns, innermost);
    let copied = scratch::unknown(scratch.buffer, user.copied);
    // verifier: field by field, since a header would be put together on the stack, which is short.
    let SampleHeader {
        time_ns: time,
        value,
        id,
        interval,
        address,
        pid,
        tid,
        kind,
        kernel_frames: of_kernel,
        user_frames: of_user,
        user_end,
        copied: bytes,
        comm,
    } = &mut scratch.buffer.header;
    (*time, *value, *id) = (time_ns, measured.value, measured.id);
    // Zeros side by side would be written byte by byte, in a loop: BPF has no other `memset`.
    (*interval, *address) = (black_box(measured.interval), measured.address);
    (*pid, *tid, *kind) = (ids.pid, ids.tid, measured.kind as u32);
    (*of_kernel, *of_user) = (kernel_frames as u16, user.frames as u16);
    (*user_end, *bytes) = (user.end, copied as u32);
    // SAFETY: there is room for `COMM` bytes, which the helper writes in any case.
    unsafe { bpf_get_current_comm(comm.as_mut_ptr().cast(), COMM as u32) };
    let frames = kernel_frames + user.frames;
    emit::send(scratch.buffer, frames, copied, measured.kind, user.is_news, scratch.turn)
}
