//! What the end-to-end tests share: [`Workload`]s with known answers, the [`Flame`] runner, and
//! [`Seen`], a profile in the form that assertions want.
//!
//! The tests load kernel programs, measure shares of CPU time and make users and mounts: they
//! need root, and each holds the [`machine`] alone. Helpers panic with what they were about.
//!
//! They run the flame of the same build (`cargo build` first), or the one that FLAME names. They
//! want gcc, g++, rustc, binutils, and unshare; those of privileges also useradd, sudo and setcap,
//! those of pprof go, those beside perf perf, and say so when they skip for want of one.

#![expect(clippy::missing_panics_doc, reason = "in a test a panic is the message")]

pub mod cgroup;
pub mod distribution;
pub mod files;
pub mod flame;
pub mod heap;
pub mod machine;
pub mod perf;
pub mod process;
pub mod redis;
pub mod roots;
pub mod seen;
pub mod terminal;
pub mod user;
pub mod workload;

pub use crate::distribution::Distribution;
pub use crate::files::Folder;
pub use crate::flame::{Flame, Outcome, Running};
pub use crate::perf::Perf;
pub use crate::process::Guarded;
pub use crate::seen::{Seen, Stack};
pub use crate::workload::{Known, Workload};
