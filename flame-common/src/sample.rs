//! A sample on the ring buffer: a header, then the kernel's frames, then the user's, all innermost
//! first. Where the kernel could not finish the user stack, the registers at which it stopped and
//! a copy of the stack follow, for user space to go on from. After [`StackEnd::Expression`] they
//! are the innermost frame's, of which all are known, and user space walks once more.

use crate::limits::{COMM, SAMPLE_FRAMES, STACK_COPY_ROOM};
use crate::unwind::REGISTER_WORDS;

/// The fixed part of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SampleHeader {
    /// When it was taken: `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// What it weighs, in the unit of its kind (CPU: the event's period; heap: bytes asked for;
    /// growth: bytes got).
    pub value: u64,
    /// Heap and growth: the number of the block's sample, by which its end is told. CPU: where on
    /// the stack the kernel put another return address, for a probe. Else 0.
    pub id: u64,
    /// Heap: the sampling interval by which it was chosen, in bytes. Else 0.
    pub interval: u64,
    /// Heap and growth: where the block is, if its end will be told. CPU: the return address that
    /// is meant at `id`. Else 0.
    pub address: u64,
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
    /// Bytes of copied stack behind the registers; without a copy there are no registers either.
    pub copied: u32,
    /// The thread's name, NUL-padded.
    pub comm: [u8; COMM],
}

/// Bytes of a [`SampleHeader`].
pub const HEADER_BYTES: usize = size_of::<SampleHeader>();
const _: () = assert!(HEADER_BYTES == 80);

/// Where a sample is put together before it goes out. One a CPU.
#[repr(C)]
pub struct SampleBuffer {
    /// The fixed part.
    pub header: SampleHeader,
    /// The frames, then registers and stack; only what is used is sent.
    pub body: [u64; SAMPLE_FRAMES + REGISTER_WORDS + STACK_COPY_ROOM / 8],
}

/// What made a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum SampleKind {
    /// The clock or counter of a CPU.
    Cpu = 0,
    /// An allocation.
    Alloc = 1,
    /// The end of a sampled block: a header alone.
    Free = 2,
    /// A target was started or runs another program, whose allocator is to be probed soon: a header
    /// alone.
    Begun = 3,
    /// Memory that a process got from the kernel by touching it.
    Growth = 4,
    /// A thread of a target ends: the stack with which it does, before its memory is given back, and
    /// the CPU time that it has used up to the scheduler's last look, in nanoseconds.
    Leaving = 5,
}

/// Why a stack has no further frame. The numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum StackEnd {
    /// There is no user stack: a kernel thread, or a task that has left user space for good.
    NoUserStack = 0,
    /// The outermost frame: code whose caller is undefined, or a return address of zero.
    Root = 1,
    /// More frames than fit.
    Truncated = 2,
    /// Stack memory that could not be read without a page fault.
    Unreadable = 3,
    /// A frame pointer that cannot be one, in code without a table.
    NoFramePointer = 4,
    /// A frame pointer of zero, in code without a table: start-up code leaves it for the outermost.
    LastFramePointer = 5,
    /// Code whose tables the kernel did not have, and no room to copy the stack to user space.
    NoTable = 6,
    /// A rule that has to be computed, which neither the kernel nor user space could.
    Expression = 7,
    /// A rule that leads below the stack pointer: memory or registers are not what it takes them
    /// for.
    Implausible = 8,
    /// The stack goes on beyond the part that was copied.
    CopyTooShort = 9,
    /// A return address at which no code is.
    Unmapped = 10,
}

impl StackEnd {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::NoUserStack,
        Self::Root,
        Self::Truncated,
        Self::Unreadable,
        Self::NoFramePointer,
        Self::LastFramePointer,
        Self::NoTable,
        Self::Expression,
        Self::Implausible,
        Self::CopyTooShort,
        Self::Unmapped,
    ];

    /// Whether the stack has all of its frames.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Root | Self::NoUserStack)
    }

    /// The reason for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoUserStack => "no user stack",
            Self::Root => "reached the root",
            Self::Truncated => "truncated at the frame limit",
            Self::Unreadable => "stack memory not readable",
            Self::NoFramePointer => "code without tables or frame pointers",
            Self::LastFramePointer => "reached the last frame pointer",
            Self::NoTable => "tables not there yet",
            Self::Expression => "a rule not understood",
            Self::Implausible => "implausible stack",
            Self::CopyTooShort => "beyond the copied stack",
            Self::Unmapped => "return address outside of code",
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
            1 => Ok(Self::Alloc),
            2 => Ok(Self::Free),
            3 => Ok(Self::Begun),
            4 => Ok(Self::Growth),
            5 => Ok(Self::Leaving),
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
        assert_eq!(StackEnd::try_from(11), Err(11));
    }
}
