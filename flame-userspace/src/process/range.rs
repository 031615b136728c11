//! A process's code as the unwinder is told of it.

use super::ExecutableId;

/// A range of a process's addresses that holds code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) code: RangeCode,
}

/// What code a range holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeCode {
    /// A file's; the address in the file's own address space of the range's start, if known.
    Executable(ExecutableId, Option<u64>),
    /// A file's that nobody has looked into.
    Unopened,
    /// The kernel's, from its start.
    Vdso,
    /// Made by the process itself.
    Generated,
}
