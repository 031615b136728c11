//! The clock of probes' traps: which share of the targets' time they take. It runs while probes are
//! open for a moment, and takes no samples.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use flame_common::stat::Stat;

use crate::filter::wanted;
use crate::maps::PROBED;
use crate::stat::bump;
use crate::task;

#[perf_event]
fn trap_tick(ctx: PerfEventContext) -> u32 {
    if task::is_idle() {
        return 0;
    }
    if let Some(ids) = task::current_ids()
        && wanted(ids)
    {
        // SAFETY: the kernel passes a pointer to this struct, valid while the program runs.
        let event = unsafe { &*ctx.ctx };
        count(task::user_ip(&event.regs));
    }
    0
}

#[inline(always)]
fn count(ip: u64) {
    bump(Stat::Ticks);
    if let Some(places) = PROBED.get_ptr(0) {
        // SAFETY: the slot is this CPU's own; a probe's program that this one interrupts may have
        // written half of an entry, which makes one tick wrong at most.
        let places = unsafe { &*places };
        if places.is_trap(ip) {
            bump(Stat::TicksInTraps);
        }
    }
}
