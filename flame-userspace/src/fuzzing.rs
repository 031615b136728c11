//! What the fuzz targets in `fuzz/` call: the readers of hostile bytes, which are no part of the
//! library's surface. Each takes any bytes, and panics if something that always holds does not.

pub use crate::process::fuzzing::maps;
pub use crate::runtime::fuzzing::perf_map;
pub use crate::unwind::fuzzing::{debug_frame, eh_frame, elf, gopclntab, stack};
