//! What a program knows of a task: its ids in flame's pid namespace, and its user registers.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated};
use flame_common::limits::PID_NAMESPACE_LEVELS;
use flame_common::unwind::{Registers, SP};

use crate::config::config;
use crate::memory::{kernel, user};

/// A task's numbers in flame's pid namespace.
#[derive(Clone, Copy)]
pub(crate) struct Ids {
    /// The process (thread group).
    pub(crate) pid: u32,
    /// The thread.
    pub(crate) tid: u32,
}

/// The kernel's address of the current task.
#[inline(always)]
pub(crate) fn current() -> u64 {
    // SAFETY: the helper takes nothing and cannot fail.
    unsafe { generated::bpf_get_current_task() }
}

/// Whether the current task is the idle task of its CPU.
#[inline(always)]
pub(crate) fn is_idle() -> bool {
    bpf_get_current_pid_tgid() == 0
}

/// Whether the current task is about to end (`PF_EXITING` in its flags).
#[inline(always)]
pub(crate) fn is_exiting() -> bool {
    const PF_EXITING: u32 = 4;
    let offset = config!(offsets.task_flags);
    let flags = if offset == 0 { None } else { kernel::<u32>(current(), offset) };
    flags.is_some_and(|flags| flags & PF_EXITING != 0)
}

/// How long a task has run up to the last switch or tick of its scheduler, in nanoseconds.
#[inline(always)]
pub(crate) fn runtime(task: u64) -> Option<u64> {
    let offset = config!(offsets.task_runtime);
    if offset == 0 { None } else { kernel(task, offset) }
}

/// Whether a request for so many bytes may be refused: by a limit on the address space or the data of
/// the current process (getrlimit(2)), or since it is more than the machine may have.
#[inline(always)]
pub(crate) fn may_be_refused(bytes: u64) -> bool {
    const UNLIMITED: u64 = u64::MAX;
    const DATA: u32 = 2;
    const ADDRESS_SPACE: u32 = 9;
    const PAIR: u32 = 16;
    let offset = config!(offsets.task_signal);
    if offset == 0 || bytes >= config!(refused_bytes) {
        return true;
    }
    let Some(process) = kernel::<u64>(current(), offset) else { return true };
    let limits = config!(offsets.signal_limits);
    let unlimited = |which: u32| kernel(process, limits + which * PAIR) == Some(UNLIMITED);
    !(unlimited(ADDRESS_SPACE) && unlimited(DATA))
}

/// Where the stack of the current process's first thread begins (its highest address), as the kernel
/// or the process set it.
#[inline(always)]
pub(crate) fn first_stack() -> Option<u64> {
    let offset = config!(offsets.task_mm);
    if offset == 0 {
        return None;
    }
    let memory: u64 = kernel(current(), offset)?;
    kernel(memory, config!(offsets.mm_start_stack))
}

/// The ids of the current task; `None` where flame's pid namespace does not see it.
#[inline(always)]
pub(crate) fn current_ids() -> Option<Ids> {
    if config!(pid_namespace_inode) == 0 {
        let both = bpf_get_current_pid_tgid();
        return Some(Ids { pid: (both >> 32) as u32, tid: both as u32 });
    }
    namespaced_ids(current())
}

/// The ids of a task; `None` where flame's pid namespace does not see it.
#[inline(always)]
pub(crate) fn ids_of(task: u64) -> Option<Ids> {
    if config!(pid_namespace_inode) == 0 {
        return Some(Ids {
            pid: kernel(task, config!(offsets.task_tgid))?,
            tid: kernel(task, config!(offsets.task_pid))?,
        });
    }
    namespaced_ids(task)
}

#[inline(always)]
fn namespaced_ids(task: u64) -> Option<Ids> {
    let leader: u64 = kernel(task, config!(offsets.task_group_leader))?;
    Some(Ids { pid: namespaced_number(leader)?, tid: namespaced_number(task)? })
}

/// A task's number in flame's pid namespace: of `task->thread_pid->numbers`, one for each
/// namespace from the machine's own down to the task's, the `nr` of the one that is flame's.
#[inline(always)]
fn namespaced_number(task: u64) -> Option<u32> {
    let pid: u64 = kernel(task, config!(offsets.task_thread_pid))?;
    let depth: u32 = kernel(pid, config!(offsets.pid_level))?;
    let mut slot = pid.wrapping_add(u64::from(config!(offsets.pid_numbers)));
    for level in 1..=PID_NAMESPACE_LEVELS {
        if level > depth {
            break;
        }
        slot = slot.wrapping_add(u64::from(config!(offsets.upid_size)));
        let namespace: u64 = kernel(slot, config!(offsets.upid_ns))?;
        let inode: u32 = kernel(namespace, config!(offsets.pid_namespace_inode))?;
        if inode == config!(pid_namespace_inode) {
            return kernel(slot, config!(offsets.upid_nr));
        }
    }
    None
}

