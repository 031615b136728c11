//! The step by frame pointer, x86-64 and aarch64 alike:
//!
//! ```text
//! caller's fp = *(fp)        return address = *(fp + 8)        caller's sp = fp + 16
//! ```
//!
//! It is taken where no table speaks of the code: what a runtime made, or text without unwind
//! information. Code without frame pointers uses the register for something else. What cannot be a frame is
//! refused: a pointer below the stack pointer, far above it, unaligned, or not growing. What
//! looks like one by chance is not noticed: such frames are marked as guesses.

use super::Memory;
use crate::limits::STACK_SPAN;
use crate::sample::StackEnd;

/// Where a walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The frame pointer.
    pub fp: u64,
    /// The stack pointer, or the least address that the caller's frame can have.
    pub sp: u64,
}

/// Goes to the caller: the new cursor and the return address, or why there is none.
#[inline(always)]
pub fn step(at: Cursor, memory: &mut impl Memory) -> Result<(Cursor, u64), StackEnd> {
    if at.fp == 0 {
        return Err(StackEnd::LastFramePointer);
    }
    if at.fp & 7 != 0 || at.fp < at.sp || at.fp - at.sp > STACK_SPAN {
        return Err(StackEnd::NoFramePointer);
    }
    let fp = memory.word(at.fp).ok_or(StackEnd::Unreadable)?;
    let return_address = memory.word(at.fp + 8).ok_or(StackEnd::Unreadable)?;
    if return_address == 0 {
        return Err(StackEnd::LastFramePointer);
    }
    if !plausible(return_address) {
        return Err(StackEnd::NoFramePointer);
    }
    Ok((Cursor { fp, sp: at.fp + 16 }, return_address))
}

/// Whether an address can hold user code: above the unmapped first page, below the kernel's half.
#[inline(always)]
fn plausible(address: u64) -> bool {
    (0x1000..1 << 56).contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A stack at 0x1000, one word each 8 bytes.
    struct Words(Vec<u64>);

    impl Memory for Words {
        fn word(&mut self, address: u64) -> Option<u64> {
            let index = usize::try_from(address.checked_sub(0x1000)? / 8).ok()?;
            self.0.get(index).copied()
        }
    }

    #[test]
    fn a_chain_is_followed_to_its_root() {
        let mut stack = Words([0x1020, 0x40_0001, 0, 0, 0, 0x40_0002].into());
        let at = Cursor { fp: 0x1000, sp: 0x0ff0 };
        let (at, caller) = step(at, &mut stack).expect("the first frame");
        assert_eq!((at, caller), (Cursor { fp: 0x1020, sp: 0x1010 }, 0x40_0001));
        let (at, caller) = step(at, &mut stack).expect("the second frame");
        assert_eq!(caller, 0x40_0002);
        assert_eq!(step(at, &mut stack), Err(StackEnd::LastFramePointer));
    }

    #[test]
    fn what_cannot_be_a_frame_is_refused() {
        let mut stack = Words([0x1000, 0x40_0001, 0x1000, 0x10].into());
        let mut refused = |fp, sp| step(Cursor { fp, sp }, &mut stack).err();
        assert_eq!(refused(0x1004, 0x1000), Some(StackEnd::NoFramePointer), "unaligned");
        assert_eq!(refused(0x1000, 0x1010), Some(StackEnd::NoFramePointer), "below the stack");
        assert_eq!(refused(0x9000_0000, 0x1000), Some(StackEnd::NoFramePointer), "far above");
        assert_eq!(refused(0x1010, 0x1000), Some(StackEnd::NoFramePointer), "no code address");
        assert_eq!(refused(0x2000, 0x1000), Some(StackEnd::Unreadable));
        let (at, _) = step(Cursor { fp: 0x1000, sp: 0x1000 }, &mut stack).expect("one frame");
        assert_eq!(step(at, &mut stack), Err(StackEnd::NoFramePointer), "a cycle");
    }
}
