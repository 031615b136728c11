//! Processes that come and go: children of targets become targets, the dead are taken out, and
//! a process that takes a name asked for becomes one.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_ktime_get_ns};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::{debug, warn};
use flame_common::mapping::ProcessRun;
use flame_common::sample::{SampleHeader, SampleKind};
use flame_common::stat::Stat;

use crate::collect::{self, Measured};
use crate::config::config;
use crate::filter::wanted;
use crate::maps::{NAMES, PROCESSES, TARGETS};
use crate::stat::bump;
use crate::task::{self, Ids};
use crate::{emit, known, scratch};

/// The flag of clone(2) for a new thread of the same process.
const CLONE_THREAD: u64 = 0x0001_0000;

/// `task_newtask(struct task_struct *task, u64 clone_flags)`, in the parent's context, before the
/// child first runs.
#[raw_tracepoint(tracepoint = "task_newtask")]
fn process_fork(ctx: RawTracePointContext) -> i32 {
    let (child, flags) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    let (Some(parent), Some(child_ids)) = (task::current_ids(), task::ids_of(child)) else {
        return 0;
    };
    // The child has its parent's memory.
    // SAFETY: read once; values are replaced as a whole.
    if let Some(run) = unsafe { PROCESSES.get(parent.pid) }.copied() {
        tell_mappings(child_ids, run);
    }
    // SAFETY: the value is not read; its slot may be reused meanwhile.
    if config!(follow_children) != 0 && unsafe { TARGETS.get(parent.pid) }.is_some() {
        add(&ctx, child_ids, child);
        tell_begun(child_ids);
    }
    0
}

/// `sched_process_exec(struct task_struct *task, ...)`: the name is the new one by now.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn process_exec(ctx: RawTracePointContext) -> i32 {
    let (Some(ids), Ok(comm)) = (task::current_ids(), bpf_get_current_comm()) else {
        return 0;
    };
    // SAFETY: read once, or not at all; slots may be reused meanwhile.
    let (named, known, mapped) = unsafe {
        let known = TARGETS.get(ids.pid).copied();
        (NAMES.get(comm).is_some(), known, PROCESSES.get(ids.pid).is_some())
    };
    // Its memory is another now. User space, which is told later, must not think otherwise.
    if mapped || named || known.is_some() || config!(all) != 0 {
        // SAFETY: the helper takes nothing and cannot fail.
        let exec_ns = unsafe { bpf_ktime_get_ns() };
        let nothing = ProcessRun { exec_ns, ..ProcessRun::default() };
        tell_mappings(ids, nothing);
    }
    match known {
        // Of the thread that is the first now, which it need not have been; see `process_free`.
        Some(leader) if leader != 0 => _ = TARGETS.insert(ids.pid, task::current(), 0),
        None if named => add(&ctx, ids, 0),
        _ => {}
    }
    if named || known.is_some() {
        tell_begun(ids);
    }
    0
}

/// `sched_process_free(struct task_struct *task)`: the leader's comes after every other thread
/// and after the exit's own work, which is still the process's.
#[raw_tracepoint(tracepoint = "sched_process_free")]
fn process_free(ctx: RawTracePointContext) -> i32 {
    let task = ctx.arg::<u64>(0);
    // A dead task has left its pid namespaces; its numbers in the machine's own stay readable.
    // In another namespace user space takes the target out.
    if config!(pid_namespace_inode) != 0 {
        return 0;
    }
    let Some(ids) = task::ids_of(task) else {
        return 0;
    };
    if ids.pid != ids.tid {
        return 0;
    }
    // Not there if nobody told its mappings.
    let was_mapped = PROCESSES.remove(ids.pid).is_ok();
    // SAFETY: read once; an entry that a new process of this number put in holds another address.
    let leader = unsafe { TARGETS.get(ids.pid) }.copied();
    if leader.is_some_and(|leader| leader == 0 || leader == task) {
        // Gone already if another CPU was first.
        _ = TARGETS.remove(ids.pid);
    }
    if was_mapped || leader.is_some() {
        known::changed();
    }
    0
}

/// `sched_process_exit(struct task_struct *task, ...)`: since Linux 6.16 the memory is still there, and
/// before that the CPU time alone can be told.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn thread_exit(_: RawTracePointContext) -> i32 {
    let Some(ids) = task::current_ids() else {
        return 0;
    };
    if !wanted(ids) {
        return 0;
    }
    let ran_ns = task::runtime(task::current()).unwrap_or_default();
    let leaving = Measured::plain(SampleKind::Leaving, ran_ns);
    let has_stack = scratch::take().is_some_and(|(mut scratch, place)| {
        let has_stack = task::saved_user_registers(&mut scratch.walk.registers);
        if has_stack {
            collect::send(&mut scratch, &leaving, ids, true, |registers| {
                task::saved_user_registers(registers);
            });
        }
        scratch::give_back(place);
        has_stack
    });
    if !has_stack {
        let header = emit::header(SampleKind::Leaving, ids);
        emit::send_header(&SampleHeader { value: ran_ns, ..header }, false);
    }
    0
}

#[inline(always)]
fn tell_mappings(ids: Ids, run: ProcessRun) {
    if PROCESSES.insert(ids.pid, run, 0).is_err() {
        bump(Stat::ProcessesFull);
    }
    known::changed();
}

/// Wakes user space, which puts probes into what begins.
#[inline(always)]
fn tell_begun(ids: Ids) {
    if config!(tell_begun) != 0 {
        // Without room it is woken anyway.
        emit::send_header(&emit::header(SampleKind::Begun, ids), true);
    }
}

#[inline(always)]
fn add(ctx: &RawTracePointContext, ids: Ids, leader: u64) {
    let added = TARGETS.insert(ids.pid, leader, 0).is_ok();
    if !added {
        bump(Stat::TargetsFull);
    }
    if config!(verbose) != 0 {
        if added {
            debug!(ctx, "target added: pid {}", ids.pid);
        } else {
            warn!(ctx, "target set full: pid {} is not followed", ids.pid);
        }
    }
}
