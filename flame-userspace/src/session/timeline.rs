//! Samples and process events in the order of their times.
//!
//! Each CPU writes its own records, and samples come by another ring: what is read at one time
//! is sorted, and what is younger than the reading's start waits for the next, since something
//! older may still be on its way.

use flame_common::sample::SampleKind;

use crate::aggregate::RawSample;
use crate::process::ProcessEvent;

/// How long a record may take from its time stamp to its ring, in nanoseconds: far more than a
/// program runs between the two.
const SLACK_NS: u64 = 2_000_000;

/// Something that happened at a time.
#[derive(Debug)]
pub(crate) enum Happened {
    Sample(Box<RawSample>),
    /// With its time.
    Event(u64, ProcessEvent),
}

/// What has been read and not yet been taken in.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    waiting: Vec<(u64, Happened)>,
}

impl Timeline {
    /// Adds what was read.
    pub(crate) fn add(
        &mut self,
        samples: impl IntoIterator<Item = RawSample>,
        events: impl IntoIterator<Item = (u64, ProcessEvent)>,
    ) {
        let samples = samples.into_iter().map(|s| (s.time_ns, Happened::Sample(Box::new(s))));
        let events = events.into_iter().map(|(time, event)| (time, Happened::Event(time, event)));
        self.waiting.extend(events.chain(samples));
    }

    /// Takes out, in order, what is older than a reading that began at `began_ns`; up to which time
    /// that is all there was.
    pub(crate) fn settled(&mut self, began_ns: u64) -> (Vec<Happened>, u64) {
        let horizon = began_ns.saturating_sub(SLACK_NS);
        // Stable: of equal times, events come before samples, as they were added.
        self.waiting.sort_by_key(|(time, _)| *time);
        let settled = self.waiting.partition_point(|(time, _)| *time < horizon);
        (self.waiting.drain(..settled).map(|(_, happened)| happened).collect(), horizon)
    }

    /// Whether something waits that is urgent: a sample whose stack the kernel could not finish, by
    /// code that it should know, or a process that begins.
    pub(crate) fn has_urgent(&self) -> bool {
        let urgent = |happened: &Happened| {
            matches!(happened, Happened::Sample(sample)
                if sample.copy.is_some() || sample.kind == SampleKind::Begun)
        };
        self.waiting.iter().any(|(_, happened)| urgent(happened))
    }

    /// Takes out everything, in order: nothing more will come.
    pub(crate) fn rest(&mut self) -> Vec<Happened> {
        self.settled(u64::MAX).0
    }
}

/// The clock that records are stamped by: `CLOCK_MONOTONIC`, in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in a struct that lives through it; these clocks are always there.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(time: u64, pid: u32) -> (u64, ProcessEvent) {
        (time, ProcessEvent::Exit { pid, tid: pid })
    }

    fn pids(happened: &[Happened]) -> Vec<u32> {
        let pid = |happened: &Happened| match happened {
            Happened::Event(_, ProcessEvent::Exit { pid, .. }) => *pid,
            other => panic!("an exit, not {other:?}"),
        };
        happened.iter().map(pid).collect()
    }

    #[test]
    fn what_may_still_be_overtaken_waits() {
        let mut timeline = Timeline::default();
        timeline.add([], [exit(30 + SLACK_NS, 3), exit(10, 1)]);
        assert_eq!(pids(&timeline.settled(20 + SLACK_NS).0), [1]);
        timeline.add([], [exit(20, 2)]);
        assert_eq!(pids(&timeline.rest()), [2, 3]);
        assert!(timeline.rest().is_empty());
    }
}
