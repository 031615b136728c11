//! The heap profile that a Go program takes of itself, read from outside, without a probe.
//!
//! Go's runtime samples its allocations (one each `MemProfileRate` bytes on average, 512 KiB by
//! default) into buckets, one for each stack and size, in a list that only grows and whose entries
//! never move: it can be read while the program runs. As Go's own dump does, this tells what was
//! in use at the end of the last finished garbage collection but one at most.
//!
//! Layouts are those of `runtime/mprof.go` (`bucket`, `memRecord`), the same from Go 1.19 to 1.26.

mod locate;
mod read;
mod since;
mod words;

pub(crate) use locate::{Variables, locate};
pub(crate) use read::{Cut, GoProfile, NoProfile, read};
pub(crate) use since::GoBlocks;
