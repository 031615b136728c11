//! The sum of a session's samples, by process, thread and stack.

use std::sync::Arc;

use flame_common::sample::StackEnd;
use foldhash::HashMap;

use super::places::Places;
use super::{RawSample, Stack, Stacks};
use crate::process::{CodeAddress, ProcessId, ProcessTable};

/// What samples are added up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) process: ProcessId,
    /// 0 where no thread is known.
    pub(crate) tid: u32,
    /// The thread's name.
    pub(crate) thread: Arc<str>,
    /// One of [`Aggregate::stacks`].
    pub(crate) stack: Stack,
    /// How many of its frames are guesses: found by a frame pointer that no table vouches for.
    pub(crate) guesses: u32,
    /// Why it may lack its outer frames, if the walk did not come to the root.
    pub(crate) cut: Option<StackEnd>,
}

/// The samples of a session, or of a part of it.
#[derive(Debug, Default)]
pub(crate) struct Aggregate {
    /// Distinct stacks.
    pub(crate) stacks: Stacks,
    /// Number of samples and sum of their values, by key.
    pub(crate) sums: HashMap<Key, (u64, u64)>,
    /// Number of samples.
    pub(crate) samples: u64,
    /// Number of samples by why their user stack ended, by the number of the reason.
    pub(crate) ends: [u64; StackEnd::ALL.len()],
    /// Frames of all samples that are guesses; see [`Key::guesses`].
    pub(crate) guesses: u64,
    /// Samples that found no room.
    pub(crate) lost: u64,
}

impl Aggregate {
    /// Adds what is known of a stack from elsewhere, after the sum was taken: of no thread. `None`
    /// if there was no room.
    pub(crate) fn add_known(
        &mut self,
        process: ProcessId,
        innermost_first: &[CodeAddress],
        samples: u64,
    ) -> Option<Key> {
        let addresses = innermost_first.iter().rev();
        let numbers: Vec<u32> = addresses.map(|&at| self.stacks.address(at)).collect();
        let Some(stack) = self.stacks.stack(numbers.into_iter()) else {
            self.lost += samples;
            return None;
        };
        let key = Key { process, tid: 0, thread: Arc::from(""), stack, guesses: 0, cut: None };
        self.sums.entry(key.clone()).or_default().0 += samples;
        self.samples += samples;
        Some(key)
    }
}

/// Adds up samples.
#[derive(Debug, Default)]
pub(crate) struct Aggregator {
    sum: Aggregate,
    places: Places,
    /// The addresses of the stack at hand, innermost first.
    frames: Vec<u32>,
    names: HashMap<String, Arc<str>>,
}

impl Aggregator {
    /// Adds a sample of `process`; what it was added to, unless there was no room.
    pub(crate) fn add(
        &mut self,
        sample: &RawSample,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) -> Option<Key> {
        self.locate(sample, process, processes);
        let Some(stack) = self.sum.stacks.stack(self.frames.iter().rev().copied()) else {
            self.sum.lost += 1;
            return None;
        };
        let thread = match self.names.get(&sample.comm) {
            Some(name) => Arc::clone(name),
            None => {
                let name: Arc<str> = Arc::from(&*sample.comm);
                self.names.insert(sample.comm.clone(), Arc::clone(&name));
                name
            }
        };
        let kept = self.frames.len().saturating_sub(sample.kernel.len());
        let guesses = sample.user.iter().take(kept).filter(|frame| frame.is_guess()).count() as u32;
        let frames = sample.kernel.len() + sample.user.len();
        // Where frames were left out, the walk had gone astray.
        let astray = self.frames.len() < frames;
        let end = if astray { StackEnd::Unmapped } else { sample.user_end };
        let cut = (!end.is_whole()).then_some(end);
        let key = Key { process, tid: sample.tid, thread, stack, guesses, cut };
        let (count, value) = self.sum.sums.entry(key.clone()).or_default();
        *count += 1;
        *value = value.saturating_add(sample.value);
        self.sum.samples += 1;
        self.sum.ends[end as usize] += 1;
        self.sum.guesses += u64::from(guesses);
        Some(key)
    }

