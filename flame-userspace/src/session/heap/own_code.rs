//! Probes in flame's own code, to see what hits cost.

use std::fs::File;
use std::thread;

use anyhow::{Context as _, Result};

use crate::bpf::{HeapPrograms, Probe, ProbeLink};
use crate::process;

/// Probes that are in place.
pub(super) struct OwnProbes {
    link: Option<ProbeLink>,
}

impl OwnProbes {
    /// Puts them in.
    pub(super) fn open(programs: &HeapPrograms, probes: &[Probe]) -> Result<Self> {
        let file = File::open("/proc/self/exe").context("open flame's own program")?;
        let link = programs
            .allocations(&file, probes, Some(std::process::id()))
            .context("probe a function of flame's own")?;
        Ok(Self { link: Some(link) })
    }
}

impl Drop for OwnProbes {
    fn drop(&mut self) {
        // Closing it waits for all CPUs. Where no thread can be had, it is closed all the same.
        let link = self.link.take();
        _ = thread::Builder::new().spawn(move || drop(link));
    }
}

/// Where a function of flame's lies in its file.
pub(super) fn place(code: extern "C" fn(usize)) -> Result<u64> {
    process::own_file_offset(code as *const () as u64).context("find flame's own code")
}
