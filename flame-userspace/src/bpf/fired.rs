//! How often the CPUs' clocks fired, which each counts in the page that its samples need anyway.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use aya::maps::Map;
use flame_common::stat::FIRED;

use super::tables::SharedArray;

/// The numbers of all CPUs: of each the first page of its first place.
pub(super) struct Fired(Vec<SharedArray<u64>>);

impl Fired {
    /// Opens the places of samples, so many for each CPU.
    pub(super) fn open(map: Map, cpus: u32, places: u32) -> Result<Self> {
        let Map::Array(data) = &map else {
            anyhow::bail!("the places of samples are no array");
        };
        let bytes = data.info().context("look at a map")?.value_size();
        let map = Arc::new(map);
        let first_bytes = (0..cpus).map(|cpu| cpu as usize * places as usize * bytes as usize);
        let counts = first_bytes.map(|first| SharedArray::part(&map, first, FIRED + 1));
        counts.collect::<Result<_>>().map(Self)
    }

    /// Their sum.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|count| count.load(FIRED)).sum()
    }
}
