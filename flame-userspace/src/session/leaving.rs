//! The last stacks of threads. At its end a thread gives back its memory, which takes a while in
//! large processes, and its stack is among the first to go: what is sampled from then on has the
//! stack that it left with.

use std::collections::HashMap;

use flame_common::frame::RawFrame;
use flame_common::sample::StackEnd;

use crate::aggregate::RawSample;

/// So many threads' last stacks are kept; the oldest half goes where there are more.
const MOST: usize = 4096;

/// The last stacks, by process and thread.
#[derive(Debug, Default)]
pub(super) struct LastStacks(HashMap<(u32, u32), LastStack>);

#[derive(Debug)]
struct LastStack {
    time_ns: u64,
    user: Vec<RawFrame>,
    end: StackEnd,
}

impl LastStacks {
    /// Keeps the stack with which a thread ends.
    pub(super) fn keep(&mut self, sample: RawSample) {
        if self.0.len() >= MOST {
            let mut times: Vec<u64> = self.0.values().map(|last| last.time_ns).collect();
            let (_, middle, _) = times.select_nth_unstable(MOST / 2);
            let middle = *middle;
            self.0.retain(|_, last| last.time_ns > middle);
        }
        let RawSample { time_ns, user, user_end: end, .. } = sample;
        self.0.insert((sample.pid, sample.tid), LastStack { time_ns, user, end });
    }

    /// Gives a sample of a thread whose memory has gone the stack with which it ended.
    pub(super) fn complete(&self, sample: &mut RawSample) {
        if sample.user_end != StackEnd::Unreadable {
            return;
        }
        let Some(last) = self.0.get(&(sample.pid, sample.tid)) else { return };
        if last.user.len() > sample.user.len() && last.user.first() == sample.user.first() {
            sample.user.clone_from(&last.user);
            sample.user_end = last.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use flame_common::sample::SampleKind;

    use super::*;

    fn sample(tid: u32, frames: &[u64], user_end: StackEnd) -> RawSample {
        let user = frames.iter().copied().map(RawFrame::return_address).collect();
        RawSample {
            time_ns: u64::from(tid),
            value: 0,
            id: 0,
            interval: 0,
            address: 0,
            pid: 1,
            tid,
            kind: SampleKind::Leaving,
            user_end,
            comm: String::new(),
            kernel: Vec::new(),
            user,
            copy: None,
        }
    }

    #[test]
    fn a_sample_without_memory_has_the_stack_with_which_its_thread_ended() {
        let mut stacks = LastStacks::default();
        stacks.keep(sample(2, &[7, 8, 9], StackEnd::Root));
        let mut own = sample(2, &[7], StackEnd::Unreadable);
        stacks.complete(&mut own);
        assert_eq!((own.user.len(), own.user_end), (3, StackEnd::Root));
        for mut other in [
            sample(3, &[7], StackEnd::Unreadable),
            sample(2, &[6], StackEnd::Unreadable),
            sample(2, &[7], StackEnd::Unmapped),
        ] {
            stacks.complete(&mut other);
            assert_eq!(other.user.len(), 1, "another thread, place or reason");
        }
    }

    #[test]
    fn no_more_than_a_number_are_kept() {
        let mut stacks = LastStacks::default();
        for tid in 0..2 * MOST as u32 {
            stacks.keep(sample(tid, &[7, 8], StackEnd::Root));
        }
        assert!(stacks.0.len() <= MOST);
        let mut last = sample(2 * MOST as u32 - 1, &[7], StackEnd::Unreadable);
        stacks.complete(&mut last);
        assert_eq!(last.user_end, StackEnd::Root);
    }
}
