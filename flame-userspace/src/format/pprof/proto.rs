//! The messages of a pprof file, field by field as google/pprof's `proto/profile.proto` names and
//! numbers them (<https://github.com/google/pprof/blob/main/proto/profile.proto>).
//!
//! Texts are indexes into [`Profile::string_table`], whose first entry is the empty text. Ids of
//! mappings, functions and locations are the writer's to choose, but never 0. `string_table` is
//! `repeated string` there and `bytes` here, the same on the wire: files of other tools hold texts
//! that are not UTF-8, and those should not make the file unreadable.

use prost::Message;

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct Profile {
    /// What each sample's values mean, in their order.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// The samples.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    /// What addresses were mapped from; the first one is the main binary.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// The locations that samples refer to.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// The functions that locations refer to.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// All texts; the first is empty.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_table: Vec<Vec<u8>>,
    /// A regular expression of functions to drop with all that they call (a text).
    #[prost(int64, tag = "7")]
    pub drop_frames: i64,
    /// A regular expression of functions to keep although `drop_frames` matches (a text).
    #[prost(int64, tag = "8")]
    pub keep_frames: i64,
    /// When collection began, in nanoseconds since the Unix epoch.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// How long it lasted.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// What `period` counts.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// The mean distance between samples.
    #[prost(int64, tag = "12")]
    pub period: i64,
    /// Free text (texts).
    #[prost(int64, repeated, tag = "13")]
    pub comment: Vec<i64>,
    /// The `type` of the sample type to show first (a text).
    #[prost(int64, tag = "14")]
    pub default_sample_type: i64,
    /// Where the profile is explained (a text).
    #[prost(int64, tag = "15")]
    pub doc_url: i64,
}

/// The meaning of a value.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ValueType {
    /// Such as `cpu` (a text).
    #[prost(int64, tag = "1")]
    pub r#type: i64,
    /// Such as `nanoseconds` (a text).
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

/// A stack with its values.
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    /// The stack, leaf first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// One value for each sample type.
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
    /// What else is known of the sample.
    #[prost(message, repeated, tag = "3")]
    pub label: Vec<Label>,
}

/// A key with a text or a number.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Label {
    /// The key (a text).
    #[prost(int64, tag = "1")]
    pub key: i64,
    /// The text; 0 where the value is a number.
    #[prost(int64, tag = "2")]
    pub str: i64,
    /// The number.
    #[prost(int64, tag = "3")]
    pub num: i64,
    /// The number's unit (a text).
    #[prost(int64, tag = "4")]
    pub num_unit: i64,
}

/// A range of addresses and the file mapped there.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Mapping {
    /// Unique and not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// First address.
    #[prost(uint64, tag = "2")]
    pub memory_start: u64,
    /// The address after the last.
    #[prost(uint64, tag = "3")]
    pub memory_limit: u64,
    /// Offset in the file of the byte at `memory_start`.
    #[prost(uint64, tag = "4")]
    pub file_offset: u64,
    /// The file's path (a text).
    #[prost(int64, tag = "5")]
    pub filename: i64,
    /// The file's build id (a text).
    #[prost(int64, tag = "6")]
    pub build_id: i64,
    /// Whether functions were looked up.
    #[prost(bool, tag = "7")]
    pub has_functions: bool,
    /// Whether source files were looked up.
    #[prost(bool, tag = "8")]
    pub has_filenames: bool,
    /// Whether line numbers were looked up.
    #[prost(bool, tag = "9")]
    pub has_line_numbers: bool,
    /// Whether inlined frames were looked up.
    #[prost(bool, tag = "10")]
    pub has_inline_frames: bool,
}

/// A code address.
#[derive(Clone, PartialEq, Message)]
pub struct Location {
    /// Unique and not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The mapping; 0 if unknown.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// The address.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// The function at the address; with inlining several, the innermost first.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
    /// Whether other symbols shared the address after linking.
    #[prost(bool, tag = "5")]
    pub is_folded: bool,
}

/// A function with a line in it.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Line {
    /// The function's id.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// The line; 0 if unknown.
    #[prost(int64, tag = "2")]
    pub line: i64,
    /// The column; 0 if unknown.
    #[prost(int64, tag = "3")]
    pub column: i64,
}

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Function {
    /// Unique and not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The name for people (a text).
    #[prost(int64, tag = "2")]
    pub name: i64,
    /// The linker's name (a text).
    #[prost(int64, tag = "3")]
    pub system_name: i64,
    /// The source file (a text).
    #[prost(int64, tag = "4")]
    pub filename: i64,
    /// The line at which the function starts.
    #[prost(int64, tag = "5")]
    pub start_line: i64,
}
