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
mod pipeline;
mod quality;
mod spawn;
mod target;
mod timeline;

pub use builder::{Frequency, Session, SessionBuilder};
pub use pipeline::{Progress, Recording};
pub use quality::{Quality, UnnamedFile};
pub use spawn::Waiting;
pub use target::Target;
