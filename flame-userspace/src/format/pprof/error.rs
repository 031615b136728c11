//! Why a file cannot be read as a pprof profile.

use std::{fmt, io};

/// A table of a pprof file whose rows have ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// The mappings.
    Mapping,
    /// The functions.
    Function,
    /// The locations.
    Location,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mapping => "mapping",
            Self::Function => "function",
            Self::Location => "location",
        })
    }
}

/// Why a file cannot be read as a pprof profile.
#[derive(Debug)]
pub enum ReadError {
    /// The file is something else.
    NotPprof {
        /// What it seems to be.
        found: &'static str,
    },
    /// The gzip data is damaged, or ends too early.
    Gzip {
        /// Bytes that could be decompressed.
        decompressed: u64,
        /// What the decompressor says.
        cause: io::Error,
    },
    /// The decompressed profile is larger than the reader takes.
    TooLarge {
        /// The most bytes that it takes.
        limit: u64,
    },
    /// The bytes are no protobuf message, or not one with pprof's fields.
    Malformed {
        /// Where the broken field starts, in bytes of the decompressed file.
        at: usize,
        /// The field of the profile.
        field: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// The file holds two profiles, one after the other.
    Joined,
    /// The first text is not the empty one.
    FirstText {
        /// The first text, shortened.
        found: String,
    },
    /// A text is referred to that is not there.
    MissingText {
        /// What refers to it.
        owner: &'static str,
        /// The row that it names.
        index: i64,
        /// Number of rows in the string table.
        texts: usize,
    },
    /// A row has the id 0, which stands for "none".
    ZeroId {
        /// Where the row is.
        table: Table,
    },
    /// Two rows have the same id.
    DuplicateId {
        /// Where the rows are.
        table: Table,
        /// Their id.
        id: u64,
    },
    /// A row is referred to that is not there.
    MissingRow {
        /// Where the row should be.
        table: Table,
        /// Its id.
        id: u64,
        /// What refers to it.
        owner: &'static str,
        /// Which one: a location's id, or a sample's position in the file from 0.
        owner_id: u64,
    },
    /// There are samples, but nothing tells what their values mean.
    NoSampleTypes,
    /// A sample has more or fewer values than there are sample types.
    ValueCount {
        /// The sample's position in the file, from 0.
        sample: u64,
        /// Number of its values.
        found: usize,
        /// Number of sample types.
        expected: usize,
    },
    /// There are more sample types than the reader takes.
    TooManySampleTypes {
        /// The most that it takes.
        limit: usize,
    },
    /// The stacks have more frames than the reader takes.
    TooManyFrames {
        /// The most frames that it takes.
        limit: u64,
    },
    /// What rows share comes to more than the reader takes, told for each of them.
    TooMuchRepeated {
        /// The most that it takes.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// Sample types and comments repeat texts until they are longer than the whole file.
    TooMuchText {
        /// The most bytes of text that the reader copies out of this file.
        limit: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::NotPprof { found } = self {
            return write!(
                f,
                "not a pprof profile: expected a protobuf message, gzip-compressed or not, \
                 found {found}"
            );
        }
        f.write_str(match self {
            Self::TooLarge { .. } | Self::TooManyFrames { .. } | Self::TooMuchRepeated { .. } => {
                "too large a profile: "
            }
            _ => "not a valid pprof profile: ",
        })?;
        match self {
            Self::NotPprof { .. } => Ok(()),
            Self::Gzip { decompressed, cause } if cause.kind() == io::ErrorKind::UnexpectedEof => {
                write!(
                    f,
                    "expected more gzip data, found the end of the file (cut short?) after \
                 {decompressed} decompressed bytes"
                )
            }
            Self::Gzip { decompressed, cause } => write!(
                f,
                "expected gzip data, found it damaged after {decompressed} decompressed bytes: \
                 {cause}"
            ),
            Self::TooLarge { limit } => {
                write!(f, "expected at most {limit} bytes after decompression, found more")
            }
            Self::Malformed { at, field, cause } => {
                write!(f, "broken {field} at byte {at}: {cause}")
            }
            Self::Joined => f.write_str(
                "expected one profile, found two joined into one file (merge them with \
                 `go tool pprof -proto A B`)",
            ),
            Self::FirstText { found } => {
                write!(f, "expected the empty text first in the string table, found {found:?}")
            }
            Self::MissingText { owner, index, texts } => write!(
                f,
                "{owner}: expected an index into the string table of {texts}, found {index}"
            ),
            Self::ZeroId { table } => write!(f, "expected a {table} id other than 0, found 0"),
            Self::DuplicateId { table, id } => {
                write!(f, "expected each {table} id once, found {id} twice")
            }
            Self::MissingRow { table, id, owner, owner_id } => write!(
                f,
                "{owner} {owner_id}: expected the id of a {table}, found {id}, which none has"
            ),
            Self::NoSampleTypes => {
                f.write_str("expected sample types, found none, but there are samples")
            }
            Self::ValueCount { sample, found, expected } => write!(
                f,
                "sample {sample}: expected a value for each of the {expected} sample types, \
                 found {found} values"
            ),
            Self::TooManySampleTypes { limit } => {
                write!(f, "expected at most {limit} sample types, found more")
            }
            Self::TooManyFrames { limit } => {
                write!(
                    f,
                    "expected at most {limit} frames in its stacks, inlined functions counted, \
                     found more"
                )
            }
            Self::TooMuchRepeated { limit, what } => {
                write!(
                    f,
                    "expected at most {limit} {what}, shared ones counted each time, found more"
                )
            }
            Self::TooMuchText { limit } => write!(
                f,
                "expected at most {limit} bytes of text in sample types and comments, found more"
            ),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Gzip { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
