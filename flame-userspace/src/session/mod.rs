//! A profiling session from its start to its profile. The only module that knows all stages.
//!
//! ```text
//! kernel programs → ring ┐
//!                        ├ by time → process table → aggregator → symbolizer → Profile
//! side-band records ─────┘
//! ```

mod advice;
mod assemble;
mod builder;
mod cgroups;
mod cost;
mod heap;
mod holder;
mod leaving;
mod pipeline;
mod quality;
mod recording;
mod spawn;
mod target;
mod timeline;
mod values;

pub use builder::{Frequency, Session, SessionBuilder};
pub use heap::{HeapMode, HeapOptions};
pub use holder::{HeapAges, HeapGrowth, HeapHolder};
pub use pipeline::Progress;
pub use quality::{Quality, UnnamedFile};
pub use recording::{HeapFunction, ProbeCost, ProfileType, Recorded, Recording};
pub use spawn::Waiting;
pub use target::Target;

pub use crate::heap::OwnFunction;
