//! The sampling event of a CPU: its clock, or a hardware counter.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use flame_common::sample::SampleKind;
use flame_common::stat::Stat;

use crate::collect::{Measured, collect};
use crate::scratch;
use crate::stat::bump;
use crate::task;

#[perf_event]
fn cpu_sample(ctx: PerfEventContext) -> u32 {
    let Some(mut scratch) = scratch::of_event() else {
        return 0;
    };
    if task::is_idle() {
        return 0;
    }
    let Some(ids) = task::current_ids() else {
        bump(Stat::NoPid);
        return 0;
    };
    // Before anything is read from afar, for which this would wait.
    // SAFETY: the helper takes nothing and cannot fail.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    if scratch.walk.known.is_wanted(ids) {
        // SAFETY: the kernel passes a pointer to this struct, valid while the program runs.
        let event = unsafe { &*ctx.ctx };
        let measured = Measured::plain(SampleKind::Cpu, event.sample_period);
        collect(&ctx, &measured, ids, &event.regs, &mut scratch, time_ns);
    }
    0
}
