//! The kernel's side of heap profiles: the programs on the allocators' probes, and the blocks that
//! they follow.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use flame_common::block::{Block, BlockKey, HeapControl, OF_TARGET};
use flame_common::limits::BLOCK_COUNTERS;
use flame_common::stat::Stat;

use super::at_once::both;
use super::tables::SharedArray;
use super::trap_clock::TrapClock;
use super::uprobe::{Attach, Linked, Probe, ProbeLink, ProbeProgram};

/// The programs on probes, by what this kernel can do.
#[derive(Debug)]
pub(crate) struct HeapPrograms {
    follow: Follow,
    /// Entries alone.
    allocations: ProbeProgram,
    /// Whether the kernel sees to it that a link of one process is hit by no other: before, by
    /// children of `vfork` as well.
    keeps_apart: bool,
    /// Whether probes are taken out fast.
    closes_fast: bool,
}

/// How calls are followed to their return.
#[derive(Debug)]
enum Follow {
    /// One program at both ends, which leaves out the returns that do not matter (Linux 6.13).
    Session(ProbeProgram),
    /// One for the entries and one for the returns, which come for each call.
    Pair { enter: ProbeProgram, leave: ProbeProgram },
}

/// The first kernels with links for many probes, and with sessions.
pub(crate) const MULTI_PROBES: (u32, u32) = (6, 6);
pub(crate) const SESSION_PROBES: (u32, u32) = (6, 13);

impl HeapPrograms {
    /// Loads them, bound to the maps of these names, for a kernel of this version.
    pub(super) fn load(
        object: &[u8],
        maps: &[(String, RawFd)],
        version: (u32, u32),
    ) -> Result<Self> {
        let multi = if version >= MULTI_PROBES { Attach::Multi } else { Attach::Single };
        let linked = Linked::new(object, maps)?;
        // The kernel looks at each for some tens of milliseconds.
        let (allocations, follow) = both(
            || linked.load("heap_alloc", multi),
            || {
                if version >= SESSION_PROBES {
                    return Ok(Follow::Session(linked.load("heap_session", Attach::Session)?));
                }
                let enter = linked.load("heap_enter", multi)?;
                anyhow::Ok(Follow::Pair { enter, leave: linked.load("heap_leave", multi)? })
            },
        );
        Ok(Self {
            follow: follow?,
            allocations: allocations?,
            keeps_apart: version >= SESSION_PROBES,
            closes_fast: version >= MULTI_PROBES,
        })
    }

    /// Whether the program chooses of which calls the return is taken.
    pub(crate) fn chooses_returns(&self) -> bool {
        matches!(self.follow, Follow::Session(_))
    }

    /// Whether probes are taken out fast enough to be there for a moment only (Linux 6.6).
    pub(crate) fn closes_fast(&self) -> bool {
        self.closes_fast
    }

    /// Follows the blocks of an allocator from their allocation to their end, in one process or in
    /// all. `makes` are the probes of functions whose return matters, `frees` those of the others.
    /// They are put in place in this order, the frees first. One process has to be a target.
    pub(crate) fn follow(
        &self,
        file: &File,
        makes: &[Probe],
        frees: &[Probe],
        pid: Option<u32>,
    ) -> io::Result<ProbeLink> {
        // First the frees: a block that is sampled while the probes are put in place, one after the
        // other, must not be freed unseen.
        let all = self.of(pid, frees.iter().chain(makes));
        match &self.follow {
            Follow::Session(session) => session.attach(file, &all, false, pid),
            Follow::Pair { enter, leave } => {
                if makes.is_empty() {
                    return enter.attach(file, &all, false, pid);
                }
                // First the returns: an entry that is not followed by one would wait for ever.
                let returns = leave.attach(file, makes, true, pid)?;
                Ok(ProbeLink::of([enter.attach(file, &all, false, pid)?, returns]))
            }
        }
    }

    /// Samples the allocations of an allocator, without their fate; in one process, which has to be
    /// a target, or in all.
    pub(crate) fn allocations(
        &self,
        file: &File,
        makes: &[Probe],
        pid: Option<u32>,
    ) -> io::Result<ProbeLink> {
        self.allocations.attach(file, &self.of(pid, makes), false, pid)
    }

    /// Probes whose program is told whether it need not ask for whom it is hit.
    fn of<'p>(&self, pid: Option<u32>, probes: impl IntoIterator<Item = &'p Probe>) -> Vec<Probe> {
        let more = if pid.is_some() && self.keeps_apart { OF_TARGET } else { 0 };
        let told = |probe: &Probe| Probe { cookie: probe.cookie | more, ..*probe };
        probes.into_iter().map(told).collect()
    }
}

/// The sampling's switch, whom the clock of traps looks at, and the counter of hits.
pub(crate) struct HeapSwitch {
    control: Array<MapData, HeapControl>,
    targets: HashMap<MapData, u32, u8>,
    stats: PerCpuArray<MapData, u64>,
}

