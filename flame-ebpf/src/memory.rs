//! Reading memory: the target's stack, and the kernel's own structs.

use aya_ebpf::helpers::generated;
use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};
use flame_common::limits::WINDOW_WORDS;
use flame_common::unwind::Memory;

/// How near the end of a piece is near.
const NEAR: u64 = 512;
const WINDOW_BYTES: u64 = WINDOW_WORDS as u64 * 8;

/// The part of the current task's stack that was read last.
#[repr(C)]
pub(crate) struct Window {
    start: u64,
    /// Bytes that are valid, a multiple of 8.
    length: u64,
    words: [u64; WINDOW_WORDS],
}

impl Window {
    /// Forgets what was read.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Reads from `start` on: to the end of its piece of the stack, a window long, and where that is
    /// near, a window full if what follows is there.
    #[inline(always)]
    fn read(&mut self, start: u64) -> Option<()> {
        self.length = 0;
        // verifier: bounded by what it is made of, and not by a comparison.
        let rest = WINDOW_BYTES - (start & (WINDOW_BYTES - 1));
        // A read that meets a page that is not there costs the most: the page above the stack's
        // last is tried seldom.
        if rest < NEAR && read_user(&mut self.words, WINDOW_BYTES as u32, start) {
            self.length = WINDOW_BYTES;
        } else if read_user(&mut self.words, rest as u32, start) {
            self.length = rest;
        } else {
            return None;
        }
        self.start = start;
        Some(())
    }
}

impl Memory for Window {
    #[inline(always)]
    fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        if address.wrapping_sub(self.start) >= self.length {
            self.read(address)?;
        }
        // verifier: the mask bounds the index.
        let index = (address.wrapping_sub(self.start) >> 3) as usize & (WINDOW_WORDS - 1);
        self.words.get(index).copied()
    }

    // verifier: one read and no choice between two words, or it would follow as many ways as there are
    // from each to the next: half of the time that loading takes.
    #[inline(always)]
    fn words<const N: usize>(
        &mut self,
        address: u64,
        mut tell: impl FnMut(usize, u64),
    ) -> Option<()> {
        const { assert!(N <= WINDOW_WORDS) };
        self.length = 0;
        if address & 7 != 0 || !read_user(&mut self.words, N as u32 * 8, address) {
            return None;
        }
        (self.start, self.length) = (address, N as u64 * 8);
        for (place, word) in self.words.iter().take(N).enumerate() {
            tell(place, *word);
        }
        Some(())
    }
}

/// A piece lies in one page: one that is not there ends what can be read at one time.
const _: () = assert!(NEAR <= WINDOW_BYTES && WINDOW_BYTES <= 4096);

#[inline(always)]
fn read_user(words: &mut [u64; WINDOW_WORDS], bytes: u32, from: u64) -> bool {
    let to = words.as_mut_ptr().cast();
    // SAFETY: `bytes` is at most the size of `words`, as both callers see to; the helper checks
    // the address to read from.
    unsafe { generated::bpf_probe_read_user(to, bytes, from as *const _) == 0 }
}

/// The value at `base + offset` in kernel memory.
#[inline(always)]
pub(crate) fn kernel<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address and fails on one that is not mapped; every type that
    // is read here is an integer, valid for any bits.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(u64::from(offset)) as *const T) }.ok()
}

/// The value at an address of the current task's memory; `None` where that is not there.
#[inline(always)]
pub(crate) fn user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address; every type that is read here is an integer, valid for
    // any bits.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Adds to a map's value, which other CPUs and user space change as well, in one step.
///
/// Rust has no such operation for BPF, which LLVM and the kernel know.
#[inline(always)]
pub(crate) fn add_shared(value: *mut u32, more: i64) {
    // SAFETY: the value is a map's, which lives as long as the program runs.
    unsafe {
        core::arch::asm!(
            "lock *(u32 *)({value} + 0) += {more}",
            value = in(reg) value,
            more = in(reg) more,
            options(nostack),
        );
    }
}

/// Puts a number in place of another in one step (Linux 5.12).
///
/// Rust has no such operation for BPF, which LLVM and the kernel know.
#[inline(always)]
pub(crate) fn exchange(slot: *mut u64, number: u64) -> u64 {
    let mut number = number;
    // SAFETY: the slot is a map's value, which lives as long as the program runs.
    unsafe {
        core::arch::asm!(
            "{number} = xchg_64({slot} + 0, {number})",
            slot = in(reg) slot,
            number = inout(reg) number,
            options(nostack),
        );
    }
    number
}
