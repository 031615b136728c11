//! The books of sampled allocations: what was allocated where, and which blocks live.
//!
//! Fed with samples and ends of blocks in the order of their times. A process that ended keeps the
//! blocks that it had not freed: they are what it held at its exit. One that runs another program
//! has lost them.

use std::collections::HashMap;

use flame_common::block::BlockKey;
use flame_common::poisson::counted;

use super::history::History;
use super::holders::{Collecting, Holder};
use super::peak::Peak;
use super::price::Price;
use super::reach::Reach;
use super::weight::{Blocks, inclusion};
use super::windows::{Window, Windows};
use crate::aggregate::{Aggregate, Aggregator, Key, RawSample};
use crate::process::{CodeAddress, ProcessId, ProcessTable};

/// A sampled block that lives, or lived at its process's exit.
#[derive(Debug, Clone)]
struct Live {
    key: Key,
    stack: Box<[CodeAddress]>,
    size: u64,
    /// Bytes between two samples when it was sampled.
    sampled_at: u64,
    /// The interval at which it would still be among the samples: a longer one where there were too
    /// many.
    interval: u64,
    at: BlockKey,
    time_ns: u64,
    /// When its process was found to have ended.
    ended_ns: Option<u64>,
}

impl ClosedLedger {
    /// Adds what is known of a stack from elsewhere, and not by samples of flame's own.
    pub(crate) fn add_known(
        &mut self,
        process: ProcessId,
        innermost_first: &[CodeAddress],
        row: HeapRow,
        samples: u64,
    ) {
        self.total.allocated += row.allocated;
        self.total.in_use += row.in_use;
        if let Some(key) = self.sum.add_known(process, innermost_first, samples) {
            let sum = self.rows.entry(key.clone()).or_default();
            sum.allocated += row.allocated;
            sum.in_use += row.in_use;
            if row.in_use.space.value > 0.0 {
                self.holders.push(Holder::without_history(process, key.stack, row.in_use));
            }
        }
    }
}

impl Live {
    fn blocks(&self) -> Blocks {
        Blocks::of_sample(self.size, self.interval)
    }

    /// The longest interval at which it would still be among the samples, in bytes.
    fn longest_interval(&self, id: u64) -> f64 {
        let drawn = uniform(id) * inclusion(self.size, self.sampled_at);
        counted(self.size) as f64 / -(-drawn).ln_1p()
    }
}

/// A row of a heap profile.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct HeapRow {
    pub(crate) allocated: Blocks,
    /// Of what lived when most did.
    pub(crate) at_peak: Blocks,
    pub(crate) in_use: Blocks,
}

/// The books of a session or of a part of it, closed.
#[derive(Debug, Default)]
pub(crate) struct ClosedLedger {
    /// Work, in nanoseconds of CPU time, that is in no estimate, since no window was open in it.
    pub(crate) unseen_ns: f64,
    /// How windows lie in the work, where allocations were sampled in windows.
    pub(crate) reach: Reach,
    /// The stacks, and how many samples there are of each key.
    pub(crate) sum: Aggregate,
    pub(crate) rows: HashMap<Key, HeapRow>,
    /// Allocations that were sampled and whose end nobody would tell, as what they stand for.
    pub(crate) not_followed: Blocks,
    pub(crate) total: HeapRow,
    /// Of the blocks in use, those of processes that have ended.
    pub(crate) held_at_exit: Blocks,
    /// Blocks that there was no room for in the next part: the kernel follows them still.
    pub(crate) dropped: Vec<(BlockKey, u64)>,
    /// When most lived; 0 if nothing did.
    pub(crate) peak_ns: u64,
    /// Who holds what is in use, most first; behind them those of whom that is known otherwise.
    pub(crate) holders: Vec<Holder>,
    /// The moments that their histories tell of.
    pub(crate) moments_ns: Vec<u64>,
}

/// The books.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    aggregator: Aggregator,
    allocated: HashMap<Key, Blocks>,
    live: HashMap<u64, Live>,
    not_followed: Blocks,
    /// Allocations that were sampled in windows.
    windows: Windows,
    peak: Peak,
    history: History,
}

