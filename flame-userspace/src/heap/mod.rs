//! Heap profiling in user space: which functions of a process allocate, where they are probed, and
//! the books of what they allocate.

mod after;
mod allocator;
mod choose;
mod code;
mod find;
pub(crate) mod go;
mod history;
mod holders;
mod hook;
mod ledger;
mod limits;
mod own;
mod paths;
mod peak;
mod price;
mod prices;
mod probe_point;
mod reach;
mod symbols;
mod traces;
mod weight;
mod windows;

pub(crate) use after::after;
pub(crate) use allocator::Allocator;
pub(crate) use choose::{Object, choose};
pub(crate) use find::hooks;
pub(crate) use holders::{Growth, Holder, Holds};
pub(crate) use hook::{Hook, Hooks};
pub(crate) use ledger::{ClosedLedger, HeapRow, Ledger};
pub(crate) use limits::{Explained, Runtime};
pub use own::OwnFunction;
pub(crate) use price::{AFTER, Price};
pub(crate) use probe_point::Emulated;
pub(crate) use traces::traces;
pub(crate) use weight::{Blocks, Estimate};
pub(crate) use windows::Window;
