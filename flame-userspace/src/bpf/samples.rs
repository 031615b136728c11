//! What the kernel programs send, read in batches: the ring buffer of samples, and the slots of the
//! CPUs' clocks.

use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::decode;
use super::slots::Slots;
use crate::aggregate::RawSample;

/// The samples that the kernel programs send.
pub(crate) struct Samples {
    ring: RingBuf<MapData>,
    slots: Slots,
}

impl Samples {
    pub(super) fn new(ring: RingBuf<MapData>, slots: Slots) -> Self {
        Self { ring, slots }
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
        let mut take = |bytes: &[u8]| match decode::decode(bytes) {
            Ok(sample) => samples.push(sample),
            Err(_) => malformed += 1,
        };
        while let Some(item) = self.ring.next() {
            take(&item);
        }
        self.slots.drain(take);
        malformed
    }
}

impl AsRawFd for Samples {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
