//! The slots in which the CPUs' clocks leave their samples, read in the order in which they are
//! filled.

use anyhow::Result;
use aya::maps::Map;
use flame_common::slot::{SLOT_BYTES, SLOT_ROOM};

use super::tables::SharedArray;

const SLOT_WORDS: usize = SLOT_BYTES / 8;

/// The slots of all CPUs.
pub(super) struct Slots {
    memory: SharedArray<u64>,
    /// Of each CPU.
    count: usize,
    /// Of each CPU, the slot that is filled next.
    next: Vec<usize>,
}

impl Slots {
    /// Opens `count` slots of each of `cpus`.
    pub(super) fn open(map: Map, cpus: u32, count: u32) -> Result<Self> {
        let (cpus, count) = (cpus as usize, count as usize);
        let memory = SharedArray::open(map, cpus * count * SLOT_WORDS)?;
        Ok(Self { memory, count, next: vec![0; cpus] })
    }

    /// Reads all samples that wait, and empties their slots.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        let mut sample = Vec::with_capacity(SLOT_ROOM);
        for (cpu, next) in self.next.iter_mut().enumerate() {
            // As many as there are: the CPU may fill on meanwhile.
            for _ in 0..self.count {
                let slot = (cpu * self.count + *next) * SLOT_WORDS;
                let bytes = (self.memory.load(slot) as usize).min(SLOT_ROOM);
                if bytes == 0 {
                    break;
                }
                let words = (1..=bytes.div_ceil(8)).map(|word| self.memory.load(slot + word));
                sample.clear();
                sample.extend(words.flat_map(u64::to_ne_bytes));
                take(&sample[..bytes]);
                self.memory.store(slot, 0);
                *next = (*next + 1) % self.count;
            }
        }
    }
}
