//! Heap profiling in user space: which functions of a process allocate, and where they are probed.

mod allocator;
mod choose;
mod code;
mod find;
pub(crate) mod go;
mod hook;
mod limits;
mod paths;
mod probe_point;
mod symbols;
mod traces;

pub(crate) use allocator::Allocator;
pub(crate) use choose::{Cannot, Choice, Object, choose};
pub(crate) use find::hooks;
pub(crate) use hook::{Hook, Hooks};
pub(crate) use limits::{Explained, Runtime};
pub(crate) use traces::traces;
