//! Growth: memory that the targets got from the kernel by touching it, whoever of them called an
//! allocator before, and what of it is there. It costs nearly nothing at any rate of calls.

use anyhow::Result;

use crate::aggregate::RawSample;
use crate::bpf::GrowthKernel;
use crate::heap::{ClosedLedger, Ledger};
use crate::process::{ProcessId, ProcessTable};
use crate::session::timeline::now_ns;

/// The interval to begin with, in bytes: at 1 GiB a second 16,000 samples a second.
const FIRST_INTERVAL: u64 = 64 << 10;
/// The shortest and the longest, in bytes: what is less than a few pages would have each page of the
/// machine pass the countdown.
const INTERVALS: (u64, u64) = (16 << 10, 4 << 20);
/// Samples a second that the interval is chosen for.
const SAMPLES_A_SECOND: f64 = 200.0;
/// How often the interval is looked at, in nanoseconds.
const ADAPT_NS: u64 = 100_000_000;
/// Pieces that are followed, at most: room is left for those that come until they are thinned.
const MOST_PIECES: usize = flame_common::limits::RESIDENT / 10 * 9;

/// The books, and how densely they are kept.
pub(super) struct Growth {
    kernel: GrowthKernel,
    ledger: Ledger,
    interval: u64,
    intervals: (u64, u64),
    adapted_ns: u64,
    adapted_samples: u64,
}

/// The books of a part of a session.
pub(super) struct ClosedGrowth {
    pub(super) books: ClosedLedger,
    /// The shortest and the longest interval between samples, in bytes.
    pub(super) intervals: (u64, u64),
}

impl Growth {
    /// Begins.
    pub(super) fn start(mut kernel: GrowthKernel) -> Result<Self> {
        kernel.set_interval(FIRST_INTERVAL)?;
        Ok(Self {
            kernel,
            ledger: Ledger::default(),
            interval: FIRST_INTERVAL,
            intervals: (FIRST_INTERVAL, FIRST_INTERVAL),
            adapted_ns: now_ns(),
            adapted_samples: 0,
        })
    }

    /// Takes in a sample of touched memory.
    pub(super) fn touch(
        &mut self,
        sample: &RawSample,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) {
        self.ledger.allocate(sample, false, process, processes);
    }

    /// Takes in the release of a sampled piece.
    pub(super) fn release(&mut self, id: u64) {
        self.ledger.free(id);
    }

    /// A process runs another program: the memory of the one before has gone.
    pub(super) fn exec(&mut self, process: ProcessId, time_ns: u64) {
        for (at, id) in self.ledger.exec(process, time_ns) {
            self.kernel.forget(at.address, id);
        }
    }

    /// A process has ended, and keeps what it had.
    pub(super) fn exit(&mut self, process: ProcessId) {
        for (at, id) in self.ledger.exit(process, crate::session::timeline::now_ns()) {
            self.kernel.forget(at.address, id);
        }
    }

    /// Samples taken in.
    pub(super) fn samples(&self) -> u64 {
        self.ledger.samples()
    }

    /// Looks after the interval and the number of pieces.
    pub(super) fn update(&mut self, now_ns: u64) -> Result<()> {
        if self.ledger.followed() > MOST_PIECES {
            for (at, id) in self.ledger.thin() {
                self.kernel.forget(at.address, id);
            }
        }
        let past_ns = now_ns.saturating_sub(self.adapted_ns);
        if past_ns < ADAPT_NS {
            return Ok(());
        }
        let samples = self.ledger.samples().saturating_sub(self.adapted_samples);
        (self.adapted_ns, self.adapted_samples) = (now_ns, self.ledger.samples());
        self.choose(samples as f64 * 1e9 / past_ns as f64 / SAMPLES_A_SECOND)
    }

    /// Goes to an interval, by how many times more samples there were than wanted. Each sample is
    /// weighted by the interval that chose it, so that a change has no bias.
    fn choose(&mut self, excess: f64) -> Result<()> {
        if (0.5..=1.5).contains(&excess) {
            return Ok(());
        }
        let (least, most) = INTERVALS;
        let wanted = (self.interval as f64 * excess.clamp(0.5, 16.0)) as u64;
        let interval = wanted.clamp(least, most);
        if interval != self.interval {
            self.kernel.set_interval(interval)?;
            self.interval = interval;
            self.intervals = (self.intervals.0.min(interval), self.intervals.1.max(interval));
        }
        Ok(())
    }

    /// Closes the books of a part.
    pub(super) fn close(&mut self) -> ClosedGrowth {
        self.adapted_samples = 0;
        let next = (self.interval, self.interval);
        let intervals = std::mem::replace(&mut self.intervals, next);
        ClosedGrowth { books: self.ledger.close(crate::session::timeline::now_ns()), intervals }
    }
}