    /// The addresses of a key's stack, innermost first.
    pub(crate) fn stack_of(&self, key: &Key) -> Box<[CodeAddress]> {
        self.sum.stacks.of(key.stack).collect()
    }

    /// The stack of addresses, given innermost first; `None` if there is no room.
    pub(crate) fn intern(&mut self, innermost_first: &[CodeAddress]) -> Option<Stack> {
        let stacks = &mut self.sum.stacks;
        let frames: Vec<u32> = innermost_first.iter().rev().map(|&at| stacks.address(at)).collect();
        stacks.stack(frames.into_iter())
    }

    /// Has an address among those that names are looked up for.
    pub(crate) fn want(&mut self, address: CodeAddress) {
        self.sum.stacks.address(address);
    }

    /// The sum up to now; counting starts afresh.
    pub(crate) fn take(&mut self) -> Aggregate {
        let mut sum = std::mem::take(self).sum;
        sum.stacks.close();
        sum
    }

    /// The number of samples up to now.
    pub(crate) fn samples(&self) -> u64 {
        self.sum.samples
    }

    /// Puts into `frames` what lies at each address of the stack.
    fn locate(&mut self, sample: &RawSample, process: ProcessId, processes: &mut ProcessTable) {
        let Self { sum: Aggregate { stacks, .. }, places, frames, .. } = self;
        frames.clear();
        // The innermost kernel frame ran; the others are looked up inside their calls.
        for (depth, &address) in sample.kernel.iter().enumerate() {
            let lookup = if depth == 0 { address } else { address.wrapping_sub(1) };
            frames.push(stacks.address(CodeAddress::Kernel(lookup)));
        }
        for (depth, frame) in sample.user.iter().enumerate() {
            // A frame of a kind that is not known cannot be placed, nor can its callers be
            // trusted.
            let Some(address) = frame.address() else { break };
            let number = places.number(process, address.lookup(), processes, stacks);
            // A caller that is no code: the walk went by something else than a return address.
            let place = stacks.addresses()[number as usize];
            if depth > 0 && matches!(place, CodeAddress::Unmapped(_)) {
                break;
            }
            frames.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flame_common::frame::RawFrame;
    use flame_common::sample::SampleKind;
    use std::collections::HashSet;

    fn sample(tid: u32, user: &[u64]) -> RawSample {
        RawSample {
            time_ns: 0,
            value: 10,
            id: 0,
            interval: 0,
            address: 0,
            pid: 1 << 30,
            tid,
            kind: SampleKind::Cpu,
            user_end: StackEnd::Root,
            comm: "t".into(),
            kernel: Vec::new(),
            user: user.iter().map(|&address| RawFrame::instruction_pointer(address)).collect(),
            copy: None,
        }
    }

    #[test]
    fn equal_stacks_of_a_thread_are_added_up_and_threads_kept_apart() {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        let mut aggregator = Aggregator::default();
        for tid in [1, 1, 2] {
            aggregator.add(&sample(tid, &[0x1000]), process, &mut processes);
        }
        let sum = aggregator.take();
        assert_eq!(sum.samples, 3);
        assert_eq!(sum.stacks.frames().count(), 1);
        let mut counts: Vec<_> = sum.sums.values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, [(1, 10), (2, 20)]);
        assert_eq!(sum.ends[StackEnd::Root as usize], 3);
        assert_eq!(aggregator.take().samples, 0);
    }

    #[test]
    fn stacks_that_lack_their_outer_frames_are_kept_apart() {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        let mut aggregator = Aggregator::default();
        let whole = [StackEnd::Root, StackEnd::NoUserStack];
        for user_end in whole.into_iter().chain([StackEnd::Truncated, StackEnd::NoTable]) {
            let sample = RawSample { user_end, ..sample(1, &[0x1000]) };
            aggregator.add(&sample, process, &mut processes);
        }
        let sum = aggregator.take();
        let mut cut: Vec<_> = sum.sums.iter().map(|(key, (count, _))| (key.cut, *count)).collect();
        cut.sort_unstable_by_key(|(cut, _)| cut.map(|end| end as u32));
        let (truncated, no_table) = (Some(StackEnd::Truncated), Some(StackEnd::NoTable));
        assert_eq!(cut, [(None, 2), (truncated, 1), (no_table, 1)]);
    }
}
