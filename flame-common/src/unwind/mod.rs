//! Walking a user stack, one frame at a time.
//!
//! The steps are pure: memory comes in through [`Memory`], so that the same code runs in the
//! kernel over live stacks and in tests over recorded ones.

pub mod frame_pointer;

/// Read access to a stack.
pub trait Memory {
    /// The two 64-bit words at `address` and behind it; `None` where they cannot be read.
    fn pair(&self, address: u64) -> Option<(u64, u64)>;
}
