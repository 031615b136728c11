//! Walking a user stack, one frame at a time.
//!
//! The steps are pure: memory comes in through [`Memory`], so that the same code runs in the
//! kernel over live stacks, in user space over copied ones, and in tests over recorded ones.

pub mod frame_pointer;
mod number;
mod row;
mod rule;
pub mod search;
mod step;
mod x86_64;

pub use number::{DICTIONARY, Usual};
pub use row::Row;
pub use rule::{Kind, Rule, SavedFp};
pub use step::{Step, step, step_usual};
pub use x86_64::{FP, REGISTER_WORDS, Registers, SP, saved_by_return_probe};

/// Read access to a stack.
pub trait Memory {
    /// The 64-bit word at `address`; `None` where it cannot be read.
    fn word(&mut self, address: u64) -> Option<u64>;

    /// Tells so many words from `address` on, each with its place among them; `None` where not all can
    /// be read, of which some may have been told.
    #[inline(always)]
    fn words<const N: usize>(
        &mut self,
        address: u64,
        mut tell: impl FnMut(usize, u64),
    ) -> Option<()> {
        for place in 0..N {
            tell(place, self.word(address.wrapping_add(8 * place as u64))?);
        }
        Some(())
    }
}