impl HeapSwitch {
    /// Sets the mean number of bytes between two samples; 0 takes none.
    pub(crate) fn set_interval(&mut self, bytes: u64) -> Result<()> {
        let control = HeapControl { interval: bytes };
        self.control.set(0, control, 0).context("set the sampling interval of allocations")
    }

    /// A process has probes from now on; 0 stands for all.
    pub(crate) fn add_target(&mut self, pid: u32) -> Result<()> {
        let added = self.targets.insert(pid, 1, 0);
        added.with_context(|| format!("count the CPU time of process {pid} in windows"))
    }

    /// A process has gone.
    pub(crate) fn remove_target(&mut self, pid: u32) {
        // Not there if it had no allocator.
        _ = self.targets.remove(&pid);
    }

    /// What was counted up to now.
    pub(crate) fn counts(&self) -> HeapCounts {
        let count = |stat| count(&self.stats, stat);
        // All ticks last, so that those in traps are among them.
        let frees = count(Stat::HeapFrees);
        HeapCounts {
            hits: count(Stat::HeapMakes) + frees,
            frees,
            sampling_ns: count(Stat::HeapSamplingNs),
            ticks_in_traps: count(Stat::TicksInTraps),
            ticks: count(Stat::Ticks),
        }
    }
}

/// The blocks that the programs on probes follow.
pub(crate) struct HeapBlocks {
    live: HashMap<MapData, BlockKey, Block>,
    /// By [`BlockKey::counter`].
    counters: SharedArray<u32>,
    stats: PerCpuArray<MapData, u64>,
}

/// What the programs on probes, and the clock of their traps, counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeapCounts {
    /// Hits of probes, and those of them by calls that free.
    pub(crate) hits: u64,
    pub(crate) frees: u64,
    /// Ticks of the clock in targets, and those of them in traps.
    pub(crate) ticks: u64,
    pub(crate) ticks_in_traps: u64,
    /// Nanoseconds that the samples of windows took.
    pub(crate) sampling_ns: u64,
}

/// All that there is for heap profiles.
pub(crate) struct HeapKernel {
    pub(crate) programs: HeapPrograms,
    pub(crate) switch: HeapSwitch,
    pub(crate) blocks: HeapBlocks,
    pub(crate) clock: TrapClock,
}

impl HeapKernel {
    /// Opens all, with the object's maps: the descriptors of all of them, and `take`, which takes one
    /// out of the object by name.
    pub(super) fn open(
        programs: HeapPrograms,
        maps: &[(String, RawFd)],
        clock: TrapClock,
        mut take: impl FnMut(&str) -> Result<Map>,
    ) -> Result<Self> {
        let stats = maps.iter().find(|(name, _)| name == "STATS").map(|(_, fd)| *fd);
        let stats = stats.context("the embedded kernel object has no STATS")?;
        // SAFETY: the descriptor is that of a map that the object holds meanwhile.
        let stats = unsafe { BorrowedFd::borrow_raw(stats) };
        let own_stats = || -> Result<PerCpuArray<MapData, u64>> {
            let stats = MapData::from_fd(stats.try_clone_to_owned()?)?;
            Ok(PerCpuArray::try_from(Map::PerCpuArray(stats))?)
        };
        let control = Array::try_from(take("HEAP")?)?;
        let targets = HashMap::try_from(take("HEAP_TARGETS")?)?;
        let switch = HeapSwitch { control, targets, stats: own_stats()? };
        let live = HashMap::try_from(take("BLOCKS")?)?;
        let counters = SharedArray::open(take("BLOCK_COUNTERS")?, BLOCK_COUNTERS)?;
        let blocks = HeapBlocks { live, counters, stats: own_stats()? };
        Ok(Self { programs, switch, blocks, clock })
    }
}

/// A counter of the programs.
fn count(stats: &PerCpuArray<MapData, u64>, stat: Stat) -> u64 {
    // A map of our own can always be read.
    stats.get(&(stat as u32), 0).map_or(0, |counts| counts.iter().sum())
}

impl HeapBlocks {
    /// How many ends of blocks could not be told.
    pub(crate) fn lost_ends(&self) -> u64 {
        count(&self.stats, Stat::FreeRingFull)
    }

    /// Whether a block lives: it has not been freed.
    pub(crate) fn lives(&self, key: BlockKey, id: u64) -> bool {
        self.live.get(&key, 0).is_ok_and(|block| block.id == id)
    }

    /// Forgets a block, if it is still the one that was meant.
    pub(crate) fn forget(&mut self, key: BlockKey, id: u64) {
        if self.lives(key, id) {
            // Gone already: it was freed.
            if self.live.remove(&key).is_ok() {
                self.counters.take_one(key.counter());
            }
        }
    }
}
