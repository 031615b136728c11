//! Writing to stdout.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

/// Prints text. A reader that has seen enough, such as `head`, is no error.
pub(super) fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to stdout"),
    }
}
