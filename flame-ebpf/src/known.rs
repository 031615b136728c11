//! The process that the CPU's clock met last. Most samples meet the same one again, and to ask the
//! hash maps costs as much as half of a walk: their memory is seldom in the CPU's caches.

use flame_common::mapping::ProcessRun;

use crate::config::config;
use crate::filter::{allowed, wanted};
use crate::maps::{CHANGES, PROCESSES};
use crate::memory::add_shared;
use crate::task::Ids;

/// What is known of a process.
#[repr(C)]
pub(crate) struct Known {
    /// Its mappings.
    pub(crate) run: ProcessRun,
    /// Its pid, if it is a target by the maps alone; else 0.
    pid: u32,
    /// The number of changes before which it was asked.
    changes: u32,
}

impl Known {
    /// Looks up a process that is a target.
    #[inline(always)]
    pub(crate) fn look_up(&mut self, ids: Ids) {
        self.pid = 0;
        // SAFETY: read once; it is replaced as a whole.
        self.run = unsafe { PROCESSES.get(ids.pid) }.copied().unwrap_or_default();
    }

    /// Whether the current task, of these ids, is one to sample: then it is looked up, unless it is
    /// the one that was looked up last and nothing has changed since.
    #[inline(always)]
    pub(crate) fn is_wanted(&mut self, ids: Ids) -> bool {
        // First the number: what changes while the maps are asked is not missed.
        let changes = changes();
        if self.pid == ids.pid && self.changes == changes {
            return allowed();
        }
        if !wanted(ids) {
            return false;
        }
        self.look_up(ids);
        // A task may leave its cgroup, and no program is told.
        if config!(cgroup_count) == 0 {
            (self.pid, self.changes) = (ids.pid, changes);
        }
        true
    }
}

#[inline(always)]
fn changes() -> u32 {
    let of = |index| {
        // SAFETY: the slot is a map's value, which lives as long as the program runs.
        CHANGES.get_ptr(index).map_or(0, |changes| unsafe { changes.read_volatile() })
    };
    // The sum grows with each change, by whomever.
    of(0).wrapping_add(of(1))
}

/// Says that an entry of the maps has become another: what was found in them before does not hold any
/// more.
#[inline(always)]
pub(crate) fn changed() {
    if let Some(changes) = CHANGES.get_ptr_mut(0) {
        add_shared(changes, 1);
    }
}
