//! Output with an end. Formats without tables say a name again in each of its frames, so that a
//! file of a few KB can stand for more than a disk holds.

use std::io;

use super::pprof::MAX_DECOMPRESSED_BYTES;

/// The most bytes that a format without tables may take: as many as flame reads.
pub(super) const MAX_BYTES: u64 = MAX_DECOMPRESSED_BYTES;

/// A writer that refuses what goes beyond a number of bytes.
#[derive(Debug)]
pub(super) struct Bounded<W> {
    out: W,
    what: &'static str,
    limit: u64,
    left: u64,
}

impl<W: io::Write> Bounded<W> {
    /// Writes `what` to `out`, in at most `limit` bytes.
    pub(super) fn new(out: W, what: &'static str, limit: u64) -> Self {
        Self { out, what, limit, left: limit }
    }
}

impl<W: io::Write> io::Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            let Self { what, limit, .. } = self;
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{what} would take more than {limit} bytes, the most that flame writes"),
            ));
        }
        let written = self.out.write(bytes)?;
        self.left = self.left.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_limit_is_the_last_byte_that_is_written() {
        let mut out = Vec::new();
        let mut bounded = Bounded::new(&mut out, "the text", 5);
        bounded.write_all(b"abc").expect("within the limit");
        bounded.write_all(b"de").expect("at the limit");
        let error = bounded.write_all(b"f").expect_err("past the limit");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().starts_with("the text would take more than 5 bytes"), "{error}");
        assert_eq!(out, b"abcde");
    }
}