impl Ledger {
    /// Takes in a sampled allocation of `process`; of a window, if allocations are sampled in
    /// windows. `false` if there was no room for it.
    pub(crate) fn allocate(
        &mut self,
        sample: &RawSample,
        in_window: bool,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) -> bool {
        let Some(key) = self.aggregator.add(sample, process, processes) else { return false };
        let blocks = Blocks::of_sample(sample.value, sample.interval);
        if in_window {
            self.windows.add(&key, blocks);
            return true;
        }
        *self.allocated.entry(key.clone()).or_default() += blocks;
        if sample.address == 0 {
            self.not_followed += blocks;
            return true;
        }
        let live = Live {
            stack: self.aggregator.stack_of(&key),
            key,
            size: sample.value,
            sampled_at: sample.interval,
            interval: sample.interval,
            at: BlockKey::of(sample.pid, sample.address),
            time_ns: sample.time_ns,
            ended_ns: None,
        };
        self.begin(&live);
        if let Some(known) = self.live.insert(sample.id, live) {
            self.end(&known);
        }
        true
    }

    fn begin(&mut self, live: &Live) {
        self.peak.begin(&live.key, live.blocks(), live.time_ns);
        self.history.change(&live.key, 1, live.blocks().space);
    }

    fn end(&mut self, live: &Live) {
        if live.ended_ns.is_none() {
            self.peak.end(&live.key, live.blocks());
        }
        self.history.change(&live.key, -1, -live.blocks().space);
    }

    /// All that happened up to a time has been taken in.
    pub(crate) fn come_to(&mut self, time_ns: u64) {
        self.history.come_to(time_ns);
    }

    /// A window is over; `None` if nothing can be told of it.
    pub(crate) fn end_window(&mut self, window: Option<Window>) {
        self.windows.end_window(window);
    }

    /// A stratum of windows is over, in which so much work was done; `told` is what a hit costs
    /// without its sample, if a contrast told it.
    pub(crate) fn end_stratum(&mut self, work_ns: f64, told: Option<Price>) {
        self.windows.end_stratum(work_ns, told);
    }

    /// Forgets which blocks live: nobody tells their end any more. Returns those that the kernel
    /// still has.
    pub(crate) fn abandon(&mut self) -> Vec<(BlockKey, u64)> {
        (self.peak, self.history) = Default::default();
        let live = self.live.drain().filter(|(_, live)| live.ended_ns.is_none());
        live.map(|(id, live)| (live.at, id)).collect()
    }

    /// Takes in the end of a sampled block. One that is not known was left out.
    pub(crate) fn free(&mut self, id: u64) {
        if let Some(live) = self.live.remove(&id) {
            self.end(&live);
        }
    }

    /// The process runs another program since `time_ns`: it has none of its blocks any more.
    /// Returns those that the kernel still has.
    pub(crate) fn exec(&mut self, process: ProcessId, time_ns: u64) -> Vec<(BlockKey, u64)> {
        let gone = |live: &Live| live.key.process == process && live.time_ns <= time_ns;
        let lost: Vec<(u64, Live)> = self.live.extract_if(|_, live| gone(live)).collect();
        for (_, live) in &lost {
            self.end(live);
        }
        lost.into_iter().map(|(id, live)| (live.at, id)).collect()
    }

    /// The process was found to have ended. Returns its blocks, which the kernel still has.
    pub(crate) fn exit(&mut self, process: ProcessId, time_ns: u64) -> Vec<(BlockKey, u64)> {
        let mut held = Vec::new();
        for (&id, live) in &mut self.live {
            if live.key.process == process && live.ended_ns.is_none() {
                self.peak.end(&live.key, live.blocks());
                live.ended_ns = Some(time_ns);
                held.push((live.at, id));
            }
        }
        held
    }

    /// Ends the blocks that the kernel does not follow any more: their ends were lost on the way.
    /// How many there were.
    pub(crate) fn settle(&mut self, lives: impl Fn(BlockKey, u64) -> bool) -> u64 {
        let lost = |id: u64, live: &Live| live.ended_ns.is_none() && !lives(live.at, id);
        let lost: Vec<(u64, Live)> = self.live.extract_if(|&id, live| lost(id, live)).collect();
        for (_, live) in &lost {
            self.end(live);
        }
        lost.len() as u64
    }

    /// The number of blocks that the kernel follows.
    pub(crate) fn followed(&self) -> usize {
        self.live.values().filter(|live| live.ended_ns.is_none()).count()
    }

