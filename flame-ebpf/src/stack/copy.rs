//! Copying a stack to user space, where the kernel's own walk cannot go on.

use core::hint::black_box;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use flame_common::limits::{COPIES_A_SECOND, RED_ZONE, SAMPLE_FRAMES, STACK_COPY};
use flame_common::sample::SampleBuffer;
use flame_common::stat::Stat;
use flame_common::unwind::{REGISTER_WORDS, Registers};

use super::return_probe;
use crate::emit;
use crate::maps::COPIES;
use crate::scratch::unknown;
use crate::stat::bump;
use crate::task;

/// What a CPU may still copy.
#[repr(C)]
pub(crate) struct CopyBudget {
    /// When the second began.
    began_ns: u64,
    /// Copies since then.
    copies: u64,
}

const PAGE: usize = 4096;
const SECOND_NS: u64 = 1_000_000_000;

/// Writes registers and stack behind the first `frames` of the buffer; returns the bytes of stack,
/// 0 if it cannot be read; `None` if nothing more may be copied in this second.
#[inline(always)]
pub(super) fn take(
    registers: &Registers,
    frames: usize,
    time_ns: u64,
    buffer: &mut SampleBuffer,
) -> Option<usize> {
    if !within_budget(time_ns) {
        bump(Stat::NotCopied);
        return None;
    }
    let at = frames & (SAMPLE_FRAMES - 1);
    let to = buffer.body.as_mut_ptr();
    // SAFETY: the body has `SAMPLE_FRAMES` words, then room for the registers, then
    // `STACK_COPY_ROOM`;
    // the mask keeps the start within the frames. `Registers` is made of words.
    let stack = unsafe {
        *to.add(at).cast::<Registers>() = *registers;
        to.add(at + REGISTER_WORDS).cast::<u8>()
    };
    let start = registers.sp().wrapping_sub(RED_ZONE);
    let copied = unknown(buffer, read(start, length(start), stack));
    if copied > 0 {
        return_probe::mend_copy(start, copied, stack);
        bump(Stat::Copied);
    }
    Some(copied)
}

/// How much to copy from `start` on: to the beginning of the first thread's stack, above which are
/// arguments and environment, and of others all.
#[inline(always)]
fn length(start: u64) -> usize {
    let rest = task::first_stack().map_or(u64::MAX, |end| end.wrapping_sub(start));
    // In words, and one more for the number of arguments, which is the first.
    if rest < STACK_COPY as u64 - 16 { (rest as usize & !7) + 16 } else { STACK_COPY }
}

/// Reads up to `length` bytes from `start` on, page by page, to the last that is there. A large frame
/// may have pages that nobody has written to yet, which are not there: they are zeros in the copy.
/// So many in a row are the stack's end.
#[inline(always)]
fn read(start: u64, length: usize, to: *mut u8) -> usize {
    const END: usize = 6;
    let (mut copied, mut at, mut absent) = (0, 0, 0_usize);
    for _ in 0..=STACK_COPY / PAGE {
        let from = start.wrapping_add(at as u64);
        // verifier: always to the end of the page, for which there is room; kernels before 6.8
        // don't know that the lesser of two numbers is bounded by both.
        let to_page_end = PAGE - (from as usize & (PAGE - 1));
        // SAFETY: `at` is less than `STACK_COPY` and a page more fits, as the caller sees to; the
        // helper checks the address to read from, and writes zeros if it fails.
        let result =
            unsafe { bpf_probe_read_user(to.add(at).cast(), to_page_end as u32, from as *const _) };
        at += to_page_end;
        // verifier: a choice without a branch, each of which it would follow to the end.
        // All ones for 0, which is success; zero for the negative number of an error.
        let there = black_box(!(result >> 63) as usize);
        copied = at & there | copied & !there;
        absent = (absent + 1) & !there;
        if at >= length || absent >= END || copied == 0 {
            break;
        }
    }
    copied.min(length)
}

#[inline(always)]
fn within_budget(time_ns: u64) -> bool {
    let Some(budget) = COPIES.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the slot is this CPU's own; see `scratch`.
    let budget = unsafe { &mut *budget };
    if time_ns.wrapping_sub(budget.began_ns) > SECOND_NS {
        *budget = CopyBudget { began_ns: time_ns, copies: 0 };
    }
    budget.copies += 1;
    // A copy is as large as hundreds of samples, for which the other half of the ring is.
    budget.copies <= u64::from(COPIES_A_SECOND) && !emit::is_filled_beyond(2)
}
