//! The clock of probes' traps: an event on each CPU that counts, while it runs, how often it finds
//! a target, and how often in a probe's trap. It ticks fast while probes are open for a moment, and
//! slowly while they are open for long.

use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result};

use super::perf::{Event, SamplingEvent};

/// Ticks a second of a CPU: a dozen in a window. In a virtual machine one may take 15 us.
const FAST: u64 = 4_000;
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
#[derive(Debug)]
pub(crate) struct TrapClock {
    events: Vec<SamplingEvent>,
}

impl TrapClock {
    /// Opens it on these CPUs, for the program `trap_tick`.
    pub(super) fn open(program: BorrowedFd<'_>, cpus: &[u32]) -> Result<Self> {
        let open = |&cpu| SamplingEvent::open(Event::CpuClock, SLOW, cpu, program);
        let events: std::io::Result<_> = cpus.iter().map(open).collect();
        Ok(Self { events: events.context("open the clock of probes' traps")? })
    }

    /// Has it run.
    pub(crate) fn start(&self, pace: Pace) -> Result<()> {
        let frequency = pace.frequency();
        let start = |event: &SamplingEvent| {
            event.set_clock_frequency(frequency)?;
            event.enable()
        };
        self.events.iter().try_for_each(start).context("start the clock of probes' traps")
    }

    /// Stops it.
    pub(crate) fn stop(&self) -> Result<()> {
        let stop = |event: &SamplingEvent| event.disable();
        self.events.iter().try_for_each(stop).context("stop the clock of probes' traps")
    }
}
