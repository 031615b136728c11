//! Heap profiling in user space: which functions of a process allocate, where they are probed, and
//! the books of what they allocate.

mod allocator;
mod code;
mod find;
mod hook;
mod ledger;
mod paths;
mod probe_point;
mod symbols;
mod weight;
mod windows;

pub(crate) use allocator::Allocator;
pub(crate) use find::hooks;
pub(crate) use hook::{Hook, Hooks};
pub(crate) use ledger::{ClosedLedger, Ledger};
pub(crate) use weight::Estimate;
