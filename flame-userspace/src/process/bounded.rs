//! Reading what a file says of itself, within a limit: flame looks at every file that a process
//! maps, and the numbers in it may be anything.

use std::cell::Cell;
use std::ops::Range;

use object::read::ReadCacheOps;
use object::{ReadCache, ReadRef};

/// The most that is looked at for the end of one text, in bytes: what `ReadCache` looks at.
const LONGEST_TEXT: u64 = 4096;

/// Reads parts of a file without mapping it: a file that shrinks meanwhile gives an error and not a
/// signal. All that was read is kept while this lives, so the sum of it has a limit.
#[derive(Debug)]
pub(crate) struct Bounded<R: ReadCacheOps> {
    cache: ReadCache<R>,
    /// Bytes that may still be read.
    left: Cell<u64>,
    is_exceeded: Cell<bool>,
}

impl<R: ReadCacheOps> Bounded<R> {
    /// Reads at most so many bytes of a file. What is read twice counts twice.
    pub(crate) fn new(file: R, most: u64) -> Self {
        let (left, is_exceeded) = (Cell::new(most), Cell::new(false));
        Self { cache: ReadCache::new(file), left, is_exceeded }
    }

    /// Whether something was refused because of the limit.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }

    fn take(&self, bytes: u64) -> Result<(), ()> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.is_exceeded.set(true);
                Err(())
            }
        }
    }
}

impl<'a, R: ReadCacheOps> ReadRef<'a> for &'a Bounded<R> {
    fn len(self) -> Result<u64, ()> {
        ReadRef::len(&self.cache)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size == 0 {
            return Ok(&[]);
        }
        // What lies beyond the file's end is damage, and is not read.
        if offset.checked_add(size).ok_or(())? > self.len()? {
            return Err(());
        }
        self.take(size)?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        self.take(range.end.saturating_sub(range.start).min(LONGEST_TEXT))?;
        self.cache.read_bytes_at_until(range, delimiter)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn no_more_is_read_than_the_limit() {
        let bytes = Bounded::new(Cursor::new(vec![7; 100]), 50);
        assert_eq!((&bytes).read_bytes_at(10, 30), Ok(&[7; 30][..]));
        assert_eq!((&bytes).read_bytes_at(0, 21), Err(()));
        assert!(bytes.is_exceeded());
        assert_eq!((&bytes).read_bytes_at(90, 20), Err(()));
        assert_eq!((&bytes).read_bytes_at(200, 0), Ok(&[][..]));
        assert_eq!((&bytes).read_bytes_at(0, 20), Ok(&[7; 20][..]), "what is left");
        assert_eq!((&bytes).read_bytes_at_until(0..1, 7), Err(()));
    }

    #[test]
    fn what_lies_beyond_the_end_costs_nothing() {
        let bytes = Bounded::new(Cursor::new(vec![7; 100]), 50);
        for (offset, size) in [(90, 20), (u64::MAX, 2), (0, u64::MAX), (101, 1)] {
            assert_eq!((&bytes).read_bytes_at(offset, size), Err(()));
        }
        assert!(!bytes.is_exceeded());
        assert_eq!((&bytes).read_bytes_at(50, 50), Ok(&[7; 50][..]));
    }
}
