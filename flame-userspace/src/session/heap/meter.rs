//! What the targets and the probes used.

use std::collections::HashMap;

use super::governor::Usage;
use crate::bpf::{HeapCounts, HeapSwitch};
use crate::process;
use crate::session::cgroups::Cgroups;

/// Adds up the CPU time of processes that come and go.
#[derive(Debug)]
pub(super) struct Meter {
    seen: HashMap<u32, u64>,
    /// Of processes that began under the session, what their threads that ended had used.
    born: HashMap<u32, u64>,
    /// The cgroups that are targets, if there are some.
    cgroups: Cgroups,
    cpu_ns: u64,
    /// What had been counted when it began: flame's own code is hit to see what that costs.
    before: Usage,
}

impl Meter {
    /// Counts from now on.
    pub(super) fn new(switch: &HeapSwitch, cgroups: Cgroups) -> Self {
        let mut meter = Self {
            seen: HashMap::new(),
            born: HashMap::new(),
            cgroups,
            cpu_ns: 0,
            before: Usage::default(),
        };
        meter.before = meter.read(std::iter::empty(), switch);
        meter
    }

    /// What was used up to now by these processes (0 stands for all of the targets).
    pub(super) fn read(&mut self, pids: impl Iterator<Item = u32>, switch: &HeapSwitch) -> Usage {
        // First what changes fastest.
        let used = self.count(Usage::default(), switch);
        for pid in pids {
            let now = match pid {
                0 if self.cgroups.is_empty() => process::machine_cpu_ns(),
                0 => self.cgroups.cpu_ns(),
                pid => process::cpu_ns(pid),
            };
            let Some(now) = now else { continue };
            // What it used before the session is not counted.
            let at_first = if self.born.contains_key(&pid) { 0 } else { now };
            let before = self.seen.insert(pid, now).unwrap_or(at_first);
            self.cpu_ns += now.saturating_sub(before);
        }
        Usage { cpu_ns: self.cpu_ns as f64, ..used }
    }

    /// The same with what was counted up to now.
    pub(super) fn count(&self, used: Usage, switch: &HeapSwitch) -> Usage {
        let HeapCounts { hits, frees, ticks, ticks_in_traps, sampling_ns } = switch.counts();
        let counted = Usage {
            hits: hits as f64,
            frees: frees as f64,
            cpu_ns: used.cpu_ns,
            ticks: ticks as f64,
            ticks_in_traps: ticks_in_traps as f64,
            sampling_ns: sampling_ns as f64,
        };
        counted.since(self.before)
    }

    /// A process began under the session.
    pub(super) fn begin(&mut self, pid: u32) {
        self.born.entry(pid).or_default();
    }

    /// A thread of a process has ended, which had used so much.
    pub(super) fn end_thread(&mut self, pid: u32, cpu_ns: u64) {
        if let Some(ended) = self.born.get_mut(&pid) {
            *ended += cpu_ns;
        }
    }

    /// A process has gone. What it used since it was last looked at is what its threads had at their
    /// ends; of one that began before the session nobody knows the ends of all.
    pub(super) fn forget(&mut self, pid: u32) {
        let seen = self.seen.remove(&pid);
        if let Some(ended) = self.born.remove(&pid) {
            self.cpu_ns += ended.saturating_sub(seen.unwrap_or_default());
        }
    }
}
