//! The kernel's side of growth: how densely touched memory is sampled, and what of it is there.

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use flame_common::block::{Block, HeapControl};

/// The programs' maps.
pub(crate) struct GrowthKernel {
    control: Array<MapData, HeapControl>,
    resident: HashMap<MapData, u64, Block>,
}

impl GrowthKernel {
    /// Opens them; `take` takes one out of the object by name.
    pub(super) fn open(mut take: impl FnMut(&str) -> Result<Map>) -> Result<Self> {
        let control = Array::try_from(take("GROWTH")?)?;
        Ok(Self { control, resident: HashMap::try_from(take("RESIDENT")?)? })
    }

    /// Sets the mean number of bytes between two samples; 0 takes none.
    pub(crate) fn set_interval(&mut self, bytes: u64) -> Result<()> {
        let control = HeapControl { interval: bytes };
        self.control.set(0, control, 0).context("set the sampling interval of touched memory")
    }

    /// Forgets a page, if it is still the one that was meant.
    pub(crate) fn forget(&mut self, page: u64, id: u64) {
        if self.resident.get(&page, 0).is_ok_and(|block| block.id == id) {
            // Gone already: it was given back.
            _ = self.resident.remove(&page);
        }
    }
}
