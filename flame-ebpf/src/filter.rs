//! Whether the current task is one to sample. The first thing asked on every event.

use aya_ebpf::helpers::{bpf_get_current_uid_gid, generated};

use crate::config::config;
use crate::maps::{HEAP_TARGETS, TARGETS};
use crate::memory::kernel;
use crate::task::{self, Ids};

/// Whether the task with these ids, the current one, is a target.
#[inline(always)]
pub(crate) fn wanted(ids: Ids) -> bool {
    // SAFETY: the value is not read; its slot may be reused meanwhile.
    let is_target = || unsafe { TARGETS.get(ids.pid) }.is_some();
    allowed() && (config!(all) != 0 || is_target() || in_target_cgroup())
}

/// Whether a task with these ids is known for a target whichever task is the current one: of users
/// and cgroups that one alone can be asked.
#[inline(always)]
pub(crate) fn known_target(ids: Ids) -> bool {
    // SAFETY: the value is not read; its slot may be reused meanwhile.
    let is_target = || unsafe { TARGETS.get(ids.pid) }.is_some();
    config!(only_uid) == 0 && ids.pid != 0 && (config!(all) != 0 || is_target())
}

/// Whether the allocator of the process with these ids is probed: a target's is not in its first
/// moments.
#[inline(always)]
pub(crate) fn has_probes(ids: Ids) -> bool {
    // SAFETY: the values are not read; their slots may be reused meanwhile.
    unsafe { HEAP_TARGETS.get(ids.pid).is_some() || HEAP_TARGETS.get(0).is_some() }
}

/// Notes that it is: user space knows it some milliseconds after the first hit.
#[inline(always)]
pub(crate) fn note_probes(ids: Ids) {
    if !has_probes(ids) {
        // Without room user space tells that it could not add it either.
        _ = HEAP_TARGETS.insert(ids.pid, 1, 0);
    }
}

/// Whether the current task may be sampled, if it is a target.
#[inline(always)]
pub(crate) fn allowed() -> bool {
    config!(only_uid) == 0 || is_users_own(config!(uid))
}

/// Whether the current task runs as `uid` and as nobody else: not a set-user-ID program of
/// another user, which `uid` could not trace.
#[inline(always)]
fn is_users_own(uid: u32) -> bool {
    let effective_and_saved = || -> Option<(u32, u32)> {
        let cred: u64 = kernel(task::current(), config!(offsets.task_cred))?;
        let euid = kernel(cred, config!(offsets.cred_euid))?;
        Some((euid, kernel(cred, config!(offsets.cred_suid))?))
    };
    bpf_get_current_uid_gid() as u32 == uid && effective_and_saved() == Some((uid, uid))
}

#[inline(always)]
fn in_target_cgroup() -> bool {
    let count = config!(cgroup_count);
    for index in 0..flame_common::limits::CGROUPS {
        if index as u32 >= count {
            break;
        }
        let level = config!(cgroups[index].level) as i32;
        // SAFETY: the helper takes a number and returns 0 for a level that is not there.
        let id = unsafe { generated::bpf_get_current_ancestor_cgroup_id(level) };
        if id == config!(cgroups[index].id) {
            return true;
        }
    }
    false
}
