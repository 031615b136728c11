//! Sampled blocks of memory, as the kernel programs keep them between an allocation and the call
//! that frees it, and what user space sets for their sampling.

use crate::limits::BLOCK_COUNTERS;

/// What a live block is found by. Threads share their blocks: there is no thread in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct BlockKey {
    /// Where it is.
    pub address: u64,
    /// The process, in flame's pid namespace.
    pub pid: u32,
    /// Zero.
    pub pad: u32,
}

impl BlockKey {
    /// Of a block of a process.
    #[inline(always)]
    pub const fn of(pid: u32, address: u64) -> Self {
        Self { address, pid, pad: 0 }
    }

    /// Which counter of live blocks it is counted by. (Fibonacci hashing: Knuth, "The Art of Computer
    /// Programming", vol. 3, section 6.4.)
    #[inline(always)]
    pub const fn counter(&self) -> u32 {
        const SHIFT: u32 = 64 - BLOCK_COUNTERS.trailing_zeros();
        let both = self.address ^ (self.pid as u64) << 40;
        (both.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as u32
    }
}

/// A live block that was sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Block {
    /// The number of its sample; never 0.
    pub id: u64,
    /// Bytes that were asked for.
    pub size: u64,
}

/// A call into an allocator whose return is awaited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Call {
    /// The stack pointer at its entry.
    pub stack_pointer: u64,
    /// Its return address; the kernel puts its own in the place of it.
    pub caller: u64,
    /// Its first argument: where the result goes, or the block that it gives up.
    pub argument: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The sampling interval by which it was chosen, in bytes; 0 if it was not.
    pub interval: u64,
    /// The sampled block that it gives up if it succeeds; its id is 0 if there is none.
    pub old: Block,
    /// A [`Role`](crate::heap::Role).
    pub role: u32,
    /// Zero.
    pub pad: u32,
}

/// What user space sets of the sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HeapControl {
    /// Mean bytes between two samples; 0 takes none.
    pub interval: u64,
}

/// How far a CPU is on the way to its next sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Countdown {
    /// Bytes to go.
    pub remaining: i64,
    /// The interval by which they were drawn: another one wants another draw.
    pub interval: u64,
}

/// In a probe's cookie, whose low byte is the [`Role`](crate::heap::Role): it is in flame's own code,
/// to see what its hits take. They are not counted.
pub const OWN: u64 = 1 << 8;
/// In a probe's cookie: without an old block the function calls another one that is probed too.
pub const NULL_IS_MALLOC: u64 = 1 << 9;
/// In a probe's cookie: for an alignment of up to [`PLAIN_ALIGNMENT`] bytes the function jumps on to
/// another one that is probed too.
pub const PLAIN_IS_MALLOC: u64 = 1 << 10;
/// The alignment that glibc's `malloc` gives any block (`MALLOC_ALIGNMENT` on x86-64).
pub const PLAIN_ALIGNMENT: u64 = 16;
/// In a probe's cookie: its link is of one process, which is a target, and the kernel sees to it
/// that no other hits it.
pub const OF_TARGET: u64 = 1 << 11;
/// In a probe's cookie: the function may throw an exception. One that comes to a return address that
/// the kernel has replaced finds no unwind table there, and ends the program.
pub const MAY_THROW: u64 = 1 << 12;
/// How far up in a probe's cookie the packed [`Arguments`](crate::heap::Arguments) are.
pub const ARGUMENTS_SHIFT: u32 = 16;
/// How far up in a probe's cookie the distance is to where its instruction leads: a signed number of
/// 32 bits.
pub const LEADS_SHIFT: u32 = 32;

const _: () = assert!(BLOCK_COUNTERS.is_power_of_two());
const _: () = assert!(size_of::<BlockKey>() == 16);
const _: () = assert!(size_of::<Block>() == 16);
const _: () = assert!(size_of::<Call>() == 64);
const _: () = assert!(size_of::<HeapControl>() == 8);

#[cfg(feature = "user")]
mod pod {
    use super::{Block, BlockKey, HeapControl};

    // SAFETY: `repr(C)`, made of integers alone without padding between them.
    #[expect(unsafe_code, reason = "aya asks for the promise that the bytes may be copied")]
    unsafe impl aya::Pod for BlockKey {}
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "aya asks for the promise that the bytes may be copied")]
    unsafe impl aya::Pod for Block {}
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "aya asks for the promise that the bytes may be copied")]
    unsafe impl aya::Pod for HeapControl {}
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;

    use super::*;

    #[test]
    fn blocks_of_all_sizes_and_processes_spread_over_the_counters() {
        let mut hit = vec![0u32; BLOCK_COUNTERS];
        let blocks = BLOCK_COUNTERS as u64;
        for size in [16, 64, 4096] {
            hit.fill(0);
            for n in 0..blocks {
                let key = BlockKey {
                    address: 0x7f00_0000_0010 + n * size,
                    pid: 1 + n as u32 % 4,
                    pad: 0,
                };
                hit[key.counter() as usize] += 1;
            }
            // As many by chance leave e^-1 of them empty; what is regular may do a little worse.
            let empty = hit.iter().filter(|&&count| count == 0).count() as f64 / blocks as f64;
            assert!(empty < 0.65, "{size}: {empty}");
        }
    }
}
