//! What language runtimes tell of the code that they generate.

pub(crate) mod fuzzing;
pub(crate) mod perf_map;
