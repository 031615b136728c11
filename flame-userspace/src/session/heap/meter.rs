//! What the targets and the probes used.

use std::collections::HashMap;
use std::time::Instant;

use super::governor::Usage;
use crate::bpf::{HeapCounts, HeapSwitch, Pace};
use crate::process;

/// Adds up the CPU time of processes that come and go.
#[derive(Debug)]
pub(super) struct Meter {
    seen: HashMap<u32, u64>,
    cpu_ns: u64,
    counted_at: Instant,
    /// What had been counted when it began: flame's own code is hit to see what that costs.
    before: Usage,
}

impl Meter {
    /// Counts from now on.
    pub(super) fn new(switch: &HeapSwitch) -> Self {
        let (counted_at, before) = (Instant::now(), Usage::default());
        let mut meter = Self { seen: HashMap::new(), cpu_ns: 0, counted_at, before };
        meter.before = meter.read(std::iter::empty(), switch);
        meter
    }

    /// What was used up to now by these processes (0 stands for all of the machine's).
    pub(super) fn read(&mut self, pids: impl Iterator<Item = u32>, switch: &HeapSwitch) -> Usage {
        // First what changes fastest.
        let HeapCounts { hits, frees, ticks, ticks_in_traps, sampling_ns } = switch.counts();
        self.counted_at = Instant::now();
        for pid in pids {
            let now = if pid == 0 { process::machine_cpu_ns() } else { process::cpu_ns(pid) };
            let Some(now) = now else { continue };
            // What it used before it was first seen is not counted.
            let before = self.seen.insert(pid, now).unwrap_or(now);
            self.cpu_ns += now.saturating_sub(before);
        }
        let used = Usage {
            hits: hits as f64,
            frees: frees as f64,
            cpu_ns: self.cpu_ns as f64,
            ticks: ticks as f64,
            ticks_in_traps: ticks_in_traps as f64,
            sampling_ns: sampling_ns as f64,
        };
        used.since(self.before)
    }

    /// The moment up to which the last reading counted hits and ticks.
    pub(super) fn counted_at(&self) -> Instant {
        self.counted_at
    }

    /// A process has gone.
    pub(super) fn forget(&mut self, pid: u32) {
        self.seen.remove(&pid);
    }
}

/// The clock of traps as a measure of CPU time. The kernel keeps a running process's own clock to its
/// scheduler's tick alone, 4 ms or 10 ms as a rule (`thread_group_cputime` in `kernel/sched/cputime.c`):
/// it stands still through whole windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticking {
    since: Instant,
    period_ns: f64,
}

impl Ticking {
    /// It was started at this moment, and ticks on each CPU a period later for the first time.
    pub(super) fn begun(since: Instant, pace: Pace) -> Self {
        Self { since, period_ns: 1e9 / pace.frequency() as f64 }
    }

    /// How many CPUs those used that so many of its ticks met between two moments; `None` if no CPU
    /// had one. What part of a period is over at either moment is the same on all CPUs, so that the
    /// ticks there were are known, and the share of them tells.
    pub(super) fn cpus(&self, ticks: f64, from: Instant, to: Instant) -> Option<f64> {
        let at = |moment: Instant| {
            moment.saturating_duration_since(self.since).as_nanos() as f64 / self.period_ns
        };
        let all = at(to).floor() - at(from).floor();
        (all > 0.0).then(|| ticks / all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ticks_tell_the_cpu_time_between_any_two_moments() {
        let start = Instant::now();
        let clock = Ticking::begun(start, Pace::Fast);
        let period = 1e9 / Pace::Fast.frequency() as f64;
        for (from, to) in [(0.02, 12.4), (0.02, 12.9), (3.7, 9.1), (3.2, 9.9)] {
            let moment = |periods: f64| start + Duration::from_nanos((periods * period) as u64);
            // A thread that runs all the time meets each tick, and two of them twice as many.
            let ticks = f64::floor(to) - f64::floor(from);
            for threads in [1.0, 2.0] {
                let cpus = clock.cpus(threads * ticks, moment(from), moment(to)).expect("ticks");
                assert!((cpus - threads).abs() < 1e-9, "{from} to {to}: {cpus}");
            }
        }
        assert_eq!(clock.cpus(0.0, start, start + Duration::from_nanos(10)), None);
    }
}
