//! Unwind tables: made from the unwind information of files, placed in the kernel for its walks,
//! and walked by here where the kernel could not finish.
//!
//! Addresses are those of the file's own address space, never offsets in the file.

mod analyze;
mod compile;
mod entries;
mod evaluate;
mod extents;
mod finish;
#[cfg(test)]
mod framehop_tests;
pub(crate) mod fuzzing;
mod gopclntab;
mod indexed;
pub(crate) mod measuring;
#[cfg(test)]
mod oracle_tests;
mod pace;
mod placed;
mod plan;
mod rules;
mod scan;
mod section;
mod sliced;
mod source;
mod table;
#[cfg(test)]
mod test_files;
#[cfg(test)]
mod test_maps;
#[cfg(test)]
mod test_memory;
mod translate;
mod usual;
mod ways;

pub(crate) use finish::{Stopped, Unwinder};
pub(crate) use plan::{KernelTables, Plan, Refused};
use table::UnwindTable;
pub(crate) use ways::{Way, ways};

use crate::process::ExecutableId;

/// Something with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Object {
    File(ExecutableId),
    Vdso,
}

/// A piece of an object's table: what is compiled and placed at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slice {
    object: Object,
    /// Counted from the table's start.
    number: u32,
}