    /// Drops so many followed blocks that half of them are left: those that would not have been
    /// sampled at a longer interval, small ones before large ones. The others stand for them.
    /// Returns those that are dropped, for the kernel to forget.
    pub(crate) fn thin(&mut self) -> Vec<(BlockKey, u64)> {
        let followed = |live: &Live| live.ended_ns.is_none();
        let all = self.live.iter().filter(|(_, live)| followed(live));
        let mut longest: Vec<f64> = all.map(|(&id, live)| live.longest_interval(id)).collect();
        let Some(last) = longest.len().div_ceil(2).checked_sub(1) else { return Vec::new() };
        // That of the last to be dropped: what is left is a sample by priorities, unbiased (Duffield
        // et al., "Priority sampling for estimation of arbitrary subset sums", JACM 54, 2007).
        let interval = longest.select_nth_unstable_by(last, f64::total_cmp).1.ceil();
        for live in self.live.values_mut().filter(|live| followed(live)) {
            let before = live.blocks();
            live.interval = live.interval.max(interval as u64);
            self.peak.reweigh(&live.key, before, live.blocks());
            self.history.change(&live.key, 0, live.blocks().space + -before.space);
        }
        let dropped =
            |id: u64, live: &Live| followed(live) && live.longest_interval(id) <= interval;
        let lost: Vec<(u64, Live)> = self.live.extract_if(|&id, live| dropped(id, live)).collect();
        for (_, live) in &lost {
            self.end(live);
        }
        lost.into_iter().map(|(id, live)| (live.at, id)).collect()
    }

    /// Has an address among those that names are looked up for.
    pub(crate) fn want(&mut self, address: CodeAddress) {
        self.aggregator.want(address);
    }

    /// How large blocks are in the mean, outside of windows, in bytes; `None` of none.
    pub(crate) fn mean_size(&self) -> Option<f64> {
        let mut all = Blocks::default();
        self.allocated.values().for_each(|&blocks| all += blocks);
        (all.objects.value > 0.0).then(|| all.space.value / all.objects.value)
    }

    /// Samples that were taken in.
    pub(crate) fn samples(&self) -> u64 {
        self.aggregator.samples()
    }

    /// Closes the books. What was allocated starts afresh, and so do peak and history; what is in
    /// use stays.
    pub(crate) fn close(&mut self, now_ns: u64) -> ClosedLedger {
        let mut closed = ClosedLedger {
            not_followed: std::mem::take(&mut self.not_followed),
            ..ClosedLedger::default()
        };
        for (key, blocks) in self.allocated.drain() {
            closed.total.allocated += blocks;
            closed.rows.entry(key).or_default().allocated = blocks;
        }
        closed.unseen_ns = self.windows.unseen_ns();
        closed.reach = self.windows.reach();
        let (in_windows, all) = self.windows.take();
        for (key, blocks) in in_windows {
            closed.rows.entry(key).or_default().allocated += blocks;
        }
        closed.total.allocated += all;
        let mut holders = Collecting::default();
        for live in self.live.values() {
            let blocks = live.blocks();
            closed.total.in_use += blocks;
            if live.ended_ns.is_some() {
                closed.held_at_exit += blocks;
            }
            closed.rows.entry(live.key.clone()).or_default().in_use += blocks;
            let age_ns = live.ended_ns.unwrap_or(now_ns).saturating_sub(live.time_ns);
            let holder = (live.key.process, live.key.stack);
            holders.add(holder, blocks, (live.time_ns, age_ns), &self.history);
        }
        closed.holders = holders.finish(&self.history);
        closed.moments_ns = self.history.times_ns().to_vec();
        let (at_peak, peak_ns) = self.peak.take();
        closed.peak_ns = peak_ns;
        for (key, blocks) in at_peak {
            closed.total.at_peak += blocks;
            closed.rows.entry(key).or_default().at_peak += blocks;
        }
        self.history = History::default();
        closed.sum = self.aggregator.take();
        // Those in use go on under the numbers that the next part gives their stacks.
        self.live.retain(|&id, live| match self.aggregator.intern(&live.stack) {
            Some(stack) => {
                live.key.stack = stack;
                live.ended_ns.is_none()
            }
            None => {
                closed.dropped.push((live.at, id));
                false
            }
        });
        for live in self.live.values() {
            self.peak.begin(&live.key, live.blocks(), now_ns);
            self.history.change(&live.key, 1, live.blocks().space);
        }
        closed
    }
}

