//! Adding up samples as they come: no symbols here, only addresses and counts.

mod absorb;
mod aggregator;
mod places;
mod raw;
mod stacks;

pub(crate) use aggregator::{Aggregate, Aggregator, Key};
pub(crate) use raw::{RawSample, StackCopy};
pub(crate) use stacks::{Stack, Stacks};
