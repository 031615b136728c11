//! The sum of a session's samples, by process, thread and stack.

use std::collections::HashMap;
use std::sync::Arc;

use flame_common::sample::StackEnd;

use super::RawSample;
use crate::process::{CodeAddress, ProcessId, ProcessTable};

/// Most distinct stacks that are kept; a program that makes more loses samples, with a count.
const MOST_STACKS: usize = 1 << 20;

/// What samples are added up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) process: ProcessId,
    pub(crate) tid: u32,
    /// The thread's name.
    pub(crate) thread: Arc<str>,
    /// Index of [`Aggregate::stacks`].
    pub(crate) stack: u32,
}

/// The samples of a session, or of a part of it.
#[derive(Debug, Default)]
pub(crate) struct Aggregate {
    /// Distinct stacks, innermost first.
    pub(crate) stacks: Vec<Arc<[CodeAddress]>>,
    /// Number of samples and sum of their values, by key.
    pub(crate) sums: HashMap<Key, (u64, u64)>,
    /// Number of samples.
    pub(crate) samples: u64,
    /// Number of samples by why their user stack ended, by the number of the reason.
    pub(crate) ends: [u64; StackEnd::ALL.len()],
    /// Samples that found no room.
    pub(crate) lost: u64,
}

/// Stacks as the kernel sent them, with their rows.
type RawStacks = HashMap<Box<[u64]>, u32>;

/// Adds up samples.
#[derive(Debug, Default)]
pub(crate) struct Aggregator {
    sum: Aggregate,
    stack_rows: HashMap<Arc<[CodeAddress]>, u32>,
    /// Stacks as they came, by process and state of its mappings: each is looked up once.
    seen: HashMap<(ProcessId, u32), RawStacks>,
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
        let Some(stack) = self.stack(sample, process, processes) else {
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
        let key = Key { process, tid: sample.tid, thread, stack };
        let (count, value) = self.sum.sums.entry(key.clone()).or_default();
        *count += 1;
        *value = value.saturating_add(sample.value);
        self.sum.samples += 1;
        let frames = sample.kernel.len() + sample.user.len();
        // Where frames were left out, the walk had gone astray.
        let astray = self.sum.stacks[stack as usize].len() < frames;
        let end = if astray { StackEnd::Unmapped } else { sample.user_end };
        self.sum.ends[end as usize] += 1;
        Some(key)
    }

    /// The stack of a key, innermost first.
    pub(crate) fn stack_of(&self, key: &Key) -> Arc<[CodeAddress]> {
        Arc::clone(&self.sum.stacks[key.stack as usize])
    }

    /// The row of a stack, which is added unless it is there already; `None` if there is no room.
    pub(crate) fn intern(&mut self, stack: &Arc<[CodeAddress]>) -> Option<u32> {
        if let Some(&row) = self.stack_rows.get(stack) {
            return Some(row);
        }
        if self.sum.stacks.len() >= MOST_STACKS {
            return None;
        }
        let row = self.sum.stacks.len() as u32;
        self.sum.stacks.push(Arc::clone(stack));
        self.stack_rows.insert(Arc::clone(stack), row);
        Some(row)
    }

    /// The sum up to now; counting starts afresh.
    pub(crate) fn take(&mut self) -> Aggregate {
        std::mem::take(self).sum
    }

    /// The number of samples up to now.
    pub(crate) fn samples(&self) -> u64 {
        self.sum.samples
    }

    fn stack(
        &mut self,
        sample: &RawSample,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) -> Option<u32> {
        let user = sample.user.iter().map(|frame| frame.0);
        let raw: Box<[u64]> = sample.kernel.iter().copied().chain(user).collect();
        let seen = self.seen.get(&(process, processes.epoch(process)));
        if let Some(&row) = seen.and_then(|seen| seen.get(&raw)) {
            return Some(row);
        }
        let stack: Arc<[CodeAddress]> = locate(sample, process, processes).into();
        let row = self.intern(&stack)?;
        let seen = self.seen.entry((process, processes.epoch(process))).or_default();
        seen.insert(raw, row);
        Some(row)
    }
}

/// The stack with each address told by what lies there, innermost first.
fn locate(
    sample: &RawSample,
    process: ProcessId,
    processes: &mut ProcessTable,
) -> Vec<CodeAddress> {
    let mut stack = Vec::with_capacity(sample.kernel.len() + sample.user.len());
    // The innermost kernel frame ran; the others are looked up inside their calls.
    for (depth, &address) in sample.kernel.iter().enumerate() {
        stack.push(CodeAddress::Kernel(if depth == 0 { address } else { address - 1 }));
    }
    for (depth, frame) in sample.user.iter().enumerate() {
        // A frame of a kind that is not known cannot be placed, nor can its callers be trusted.
        let Some(address) = frame.address() else { break };
        let place = processes.locate(process, address.lookup());
        // A caller that is no code: the walk went by something else than a return address.
        if depth > 0 && matches!(place, CodeAddress::Unmapped(_)) {
            break;
        }
        stack.push(place);
    }
    stack
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
        assert_eq!(sum.stacks.len(), 1);
        let mut counts: Vec<_> = sum.sums.values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, [(1, 10), (2, 20)]);
        assert_eq!(sum.ends[StackEnd::Root as usize], 3);
        assert_eq!(aggregator.take().samples, 0);
    }
}
