//! pprof files: the format of `go tool pprof`, which most profilers write and most viewers read.
//!
//! [`write()`] makes a gzip-compressed file that `go tool pprof` reads without a warning.

pub mod proto;
mod write;

pub use write::{encode, write};
