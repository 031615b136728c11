//! Mappings: the files, and the kernel, that code addresses lie in.

use super::StringId;

/// A range of addresses that a file (or the kernel, or generated code) was mapped at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// The address after the last.
    pub limit: u64,
    /// The offset in the file of the byte at [`start`](Self::start).
    pub file_offset: u64,
    /// The file's path, or a name in brackets such as `[kernel.kallsyms]`.
    pub path: StringId,
    /// The GNU build ID in lower-case hexadecimal; the empty text if it has none.
    pub build_id: StringId,
    /// Whether functions, file names, line numbers and inlined frames were looked up here, so
    /// that a reader need not try again.
    pub has_functions: bool,
    /// See [`has_functions`](Self::has_functions).
    pub has_filenames: bool,
    /// See [`has_functions`](Self::has_functions).
    pub has_line_numbers: bool,
    /// See [`has_functions`](Self::has_functions).
    pub has_inline_frames: bool,
}