/// A number from 0 to 1 for each block's number, as if drawn at random: the same each time it is
/// asked, so that blocks which are dropped at an interval are dropped at all longer ones.
fn uniform(id: u64) -> f64 {
    // The finalizer of splitmix64 (Steele et al., "Fast splittable pseudorandom number
    // generators", OOPSLA 2014).
    let mut mixed = id;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use flame_common::frame::RawFrame;
    use flame_common::sample::{SampleKind, StackEnd};
    use std::collections::HashSet;

    const PID: u32 = 1 << 30;

    fn sample(id: u64, size: u64) -> RawSample {
        RawSample {
            time_ns: id,
            value: size,
            id,
            interval: 1,
            address: 0x1000 * id,
            pid: PID,
            tid: PID,
            kind: SampleKind::Alloc,
            user_end: StackEnd::Root,
            comm: "t".into(),
            kernel: Vec::new(),
            user: vec![RawFrame::return_address(0x5000)],
            copy: None,
        }
    }

    fn with_blocks(count: u64) -> (Ledger, ProcessTable, ProcessId) {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(PID, "p");
        let mut ledger = Ledger::default();
        for id in 1..=count {
            ledger.allocate(&sample(id, 100), false, process, &mut processes);
        }
        (ledger, processes, process)
    }

    #[test]
    fn what_is_freed_is_no_more_in_use() {
        let (mut ledger, ..) = with_blocks(3);
        ledger.free(2);
        ledger.free(77);
        let closed = ledger.close(100);
        assert_eq!(closed.total.allocated.space.rounded(), 300);
        assert_eq!(closed.total.in_use.space.rounded(), 200);
        assert_eq!((closed.rows.len(), closed.sum.samples), (1, 3));
        let next = ledger.close(100);
        assert_eq!(next.total.allocated.space.rounded(), 0);
        assert_eq!(next.total.in_use.space.rounded(), 200, "what lives goes on");
        assert_eq!(next.sum.stacks.frames().len(), 1);
    }

    #[test]
    fn an_exec_loses_what_was_before_and_an_exit_keeps_it() {
        let (mut ledger, mut processes, process) = with_blocks(2);
        let forget: Vec<u64> = ledger.exec(process, 1).into_iter().map(|(_, id)| id).collect();
        assert_eq!(forget, [1]);
        assert_eq!(ledger.exit(process, 50).len(), 1);
        assert_eq!((ledger.followed(), ledger.exit(process, 50).len()), (0, 0));
        let closed = ledger.close(100);
        assert_eq!(closed.held_at_exit.space.rounded(), 100);
        assert_eq!(ledger.close(100).total.in_use.space.rounded(), 0, "it is told once");
        let mut unfollowed = sample(9, 50);
        unfollowed.address = 0;
        ledger.allocate(&unfollowed, false, process, &mut processes);
        let closed = ledger.close(100);
        assert_eq!(closed.not_followed.space.rounded(), 50);
        assert_eq!(closed.total.in_use.objects.rounded(), 0);
    }

    #[test]
    fn blocks_whose_end_was_lost_are_found_out() {
        let (mut ledger, ..) = with_blocks(4);
        assert_eq!(ledger.settle(|at, id| at.address == 0x1000 * id && id != 3), 1);
        assert_eq!(ledger.close(100).total.in_use.space.rounded(), 300);
    }

    #[test]
    fn thinning_keeps_the_sum() {
        let (mut ledger, ..) = with_blocks(4096);
        let dropped = ledger.thin().len() + ledger.thin().len();
        assert_eq!(ledger.followed() + dropped, 4096);
        let in_use = ledger.close(100).total.in_use.objects;
        assert!((in_use.value - 4096.0).abs() < 4.0 * in_use.standard_error(), "{in_use:?}");
        assert!(in_use.relative_error() < 0.04, "{in_use:?}");
    }

    #[test]
    fn thinning_keeps_large_blocks() {
        let (mut ledger, mut processes, process) = with_blocks(4096);
        for id in 5000..5010 {
            ledger.allocate(&sample(id, 1 << 20), false, process, &mut processes);
        }
        for _ in 0..4 {
            let before = ledger.followed();
            ledger.thin();
            assert!(ledger.followed() <= before / 2, "{} of {before}", ledger.followed());
        }
        let space = ledger.close(10_000).total.in_use.space;
        let known = 4096.0 * 100.0 + 10.0 * f64::from(1 << 20);
        assert!((space.value - known).abs() < 4.0 * space.standard_error(), "{space:?}");
        assert!(space.relative_error() < 0.01, "what holds most is known best: {space:?}");
    }

    #[test]
    fn blocks_that_are_all_large_are_thinned_as_well() {
        let (mut ledger, mut processes, process) = with_blocks(0);
        for id in 1..=1000 {
            ledger.allocate(&sample(id, 1 << 30), false, process, &mut processes);
        }
        ledger.thin();
        assert_eq!(ledger.followed(), 500);
        let objects = ledger.close(2000).total.in_use.objects;
        assert!((objects.value - 1000.0).abs() < 4.0 * objects.standard_error(), "{objects:?}");
    }
}
