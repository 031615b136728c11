//! A sample on the ring buffer: a header, then the kernel's frames, then the user's, all innermost
//! first.

use crate::limits::{COMM, SAMPLE_FRAMES};

/// The fixed part of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SampleHeader {
    /// When it was taken: `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// What it weighs, in the unit of its kind (CPU: the event's period).
    pub value: u64,
    /// Process (thread group) in flame's pid namespace.
    pub pid: u32,
    /// Thread in flame's pid namespace.
    pub tid: u32,
    /// A [`SampleKind`].
    pub kind: u32,
    /// Number of kernel frames, as 64-bit addresses.
    pub kernel_frames: u16,
    /// Number of user frames, each a [`RawFrame`](crate::frame::RawFrame).
    pub user_frames: u16,
    /// A [`StackEnd`]: why the user stack has no further frame.
    pub user_end: u32,
    /// Zero.
    pub pad: u32,
    /// The thread's name, NUL-padded.
    pub comm: [u8; COMM],
}

/// Bytes of a [`SampleHeader`].
pub const HEADER_BYTES: usize = size_of::<SampleHeader>();
const _: () = assert!(HEADER_BYTES == 56);

/// Where a sample is put together before it goes out. One a CPU.
#[repr(C)]
pub struct SampleBuffer {
    /// The fixed part.
    pub header: SampleHeader,
    /// The frames; only those used are sent.
    pub frames: [u64; SAMPLE_FRAMES],
}

/// What made a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum SampleKind {
    /// The clock or counter of a CPU.
    Cpu = 0,
}

/// Why a stack has no further frame. The numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum StackEnd {
    /// There is no user stack: a kernel thread, or a task that has left user space for good.
    NoUserStack = 0,
    /// A frame pointer or return address of zero, which start-up code leaves for the outermost.
    Root = 1,
    /// More frames than fit.
    Truncated = 2,
    /// Stack memory that could not be read without a page fault.
    Unreadable = 3,
    /// A frame pointer that cannot be one: the code keeps none.
    NoFramePointer = 4,
}

impl StackEnd {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 5] =
        [Self::NoUserStack, Self::Root, Self::Truncated, Self::Unreadable, Self::NoFramePointer];

    /// The reason for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoUserStack => "no user stack",
            Self::Root => "reached the root",
            Self::Truncated => "truncated at the frame limit",
            Self::Unreadable => "stack memory not readable",
            Self::NoFramePointer => "code without frame pointers",
        }
    }
}

impl TryFrom<u32> for StackEnd {
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        Self::ALL.get(number as usize).copied().ok_or(number)
    }
}

impl TryFrom<u32> for SampleKind {
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        match number {
            0 => Ok(Self::Cpu),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_stack_end_reads_back() {
        for end in StackEnd::ALL {
            assert_eq!(StackEnd::try_from(end as u32), Ok(end));
        }
        assert_eq!(StackEnd::try_from(5), Err(5));
    }
}
