//! The clock of probes' traps: an event on each CPU that counts, while it runs, how often it finds
//! a target, and how often in a probe's trap. It ticks fast while probes are open for a moment, and
//! slowly while they are open for long. While it ticks fast, the targets' CPU time is known too, by
//! its ticks and the switches between tasks.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, PerCpuArray};
use aya_obj::generated::bpf_cmd;
use flame_common::cpu_time::CpuTime;

use super::call::{bpf, zeroed};
use super::perf::{Event, SamplingEvent};

/// Ticks a second of a CPU: eight in a window. In a virtual machine one may take 15 to 24 us.
const FAST: u64 = 2_000;
/// Likewise: thousandths of a CPU's time.
const SLOW: u64 = 97;

/// How fast the clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// For a moment.
    Fast,
    /// For long.
    Slow,
}

impl Pace {
    /// Ticks a second of a CPU.
    pub(crate) const fn frequency(self) -> u64 {
        match self {
            Self::Fast => FAST,
            Self::Slow => SLOW,
        }
    }
}

/// The clock. It stands still at first.
pub(crate) struct TrapClock {
    events: Vec<SamplingEvent>,
    /// `None` where there are no windows.
    on_switch: Option<OwnedFd>,
    /// The program in place, once the clock has been fast: the kernel runs it at each switch of the
    /// machine, where it asks whether the clock is.
    switches: Option<OwnedFd>,
    /// Since when it is fast, as the programs know it, or 0.
    since: Array<MapData, u64>,
    since_ns: u64,
    cpu_times: PerCpuArray<MapData, CpuTime>,
}

/// What the targets used up to a moment, from one that does not matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuUse {
    at_ns: u64,
    used_ns: u64,
}

impl CpuUse {
    /// How many CPUs the targets used since `earlier`.
    pub(crate) fn cpus_since(self, earlier: Self) -> Option<f64> {
        let elapsed = self.at_ns.checked_sub(earlier.at_ns).filter(|&elapsed| elapsed > 0)?;
        // A CPU writes its time while it is read.
        let used = self.used_ns.wrapping_sub(earlier.used_ns).cast_signed().max(0);
        Some(used as f64 / elapsed as f64)
    }
}

impl TrapClock {
    /// Opens it on these CPUs, for the programs `trap_tick` and `trap_switch` and their maps.
    pub(super) fn open(
        on_tick: &OwnedFd,
        on_switch: Option<OwnedFd>,
        since: Array<MapData, u64>,
        cpu_times: PerCpuArray<MapData, CpuTime>,
        cpus: &[u32],
    ) -> Result<Self> {
        let open = |&cpu| SamplingEvent::open(Event::CpuClock, SLOW, cpu, on_tick.as_fd());
        let events: std::io::Result<_> = cpus.iter().map(open).collect();
        let events = events.context("open the clock of probes' traps")?;
        Ok(Self { events, on_switch, switches: None, since, since_ns: 0, cpu_times })
    }

    /// Has it run from now on (`CLOCK_MONOTONIC`, nanoseconds).
    pub(crate) fn start(&mut self, pace: Pace, now_ns: u64) -> Result<()> {
        let watched = match pace {
            Pace::Fast => self.watch_switches().and_then(|()| self.set_since(now_ns)),
            Pace::Slow => self.set_since(0),
        };
        let frequency = pace.frequency();
        let start = |event: &SamplingEvent| {
            event.set_clock_frequency(frequency)?;
            event.enable()
        };
        // Ticks tell something without the switches.
        let started = self.events.iter().try_for_each(start);
        started.context("start the clock of probes' traps").and(watched)
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let stopped = self.events.iter().try_for_each(SamplingEvent::disable);
        stopped.context("stop the clock of probes' traps").and(self.set_since(0))
    }

    /// Stops it for good: no switch runs its program any more.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.switches = None;
        self.stop()
    }

    /// What the targets used up to now, from which on what they use is to be told: what runs now does
    /// so since a moment that is not known. `None` while it is not fast.
    pub(crate) fn begin(&mut self, now_ns: u64) -> Result<Option<CpuUse>> {
        if self.since_ns == 0 {
            return Ok(None);
        }
        self.set_since(now_ns)?;
        Ok(self.cpu_use(now_ns))
    }

    /// What the targets used up to now; `None` while it is not fast.
    pub(crate) fn cpu_use(&self, now_ns: u64) -> Option<CpuUse> {
        let since = self.since_ns;
        let times = self.cpu_times.get(&0, 0).ok().filter(|_| since != 0)?;
        let used = times.iter().map(|time| time.used_until(now_ns, since));
        Some(CpuUse { at_ns: now_ns, used_ns: used.fold(0, u64::wrapping_add) })
    }

    fn watch_switches(&mut self) -> Result<()> {
        if self.switches.is_some() {
            return Ok(());
        }
        let on_switch = self.on_switch.as_ref().context("this kernel has no windows")?;
        let mut attr = zeroed();
        attr.raw_tracepoint.name = c"sched_switch".as_ptr() as u64;
        attr.raw_tracepoint.prog_fd = on_switch.as_raw_fd() as u32;
        let opened = bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr);
        self.switches = Some(opened.context("attach to the tracepoint sched_switch")?);
        Ok(())
    }

    fn set_since(&mut self, since_ns: u64) -> Result<()> {
        self.since_ns = since_ns;
        self.since.set(0, since_ns, 0).context("tell the clock of probes' traps when it began")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_read_while_it_is_written_is_not_below_zero() {
        let at = |at_ns, used_ns| CpuUse { at_ns, used_ns };
        assert_eq!(at(3000, 1500).cpus_since(at(1000, 500)), Some(0.5));
        assert_eq!(at(3000, 499).cpus_since(at(1000, 500)), Some(0.0));
        assert!(at(1000, 500).cpus_since(at(1000, 500)).is_none());
    }
}
