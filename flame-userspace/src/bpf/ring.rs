//! The ring buffer of samples, read in batches.

use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::decode;
use crate::aggregate::RawSample;

/// The samples that the kernel programs send.
pub(crate) struct SampleRing(RingBuf<MapData>);

impl SampleRing {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Makes the ring wake a task when a quarter of it waits.
    pub(crate) fn watch(self) -> Result<AsyncFd<Self>> {
        // SAFETY: the ring owns its descriptor, which stays open and the same as long as it lives.
        let watched = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        watched.context("watch the ring of samples")
    }

    /// Reads all waiting samples into `samples`; returns how many could not be understood.
    pub(crate) fn drain(&mut self, samples: &mut Vec<RawSample>) -> u64 {
        let mut malformed = 0;
        while let Some(item) = self.0.next() {
            match decode::decode(&item) {
                Ok(sample) => samples.push(sample),
                Err(_) => malformed += 1,
            }
        }
        malformed
    }
}

impl AsRawFd for SampleRing {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
