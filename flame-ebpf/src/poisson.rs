//! Which bytes are sampled, by a countdown of each CPU; see `flame_common::poisson`. And the numbers
//! by which samples are told apart.

use aya_ebpf::helpers::generated::{
    bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_ktime_get_ns,
};
use aya_ebpf::maps::{Array, PerCpuArray};
use flame_common::block::{Countdown, HeapControl};

/// More bytes than an address space has: a call for so many fails.
const IMPOSSIBLE: u64 = 1 << 47;

/// Takes bytes off the CPU's countdown; the interval by which they are sampled, if they are.
#[inline(always)]
pub(crate) fn sampled(
    size: u64,
    control: &'static Array<HeapControl>,
    countdown: &'static PerCpuArray<Countdown>,
) -> Option<u64> {
    let control = control.get_ptr(0)?;
    // SAFETY: user space replaces the word as a whole.
    let interval = unsafe { (&raw const (*control).interval).read_volatile() };
    if interval == 0 || size >= IMPOSSIBLE {
        return None;
    }
    // SAFETY: the slot is this CPU's own. Another task that preempts this one here makes it lose
    // its bytes, or draw once more, whatever they are: the distance that is left is as random.
    let countdown = unsafe { &mut *countdown.get_ptr_mut(0)? };
    // SAFETY: the helper takes nothing and cannot fail.
    let random = || unsafe { bpf_get_prandom_u32() };
    countdown.passes(size, interval, random).then_some(interval)
}

/// A number that no other sample has: a CPU takes no two in a nanosecond.
#[inline(always)]
pub(crate) fn new_id() -> u64 {
    // SAFETY: the helpers take nothing and cannot fail.
    unsafe { bpf_ktime_get_ns() << CPU_BITS | u64::from(bpf_get_smp_processor_id()) }
}

/// Bits for the number of a CPU (the kernel's own limit on x86-64 is 8192); what is left of the
/// time comes again after 26 days, which no block's number needs to outlast.
const CPU_BITS: u32 = 13;
