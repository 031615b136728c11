//! What the targets and the probes used.

use std::collections::HashMap;

use super::governor::Usage;
use crate::bpf::{HeapCounts, HeapSwitch};
use crate::process;
use crate::session::cgroups::Cgroups;

/// Adds up what was used.
#[derive(Debug)]
pub(super) struct Meter {
    processes: Processes,
    /// The cgroups that are targets, if there are some.
    cgroups: Cgroups,
    /// What had been counted when it began: flame's own code is hit to see what that costs.
    before: Usage,
}

impl Meter {
    /// Counts from now on.
    pub(super) fn new(switch: &HeapSwitch, cgroups: Cgroups) -> Self {
        let before = Usage::default();
        let mut meter = Self { processes: Processes::default(), cgroups, before };
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
                0 => Some(self.cgroups.cpu_ns()),
                pid => process::cpu_ns(pid),
            };
            if let Some(now) = now {
                self.processes.read(pid, now);
            }
        }
        Usage { cpu_ns: self.processes.cpu_ns as f64, ..used }
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

    /// A process began under the session, and all of its CPU time counts.
    pub(super) fn begin(&mut self, pid: u32) {
        self.processes.begin(pid);
    }

    /// A thread of a process has ended, which had used so much.
    pub(super) fn end_thread(&mut self, pid: u32, cpu_ns: u64) {
        self.processes.end_thread(pid, cpu_ns);
    }

    /// All processes have been looked at of which threads have ended.
    pub(super) fn forget_others(&mut self) {
        self.processes.forget_others();
    }

    /// A process has gone.
    pub(super) fn forget(&mut self, pid: u32) {
        self.processes.forget(pid);
    }
}

/// The CPU time of processes that come and go, in nanoseconds.
#[derive(Debug, Default)]
struct Processes {
    all: HashMap<u32, OfProcess>,
    cpu_ns: u64,
}

/// What is known of a process.
#[derive(Debug, Default)]
struct OfProcess {
    /// What it had used when it was last read.
    seen: Option<u64>,
    /// What its threads that ended had.
    ended: u64,
    began_here: bool,
}

impl Processes {
    fn begin(&mut self, pid: u32) {
        self.all.entry(pid).or_default().began_here = true;
    }

    fn read(&mut self, pid: u32, now: u64) {
        let of = self.all.entry(pid).or_default();
        // What it used before the session is not counted.
        let at_first = if of.began_here { 0 } else { now };
        let before = of.seen.replace(now).unwrap_or(at_first);
        self.cpu_ns += now.saturating_sub(before);
    }

    fn end_thread(&mut self, pid: u32, cpu_ns: u64) {
        // It may be heard of before its process.
        self.all.entry(pid).or_default().ended += cpu_ns;
    }

    /// Processes that had no probes up to their end leave nothing: their pids may come again.
    fn forget_others(&mut self) {
        self.all.retain(|_, of| of.began_here || of.seen.is_some());
    }

    /// What it used since it was last read is what its threads had at their ends; of one that began
    /// before the session nobody knows the ends of all.
    fn forget(&mut self, pid: u32) {
        let Some(of) = self.all.remove(&pid) else { return };
        if of.began_here {
            self.cpu_ns += of.ended.saturating_sub(of.seen.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_began_here_counts_from_its_birth_to_its_end() {
        let mut processes = Processes::default();
        // One that was there before counts from its first reading to its last.
        processes.read(1, 500);
        processes.read(1, 700);
        assert_eq!(processes.cpu_ns, 200);
        processes.end_thread(1, 900);
        processes.forget(1);
        assert_eq!(processes.cpu_ns, 200);
        // A child, a thread of which ends before it is known for one.
        processes.end_thread(2, 10);
        processes.begin(2);
        processes.read(2, 40);
        assert_eq!(processes.cpu_ns, 240);
        processes.end_thread(2, 50);
        processes.forget(2);
        assert_eq!(processes.cpu_ns, 260);
        // Another of the same pid, which is never read.
        processes.begin(2);
        processes.end_thread(2, 30);
        processes.forget(2);
        assert_eq!(processes.cpu_ns, 290);
        assert!(processes.all.is_empty());
        // One that ended before it was looked at, and another of its pid.
        processes.end_thread(3, 1000);
        processes.forget_others();
        processes.begin(3);
        processes.end_thread(3, 5);
        processes.forget_others();
        processes.forget(3);
        assert_eq!(processes.cpu_ns, 295);
    }
}
