//! How often the CPUs' clocks fired, which each counts in the page that its samples need anyway.

use anyhow::{Context as _, Result, ensure};
use aya::maps::Map;
use flame_common::limits::FIRED;

use super::tables::SharedArray;

/// The numbers of all CPUs.
pub(super) struct Fired {
    places: SharedArray<u64>,
    /// Words between those of two CPUs.
    stride: usize,
    cpus: usize,
}

impl Fired {
    /// Opens the places of samples, so many for each CPU.
    pub(super) fn open(map: Map, cpus: u32, places: u32) -> Result<Self> {
        let Map::Array(data) = &map else {
            anyhow::bail!("the places of samples are no array");
        };
        let bytes = data.info().context("look at a map")?.value_size();
        ensure!(bytes % 8 == 0, "the places of samples are no words");
        let (cpus, stride) = (cpus as usize, bytes as usize / 8 * places as usize);
        Ok(Self { places: SharedArray::open(map, cpus * stride)?, stride, cpus })
    }

    /// Their sum.
    pub(super) fn count(&self) -> u64 {
        (0..self.cpus).map(|cpu| self.places.load(cpu * self.stride + FIRED)).sum()
    }
}
