//! A frame as the kernel programs see it: a code address, and how it was found.

/// A user-space code address in the low 56 bits, its kind in the high 8.
///
/// User addresses have at most 56 bits on x86-64 (five-level paging) and aarch64 (without tags).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct RawFrame(pub u64);

/// What a frame's address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameAddress {
    /// The instruction that the thread was about to run.
    InstructionPointer(u64),
    /// Where the thread will return to: the instruction *after* the call, which may belong to
    /// another line or even to another function than the call.
    ReturnAddress(u64),
}

const ADDRESS: u64 = (1 << 56) - 1;
const RETURN: u64 = 0;
const INSTRUCTION: u64 = 1 << 56;
const GUESS: u64 = 2 << 56;

impl RawFrame {
    /// A frame that was running.
    #[inline(always)]
    pub const fn instruction_pointer(address: u64) -> Self {
        Self((address & ADDRESS) | INSTRUCTION)
    }

    /// A frame that was calling.
    #[inline(always)]
    pub const fn return_address(address: u64) -> Self {
        Self((address & ADDRESS) | RETURN)
    }

    /// A frame that was calling, found by a frame pointer that no table vouches for.
    #[inline(always)]
    pub const fn guess(address: u64) -> Self {
        Self((address & ADDRESS) | GUESS)
    }

    /// Whether the frame was found by a frame pointer that no table vouches for.
    pub const fn is_guess(self) -> bool {
        self.0 & !ADDRESS == GUESS
    }

    /// The address with its meaning; `None` for a kind that this version does not know.
    pub const fn address(self) -> Option<FrameAddress> {
        let address = self.0 & ADDRESS;
        match self.0 & !ADDRESS {
            RETURN | GUESS => Some(FrameAddress::ReturnAddress(address)),
            INSTRUCTION => Some(FrameAddress::InstructionPointer(address)),
            _ => None,
        }
    }
}

impl FrameAddress {
    /// An address inside the instruction that runs or calls: what symbols are looked up by.
    pub const fn lookup(self) -> u64 {
        match self {
            Self::InstructionPointer(address) => address,
            Self::ReturnAddress(address) => address.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_is_looked_up_inside_its_call() {
        let frame = RawFrame::return_address(0x7fff_1234);
        assert_eq!(frame.address(), Some(FrameAddress::ReturnAddress(0x7fff_1234)));
        assert_eq!(frame.address().map(FrameAddress::lookup), Some(0x7fff_1233));
        let leaf = RawFrame::instruction_pointer(0x7fff_1234);
        assert_eq!(leaf.address().map(FrameAddress::lookup), Some(0x7fff_1234));
        assert_eq!(RawFrame(u64::MAX).address(), None);
        let guess = RawFrame::guess(0x7fff_1234);
        assert_eq!(guess.address(), frame.address());
        assert!(guess.is_guess() && !frame.is_guess() && !leaf.is_guess());
    }
}
