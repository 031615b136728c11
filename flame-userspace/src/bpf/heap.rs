//! The kernel's side of heap profiles: the programs on the allocators' probes, and the blocks that
//! they follow.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use flame_common::block::{Block, BlockKey, HeapControl};

use super::features;
use super::uprobe::{Attach, Linked, Probe, ProbeLink, ProbeProgram};

/// The programs on probes, by what this kernel can do.
#[derive(Debug)]
pub(crate) struct HeapPrograms {
    follow: Follow,
    /// Entries alone.
    allocations: ProbeProgram,
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
const MULTI: (u32, u32) = (6, 6);
const SESSION: (u32, u32) = (6, 13);

impl HeapPrograms {
    /// Loads them, bound to the maps of these names.
    pub(super) fn load(object: &[u8], maps: &[(String, RawFd)]) -> Result<Self> {
        let version = features::kernel_version();
        anyhow::ensure!(
            version >= MULTI,
            "heap profiles need Linux 6.6 or later; this is {}",
            features::kernel_release()
        );
        let linked = Linked::new(object, maps)?;
        let follow = if version >= SESSION {
            Follow::Session(linked.load("heap_session", Attach::Session)?)
        } else {
            let enter = linked.load("heap_enter", Attach::Multi)?;
            Follow::Pair { enter, leave: linked.load("heap_leave", Attach::Multi)? }
        };
        Ok(Self { follow, allocations: linked.load("heap_alloc", Attach::Multi)? })
    }

    /// Follows the blocks of an allocator from their allocation to their end, in one process or in
    /// all. `makes` are the probes of functions whose return matters, `frees` those of the others.
    pub(crate) fn follow(
        &self,
        file: &File,
        makes: &[Probe],
        frees: &[Probe],
        pid: Option<u32>,
    ) -> io::Result<ProbeLink> {
        let all: Vec<Probe> = makes.iter().chain(frees).copied().collect();
        match &self.follow {
            Follow::Session(session) => session.attach(file, &all, false, pid),
            Follow::Pair { enter, leave } => {
                // First the returns: an entry that is not followed by one would wait for ever.
                let returns = leave.attach(file, makes, true, pid)?;
                Ok(ProbeLink::of([enter.attach(file, &all, false, pid)?, returns]))
            }
        }
    }

    /// Samples the allocations of an allocator, without their fate.
    pub(crate) fn allocations(
        &self,
        file: &File,
        makes: &[Probe],
        pid: Option<u32>,
    ) -> io::Result<ProbeLink> {
        self.allocations.attach(file, makes, false, pid)
    }
}

/// What the programs on probes share with user space.
pub(crate) struct HeapMaps {
    control: Array<MapData, HeapControl>,
    blocks: HashMap<MapData, BlockKey, Block>,
}

impl HeapMaps {
    /// Opens them; `take` takes one out of the object by name.
    pub(super) fn open(mut take: impl FnMut(&str) -> Result<Map>) -> Result<Self> {
        Ok(Self {
            control: Array::try_from(take("HEAP")?)?,
            blocks: HashMap::try_from(take("BLOCKS")?)?,
        })
    }

    /// Sets the mean number of bytes between two samples; 0 takes none.
    pub(crate) fn set_interval(&mut self, bytes: u64) -> Result<()> {
        let control = HeapControl { interval: bytes };
        self.control.set(0, control, 0).context("set the sampling interval of allocations")
    }

    /// The blocks that live.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (BlockKey, Block)> {
        // What is freed meanwhile may be missed or told; what cannot be read is not there.
        self.blocks.iter().filter_map(Result::ok)
    }

    /// Forgets a block, if it is still the one that was meant.
    pub(crate) fn forget(&mut self, key: BlockKey, id: u64) {
        if self.blocks.get(&key, 0).is_ok_and(|block| block.id == id) {
            // Gone already: it was freed.
            _ = self.blocks.remove(&key);
        }
    }
}
