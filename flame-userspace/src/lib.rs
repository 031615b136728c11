//! flame: an eBPF-based, system-wide profiler for Linux.
//!
//! A [`Session`] samples the stacks of running processes and ends in a [`Profile`](profile::Profile),
//! which [`format`] writes as pprof, as a page or as text, and [`analyze`] asks questions of.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use flame::{Frequency, Session, Target};
//!
//! let session = Session::builder(Target::pid(1234))
//!     .frequency(Frequency::hz(499).ok_or("a frequency is 1 to 10000 Hz")?)
//!     .start()
//!     .await?;
//! tokio::time::sleep(Duration::from_secs(10)).await;
//! let recording = session.stop().await?;
//! for recorded in &recording.profiles {
//!     println!("{}", recorded.quality.line());
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("flame profiles x86-64 Linux: registers and unwind rules are those of no other");

pub mod analyze;
pub mod format;
pub mod profile;

mod aggregate;
mod bpf;
#[doc(hidden)]
pub mod cli;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod heap;
#[doc(hidden)]
pub mod measuring;
mod memory;
mod priority;
mod process;
mod runtime;
mod session;
mod symbolize;
mod unwind;

pub use bpf::{Counter, Event};
pub use error::{Error, ErrorKind};
pub use session::{
    Frequency, HeapAges, HeapFunction, HeapGrowth, HeapHolder, HeapMode, HeapOptions, OwnFunction,
    ProbeCost, ProfileType, Progress, Quality, Recorded, Recording, Session, SessionBuilder,
    Target, UnnamedFile, Waiting,
};
