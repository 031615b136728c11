//! A sample as the kernel sent it.

use flame_common::frame::RawFrame;
use flame_common::sample::{SampleKind, StackEnd};
use flame_common::unwind::Registers;

/// A sample of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawSample {
    /// When: `CLOCK_MONOTONIC`, nanoseconds.
    pub(crate) time_ns: u64,
    /// What it weighs: the event's period, or the bytes of an allocation.
    pub(crate) value: u64,
    /// The number of an allocation's sample; 0 for other samples, and where it is not followed.
    pub(crate) id: u64,
    /// The sampling interval of an allocation, in bytes.
    pub(crate) interval: u64,
    /// Where an allocation is, if its end will be told; else 0.
    pub(crate) address: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) kind: SampleKind,
    /// Why the user stack has no further frame.
    pub(crate) user_end: StackEnd,
    /// The thread's name.
    pub(crate) comm: String,
    /// Kernel addresses, innermost first.
    pub(crate) kernel: Vec<u64>,
    /// User frames, innermost first.
    pub(crate) user: Vec<RawFrame>,
    /// What is needed to go on with the user stack, where the kernel could not.
    pub(crate) copy: Option<Box<StackCopy>>,
}

/// The registers of a frame and the stack from its stack pointer on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackCopy {
    pub(crate) registers: Registers,
    pub(crate) stack: Vec<u8>,
}
