//! Return addresses in whose place the kernel has put its own: those of functions whose return is
//! probed, by flame's heap profiles or by somebody else. The kernel keeps the true ones in a list
//! of the task, innermost first.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use flame_common::frame::RawFrame;
use flame_common::limits::{RETURN_PROBES, STACK_COPY};
use flame_common::unwind::{Memory as _, saved_by_return_probe};

use super::Walk;
use crate::config::config;
use crate::maps::CALLS;
use crate::memory::{Window, kernel};
use crate::task;

/// A function that is probed and has not returned.
#[derive(Clone, Copy)]
struct Pending {
    /// Where its return address lies on the stack.
    slot: u64,
    /// The true one.
    address: u64,
    /// The kernel's address of the next further out.
    next: u64,
}

impl Pending {
    /// The innermost of the current task.
    #[inline(always)]
    fn first() -> Option<Self> {
        Self::read(kernel(probed_task()?, config!(offsets.utask_return_instances))?)
    }

    /// The one that returned last, which the kernel keeps for the next.
    #[inline(always)]
    fn last_returned() -> Option<Self> {
        if config!(offsets.utask_returned) == 0 {
            return None;
        }
        Self::read(kernel(probed_task()?, config!(offsets.utask_returned))?)
    }

    #[inline(always)]
    fn read(instance: u64) -> Option<Self> {
        if instance == 0 {
            return None;
        }
        Some(Self {
            slot: kernel(instance, config!(offsets.return_instance_stack))?,
            address: kernel(instance, config!(offsets.return_instance_address))?,
            next: kernel(instance, config!(offsets.return_instance_next))?,
        })
    }

    /// The next further out.
    #[inline(always)]
    fn caller(self) -> Option<Self> {
        Self::read(self.next)
    }

    #[inline(always)]
    fn find(wanted: impl Fn(u64) -> bool + Copy) -> Option<Self> {
        let mut at = Self::first()?;
        for _ in 0..RETURN_PROBES {
            if wanted(at.slot) {
                return Some(at);
            }
            at = at.caller()?;
        }
        None
    }
}

/// What the kernel keeps of the current task's probes.
#[inline(always)]
fn probed_task() -> Option<u64> {
    if config!(offsets.return_probes_known) == 0 {
        return None;
    }
    let found: u64 = kernel(task::current(), config!(offsets.task_utask))?;
    (found != 0).then_some(found)
}

/// The true return address of the frame whose caller's stack pointer is `sp`.
#[inline(always)]
fn true_address(sp: u64) -> Option<u64> {
    if let Some(pending) = Pending::find(|slot| slot.wrapping_add(8) == sp) {
        return Some(pending.address);
    }
    // The kernel writes the address first and then its list. In between, flame's own probe knows.
    // SAFETY: read once; the thread itself writes it, and is interrupted here.
    let call = unsafe { CALLS.get(bpf_get_current_pid_tgid()) }?;
    (call.stack_pointer.wrapping_add(8) == sp && call.caller != 0).then_some(call.caller)
}

/// The return address and the caller's stack pointer of a function that has returned to the
/// kernel's code.
#[inline(always)]
fn returned(ip: u64, sp: u64, window: &mut Window) -> Option<(u64, u64)> {
    let saved = saved_by_return_probe(ip)?;
    // The kernel moves the stack pointer, takes the function off its list and writes the true
    // address to the stack, all while this code waits for it.
    let is_near = |slot: u64| sp.wrapping_sub(slot).wrapping_add(16) <= 24;
    let found = Pending::find(is_near)
        .or_else(|| Pending::last_returned().filter(|last| is_near(last.slot)));
    if let Some(found) = found {
        return Some((found.address, found.slot.wrapping_add(8)));
    }
    let caller = sp.wrapping_add(saved);
    Some((window.word(caller.wrapping_sub(8))?, caller))
}

/// Where a walk is at an address without code: the true return address, if the kernel has put that
/// address there, or the caller of a function that has just returned to it.
#[inline(always)]
pub(super) fn mend(walk: &mut Walk) -> Option<RawFrame> {
    let (ip, sp, fp) = (walk.registers.ip, walk.registers.sp(), walk.registers.fp());
    if walk.registers.is_return != 0 {
        walk.registers.ip = true_address(sp)?;
        // In the place of the kernel's own.
        walk.frames = walk.frames.wrapping_sub(1);
    } else {
        let (ip, caller) = returned(ip, sp, &mut walk.window)?;
        walk.registers.return_to(ip, caller, fp);
    }
    Some(RawFrame::return_address(walk.registers.ip))
}

/// Puts the true return addresses into a copy of the stack from `start` on.
#[inline(always)]
pub(super) fn mend_copy(start: u64, copied: usize, copy: *mut u8) {
    let Some(mut at) = Pending::first() else { return };
    for _ in 0..RETURN_PROBES {
        let offset = at.slot.wrapping_sub(start);
        if offset < copied as u64 {
            // verifier: the mask bounds the offset.
            let offset = offset as usize & (STACK_COPY - 8);
            // SAFETY: the caller's copy has room for `STACK_COPY` bytes.
            unsafe { copy.add(offset).cast::<u64>().write_unaligned(at.address) };
        }
        let Some(caller) = at.caller() else { return };
        at = caller;
    }
}
