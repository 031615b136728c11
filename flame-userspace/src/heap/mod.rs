//! Heap profiling in user space: which functions of a process allocate, and where they are probed.

mod allocator;
mod code;
mod find;
mod hook;
mod paths;
mod probe_point;
mod symbols;

pub(crate) use allocator::Allocator;
pub(crate) use find::hooks;
pub(crate) use hook::{Hook, Hooks};
