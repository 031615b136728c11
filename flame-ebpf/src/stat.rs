//! Counting.

use flame_common::stat::Stat;

use crate::maps::STATS;

/// Adds one to a counter of this CPU.
#[inline(always)]
pub(crate) fn bump(stat: Stat) {
    add(stat, 1);
}

/// Adds to a counter.
#[inline(always)]
pub(crate) fn add(stat: Stat, more: u64) {
    if let Some(count) = STATS.get_ptr_mut(stat as u32) {
        // SAFETY: the slot is this CPU's own; a program that interrupts this one on the same CPU
        // could lose a count, and none does: each CPU runs one sampling program at a time.
        unsafe { *count += more };
    }
}
