//! How much memory of the targets is resident: when they were first seen, and now; to tell how
//! much of it the profile explains.

use std::collections::{HashMap, HashSet};

use crate::heap::Explained;
use crate::process::{ProcessId, ProcessTable, Resident, resident};

/// How often it is looked at, in nanoseconds.
const EVERY_NS: u64 = 500_000_000;
/// The most processes that are looked at.
const MOST: usize = 64;
/// The most processes that are told of.
const MOST_TOLD: usize = 3;

/// The memory of the targets.
#[derive(Debug, Default)]
pub(super) struct Residency {
    /// The processes that are targets, where not all are that the session knows.
    of: Option<HashSet<ProcessId>>,
    /// Of processes that ran before the session.
    before: HashMap<ProcessId, Resident>,
    last: HashMap<ProcessId, Resident>,
    looked_ns: u64,
}

impl Residency {
    /// Of the processes that are told to be targets alone.
    pub(super) fn of_some() -> Self {
        Self { of: Some(HashSet::new()), ..Self::default() }
    }

    /// A process is a target.
    pub(super) fn add(&mut self, process: ProcessId) {
        if let Some(of) = &mut self.of {
            of.insert(process);
        }
    }

    /// Looks at the processes that run before the session.
    pub(super) fn begin(&mut self, processes: &ProcessTable) {
        self.look(processes);
        self.before.clone_from(&self.last);
    }

    /// Looks at the processes, unless that was a moment ago.
    pub(super) fn update(&mut self, processes: &ProcessTable, now_ns: u64) {
        if now_ns.saturating_sub(self.looked_ns) >= EVERY_NS {
            self.looked_ns = now_ns;
            self.look(processes);
        }
    }

    fn look(&mut self, processes: &ProcessTable) {
        let is_target = |id: &ProcessId| self.of.as_ref().is_none_or(|of| of.contains(id));
        for process in processes.current_ids().filter(is_target).take(MOST) {
            if let Some(found) = resident(processes.get(process).pid) {
                self.last.insert(process, found);
            }
        }
    }

    /// A process runs another program.
    pub(super) fn exec(&mut self, process: ProcessId) {
        self.before.remove(&process);
        self.last.remove(&process);
    }

    /// A part ended: who has ended is told of in no other.
    pub(super) fn leave_ended(&mut self, processes: &ProcessTable) {
        self.before.retain(|&process, _| processes.is_current(process));
        self.last.retain(|&process, _| processes.is_current(process));
    }

    /// How much of the processes' memory is explained by what is in use: of the largest.
    pub(super) fn explained(
        &mut self,
        in_use: &HashMap<ProcessId, f64>,
        processes: &ProcessTable,
    ) -> Vec<(ProcessId, Explained)> {
        self.look(processes);
        let mut all: Vec<_> = self.last.iter().collect();
        all.sort_unstable_by_key(|(id, now)| (std::cmp::Reverse(now.anonymous), **id));
        let explained = all.into_iter().take(MOST_TOLD).map(|(&id, &now)| {
            let in_use = in_use.get(&id).copied().unwrap_or(0.0) as u64;
            (id, Explained { in_use, before: self.before.get(&id).copied(), now })
        });
        explained.collect()
    }
}

/// The same as lines for the profile's comments.
pub(super) fn lines(explained: &[(ProcessId, Explained)], processes: &ProcessTable) -> Vec<String> {
    let line = |(id, explained): &(ProcessId, Explained)| {
        let process = processes.get(*id);
        let runs = processes.is_current(*id);
        let ended = if runs { "" } else { " (it has ended: as last seen)" };
        format!("memory: {} (pid {}): {explained}{ended}", process.comm, process.pid)
    };
    explained.iter().map(line).collect()
}
