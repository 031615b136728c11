//! pprof files: the format of `go tool pprof`, which most profilers write and most viewers read.
//!
//! [`write()`] makes a gzip-compressed file that `go tool pprof` reads without a warning. [`read()`]
//! takes any valid file, compressed or not, of any tool, and refuses everything else with an error
//! that says what was found; it is made for hostile bytes, its memory is bounded by
//! [`MAX_DECOMPRESSED_BYTES`], and so is what a small file with much shared in it stands for.
//!
//! `read(write(profile))` is `profile`, but for what the format cannot tell apart: a text label
//! with an empty text reads as the number 0, a function without a linker's name gets its own name
//! as such, and a mapping without range, path and build ID is left out.

mod bounds;
mod error;
mod field;
mod foreign;
mod head;
mod inflate;
pub mod proto;
mod read;
mod texts;
mod wire;
mod write;

pub(super) use bounds::{MAX_FRAMES, check};
pub use error::{ReadError, Table};
pub(super) use foreign::{is_text, recognize};
pub use inflate::MAX_DECOMPRESSED_BYTES;
pub(super) use inflate::inflate;
pub use read::read;
pub(super) use read::read_message;
pub use write::{encode, write};
