//! Heap profiling in user space: which functions of a process allocate, and where they are probed.

mod allocator;
mod hook;

pub(crate) use allocator::{Allocator, wanted};
pub(crate) use hook::{Hook, Hooks};