/// Whether registers are those of user code.
#[inline(always)]
fn is_user(regs: &pt_regs) -> bool {
    // The low bits of the code segment are the privilege level; 3 is user code.
    regs.cs & 3 == 3
}

#[inline(always)]
fn take_over(regs: &pt_regs, to: &mut Registers) {
    let from = [
        &regs.rax, &regs.rdx, &regs.rcx, &regs.rbx, &regs.rsi, &regs.rdi, &regs.rbp, &regs.rsp,
        &regs.r8, &regs.r9, &regs.r10, &regs.r11, &regs.r12, &regs.r13, &regs.r14, &regs.r15,
    ];
    // One after the other: there are not as many registers to hold them all at one time.
    for (to, from) in to.general.iter_mut().zip(from) {
        *to = *from;
    }
    to.ip = regs.rip;
    to.is_return = 0;
    to.all_known = 1;
}

/// Takes the registers of user code that an event interrupted; `false` if it hit in the kernel.
#[inline(always)]
pub(crate) fn interrupted_user_registers(regs: &pt_regs, to: &mut Registers) -> bool {
    if !is_user(regs) {
        return false;
    }
    take_over(regs, to);
    true
}

/// The user instruction pointer of the current task, which an event interrupted; 0 if it has none.
#[inline(always)]
pub(crate) fn user_ip(regs: &pt_regs) -> u64 {
    if is_user(regs) { regs.rip } else { saved_user_ip() }
}

// verifier: a function of its own, as below.
#[inline(never)]
fn saved_user_ip() -> u64 {
    // SAFETY: as in `saved_user_registers`.
    let regs = unsafe {
        let task = generated::bpf_get_current_task_btf();
        &*(generated::bpf_task_pt_regs(task) as *const pt_regs)
    };
    if is_user(regs) { regs.rip } else { 0 }
}

/// Takes the registers of a caller that a function just returned to.
#[inline(always)]
pub(crate) fn returned_registers(regs: &pt_regs, to: &mut Registers) {
    take_over(regs, to);
    to.is_return = 1;
}

/// Takes the registers of the caller of a function that has just begun: it has saved nothing and
/// its return address is on top of the stack. `false` if that cannot be read.
#[inline(always)]
pub(crate) fn caller_registers(regs: &pt_regs, to: &mut Registers) -> bool {
    take_over(regs, to);
    let stack = regs.rsp;
    let Some(address) = user::<u64>(stack) else {
        return false;
    };
    to.ip = address;
    to.general[SP as usize] = stack.wrapping_add(8);
    to.is_return = 1;
    true
}

/// Takes the user registers of the current task, saved when it entered the kernel; `false` for a
/// task that has no user half (a kernel thread).
// verifier: a function of its own. Merged with the other's, its loads would be through pointers of
// two kinds, which the verifier refuses.
#[inline(never)]
pub(crate) fn saved_user_registers(to: &mut Registers) -> bool {
    // SAFETY: both helpers are there since Linux 5.15. The pointer that the first returns is a
    // trusted one, as the second asks; the result points at the top of the task's kernel stack,
    // and the kernel checks each load.
    let regs = unsafe {
        let task = generated::bpf_get_current_task_btf();
        &*(generated::bpf_task_pt_regs(task) as *const pt_regs)
    };
    if !is_user(regs) {
        return false;
    }
    take_over(regs, to);
    if is_at_breakpoint(regs) {
        to.ip = regs.rip.wrapping_sub(1);
    }
    true
}

/// Whether the task has just run into a probe's breakpoint: the instruction under it, whose first
/// byte it has taken, has not been carried out.
///
/// For some nanoseconds after the kernel emulated a probed instruction of one byte this is wrong.
#[inline(always)]
fn is_at_breakpoint(regs: &pt_regs) -> bool {
    /// What traps have in place of a system call's number.
    const NO_SYSTEM_CALL: u64 = u64::MAX;
    const INT3: u8 = 0xcc;
    regs.orig_rax == NO_SYSTEM_CALL && user::<u8>(regs.rip.wrapping_sub(1)) == Some(INT3)
}
