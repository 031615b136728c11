//! The kernel programs' counters, added up over the CPUs.

use anyhow::{Context as _, Result};
use aya::maps::{MapData, PerCpuArray};
use flame_common::stat::Stat;

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; Stat::ALL.len()]);

impl Counts {
    /// Reads them.
    pub(crate) fn read(map: &PerCpuArray<MapData, u64>) -> Result<Self> {
        Self::read_some(map, &Stat::ALL)
    }

    /// Reads some of them, each by a call of the kernel's; the others are zero.
    pub(crate) fn read_some(map: &PerCpuArray<MapData, u64>, stats: &[Stat]) -> Result<Self> {
        let mut counts = Self::default();
        for &stat in stats {
            let per_cpu = map.get(&(stat as u32), 0).context("read the programs' counters")?;
            counts.0[stat as usize] = per_cpu.iter().sum();
        }
        Ok(counts)
    }

    /// These with another number for one, which is counted elsewhere.
    pub(crate) fn with(mut self, stat: Stat, count: u64) -> Self {
        self.0[stat as usize] = count;
        self
    }

    /// One counter.
    pub(crate) fn get(&self, stat: Stat) -> u64 {
        self.0[stat as usize]
    }

    /// What was counted since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut counts = *self;
        for (count, before) in counts.0.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(before);
        }
        counts
    }
}
