//! The clock of probes' traps: which share of the targets' time they take, and how long the targets
//! run. It runs while probes are open for a moment, and takes no samples.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{perf_event, raw_tracepoint};
use aya_ebpf::programs::{PerfEventContext, RawTracePointContext};
use flame_common::cpu_time::{Run, Switch};
use flame_common::stat::Stat;

use crate::filter::{has_probes, known_target, wanted};
use crate::maps::{CLOCK_SINCE, CPU_TIME, PROBED};
use crate::stat::bump;
use crate::task;

#[perf_event]
fn trap_tick(ctx: PerfEventContext) -> u32 {
    let by_target = target_runs();
    if by_target {
        if let Some(time) = CPU_TIME.get_ptr_mut(0) {
            // SAFETY: the slot is this CPU's own, and what writes to it runs with interrupts off.
            // The helper takes nothing and cannot fail.
            unsafe { (*time).tick(bpf_ktime_get_ns()) }
        }
        // SAFETY: the kernel passes a pointer to this struct, valid while the program runs.
        let event = unsafe { &*ctx.ctx };
        count(task::user_ip(&event.regs));
    }
    0
}

/// `sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next, ...)`: `prev` is
/// the current task still. (The software event of switches does not do: a kernel was seen that has
/// none where the idle task of one of its CPUs gives way.)
#[raw_tracepoint(tracepoint = "sched_switch")]
fn trap_switch(ctx: RawTracePointContext) -> i32 {
    if let Some(since_ns) = fast_since()
        && let Some(time) = CPU_TIME.get_ptr_mut(0)
    {
        // SAFETY: the helper takes nothing and cannot fail.
        let at_ns = unsafe { bpf_ktime_get_ns() };
        let (from, to) = (ctx.arg(1), ctx.arg(2));
        let run = |task, is_target| {
            // Without the scheduler's account, by the time.
            Run { task, run_ns: task::runtime(task).unwrap_or(at_ns), is_target }
        };
        let (from, to) = (run(from, target_runs()), run(to, is_target(to)));
        let switch = Switch { at_ns, from, to };
        // SAFETY: as above.
        unsafe { (*time).switch(switch, since_ns) }
    }
    0
}

#[inline(always)]
fn fast_since() -> Option<u64> {
    let since_ns = CLOCK_SINCE.get_ptr(0)?;
    // SAFETY: user space replaces the word as a whole.
    let since_ns = unsafe { since_ns.read_volatile() };
    (since_ns != 0).then_some(since_ns)
}

/// Whether a task that is not the current one is known for a target with probes.
#[inline(always)]
fn is_target(task: u64) -> bool {
    task::ids_of(task).is_some_and(|ids| has_probes(ids) && known_target(ids))
}

#[inline(always)]
fn target_runs() -> bool {
    !task::is_idle() && task::current_ids().is_some_and(|ids| has_probes(ids) && wanted(ids))
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
