//! Probes in flame's own code, to see what hits cost.

use std::fs::File;

use anyhow::{Context as _, Result};

use crate::bpf::{HeapPrograms, Probe, ProbeLink};
use crate::process;

/// Probes that are in place.
pub(super) struct OwnProbes {
    /// Out when it is dropped.
    _link: ProbeLink,
}

impl OwnProbes {
    /// Puts them in.
    pub(super) fn open(programs: &HeapPrograms, probes: &[Probe]) -> Result<Self> {
        let file = File::open("/proc/self/exe").context("open flame's own program")?;
        let link = programs
            .allocations(&file, probes, Some(std::process::id()))
            .context("probe a function of flame's own")?;
        Ok(Self { _link: link })
    }
}

/// Where a function of flame's lies in its file.
pub(super) fn place(code: extern "C" fn(usize)) -> Result<u64> {
    process::own_file_offset(code as *const () as u64).context("find flame's own code")
}
