//! What the targets and the probes used.

use std::collections::HashMap;

use super::governor::Usage;
use crate::bpf::{HeapCounts, HeapSwitch};
use crate::process;

/// Adds up the CPU time of processes that come and go.
#[derive(Debug)]
pub(super) struct Meter {
    seen: HashMap<u32, u64>,
    cpu_ns: u64,
    /// What had been counted when it began: flame's own code is hit to see what that costs.
    before: Usage,
}

impl Meter {
    /// Counts from now on.
    pub(super) fn new(switch: &HeapSwitch) -> Self {
        let mut meter = Self { seen: HashMap::new(), cpu_ns: 0, before: Usage::default() };
        meter.before = meter.read(std::iter::empty(), switch);
        meter
    }

    /// What was used up to now by these processes (0 stands for all of the machine's).
    pub(super) fn read(&mut self, pids: impl Iterator<Item = u32>, switch: &HeapSwitch) -> Usage {
        // First what changes fastest.
        let used = self.count(Usage::default(), switch);
        for pid in pids {
            let now = if pid == 0 { process::machine_cpu_ns() } else { process::cpu_ns(pid) };
            let Some(now) = now else { continue };
            // What it used before it was first seen is not counted.
            let before = self.seen.insert(pid, now).unwrap_or(now);
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

    /// A process has gone.
    pub(super) fn forget(&mut self, pid: u32) {
        self.seen.remove(&pid);
    }
}
