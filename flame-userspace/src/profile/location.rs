//! Locations: an address of a mapping, and the functions that the code at it belongs to.

use super::{FunctionId, MappingId, StringId};

/// A function of the source code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    /// The name for people, demangled.
    pub name: StringId,
    /// The linker's name.
    pub system_name: StringId,
    /// The source file; the empty text if unknown.
    pub file: StringId,
    /// The line at which it starts; 0 if unknown.
    pub start_line: i64,
}

/// A function at a location, with the line that runs or that calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function.
    pub function: FunctionId,
    /// The line in the function's file, from 1; 0 if unknown.
    pub line: i64,
    /// The column, from 1; 0 if unknown.
    pub column: i64,
}

/// A code address, as one or more frames: inlined functions first, the function that they were
/// inlined into last (pprof's order: callee before caller).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The mapping that the address lies in, if known.
    pub mapping: Option<MappingId>,
    /// The address, in the address space of [`Mapping::start`](super::Mapping::start).
    pub address: u64,
    /// The functions at the address; empty if no symbol was found.
    pub lines: Vec<Line>,
}
