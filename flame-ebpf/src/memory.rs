//! Reading memory: the target's stack, and the kernel's own structs.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};
use flame_common::unwind::Memory;

/// The stack of the current task.
pub(crate) struct UserStack;

impl Memory for UserStack {
    #[inline(always)]
    fn pair(&self, address: u64) -> Option<(u64, u64)> {
        // SAFETY: the helper checks the address and fails on one that is not mapped in.
        let words: [u64; 2] = unsafe { bpf_probe_read_user(address as *const [u64; 2]) }.ok()?;
        Some((words[0], words[1]))
    }
}

/// The value at `base + offset` in kernel memory.
#[inline(always)]
pub(crate) fn kernel<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address and fails on one that is not mapped; every type that
    // is read here is an integer, valid for any bits.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(u64::from(offset)) as *const T) }.ok()
}
