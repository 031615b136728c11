//! Reading profiles of any kind that flame knows: pprof files, folded stacks, and the text of
//! `perf script`; each compressed by gzip or not. Which one it is, the bytes tell.
//!
//! Like the reader of pprof, these are made for hostile bytes: every row that is kept was paid for
//! by bytes of the file, whose size is bounded, and so is the number of frames, inlined functions
//! counted for each process.

mod folded;
mod perf_script;

use std::borrow::Cow;
use std::fmt;

use super::pprof;
use crate::profile::{Builder, LocationId, Profile, StackId};

/// The most bytes that are read, before and after decompression.
pub const MAX_BYTES: u64 = pprof::MAX_DECOMPRESSED_BYTES;

/// Why a file cannot be read as a profile.
#[derive(Debug)]
pub enum ReadError {
    /// It is no pprof file, or a broken one, and no text; or it is too large, whatever it is.
    Pprof(pprof::ReadError),
    /// It is a text, but not one that is understood.
    Text {
        /// What it was taken for.
        format: &'static str,
        /// The line, from 1.
        line: usize,
        /// What was found there.
        found: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pprof(error) => error.fmt(f),
            Self::Text { format, line, found } => {
                write!(f, "read as {format}: line {line}: {found}")
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pprof(error) => error.source(),
            Self::Text { .. } => None,
        }
    }
}

/// Reads a profile of any kind.
pub fn read(bytes: &[u8]) -> Result<Profile, ReadError> {
    let message = pprof::inflate(bytes, MAX_BYTES).map_err(ReadError::Pprof)?;
    if !pprof::is_text(&message) {
        return pprof::read_message(&message).map_err(ReadError::Pprof);
    }
    let first = lines(&message).map(|(_, line)| line).find(|line| !is_skipped(line));
    let first = first.as_deref().unwrap_or_default();
    if !is_of_stacks(first)
        && let Some(found) = pprof::recognize(&message)
    {
        return Err(ReadError::Pprof(pprof::ReadError::NotPprof { found }));
    }
    let reader = if perf_script::is_header(first) { perf_script::read } else { folded::read };
    let profile = reader(&message)?;
    pprof::check(&profile).map_err(ReadError::Pprof)?;
    Ok(profile)
}

/// Whether a line is one of stacks, though it begins as JSON, HTML and XML do: `[unknown] 3`,
/// `<module>;main 5`.
fn is_of_stacks(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}');
    line.starts_with(['[', '<', '{']) && (folded::is_stack(line) || perf_script::is_header(line))
}

/// The lines of a text with their numbers, from 1. Bytes that are not UTF-8 are replaced.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let lines = text.split(|byte| *byte == b'\n');
    (1..).zip(lines.map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line))))
}

/// Empty lines and comments.
fn is_skipped(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

/// Puts a frame on a stack, within the bound.
fn push(
    builder: &mut Builder,
    caller: Option<StackId>,
    location: LocationId,
    error: impl Fn(String) -> ReadError,
) -> Result<StackId, ReadError> {
    let stack = builder.push_frame(caller, location);
    if stack.index() >= pprof::MAX_FRAMES {
        return Err(error(format!("more than {} frames in all", pprof::MAX_FRAMES)));
    }
    Ok(stack)
}

/// What of a line is shown in a message.
fn quoted(line: &str) -> String {
    let start: String = line.chars().take(60).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests;
