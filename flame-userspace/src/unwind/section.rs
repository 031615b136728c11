//! `.eh_frame`, of which only what is asked for is read: a large program has millions of bytes of
//! it, and stacks go through a few of its functions.

use std::cell::{Ref, RefCell};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use flame_common::unwind::Rule;
use gimli::{BaseAddresses, EhFrame, LittleEndian};

use super::entries::LARGEST_ENTRY;
use super::scan::{Headers, code_of_entry, extent_of_entry, header_of_entry, usual_rows};
use super::translate::Slice;

/// What is read at one time, in bytes: the entries of a few neighbouring slices of code.
const BLOCK: usize = 4 << 10;

/// An `.eh_frame`, in memory as far as it was asked for.
#[derive(Debug)]
pub(super) struct FrameSection {
    address: u64,
    read: RefCell<Read>,
}

/// The bytes that were read, and where further ones are.
#[derive(Debug)]
struct Read {
    /// All of the section; zero where it has not been read.
    bytes: Vec<u8>,
    headers: Headers,
    /// `None` where all has been read.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    file: File,
    /// Where the section begins in the file.
    offset: u64,
    /// Which blocks have been read.
    blocks: Vec<bool>,
}

impl FrameSection {
    /// A section whose bytes are at hand.
    pub(super) fn whole(bytes: Vec<u8>, address: u64) -> Self {
        let read = Read { bytes, headers: Headers::default(), rest: None };
        Self { address, read: RefCell::new(read) }
    }

    /// A section of `length` bytes at an offset of a file.
    pub(super) fn in_file(file: File, offset: u64, length: usize, address: u64) -> Self {
        let blocks = vec![false; length.div_ceil(BLOCK)];
        // Fresh zeroes cost nothing until they are written to.
        let bytes = vec![0; length];
        let rest = Some(Rest { file, offset, blocks });
        Self { address, read: RefCell::new(Read { bytes, headers: Headers::default(), rest }) }
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> usize {
        self.read.borrow().bytes.len()
    }

    /// The bytes of a section that is at hand as a whole; of another only those read so far.
    pub(super) fn bytes(&self) -> Ref<'_, [u8]> {
        Ref::map(self.read.borrow(), |read| read.bytes.as_slice())
    }

    /// The code that the entry at an offset speaks of; `None` where none can be understood.
    pub(super) fn code_of(&self, entry: usize) -> Option<Range<u64>> {
        let mut read = self.read.borrow_mut();
        read.load_entry(entry)?;
        let Read { bytes, headers, .. } = &mut *read;
        code_of_entry(bytes, self.address, entry, headers)
    }

    /// The offset of the entry behind the one at an offset, if there is one.
    pub(super) fn behind(&self, entry: usize) -> Option<usize> {
        let mut read = self.read.borrow_mut();
        read.load_entry(entry)?;
        let extent = extent_of_entry(&read.bytes, entry)?;
        (extent.end < read.bytes.len()).then_some(extent.end)
    }

    /// Calls back with the rows of the entry at an offset; `None` where it is not as usual, and
    /// gimli has to tell from its start.
    pub(super) fn usual_rows(&self, entry: usize, push: impl FnMut(u64, Rule)) -> Option<()> {
        let mut read = self.read.borrow_mut();
        read.load_entry(entry)?;
        let Read { bytes, headers, .. } = &mut *read;
        usual_rows(bytes, self.address, entry, headers, push)
    }

    /// Lets `look` see the section with the entry at an offset, and its header, in memory.
    pub(super) fn with_entry<T>(
        &self,
        entry: usize,
        look: impl FnOnce(&EhFrame<Slice<'_>>, &BaseAddresses) -> T,
    ) -> Option<T> {
        self.read.borrow_mut().load_entry(entry)?;
        let read = self.read.borrow();
        let bases = BaseAddresses::default().set_eh_frame(self.address);
        Some(look(&EhFrame::new(&read.bytes, LittleEndian), &bases))
    }

    /// The first bytes of the entry at an offset, past what else has been read: for a look at many
    /// entries.
    pub(super) fn peek<const N: usize>(&self, entry: usize) -> Option<[u8; N]> {
        let read = self.read.borrow();
        let Some(rest) = &read.rest else { return read.bytes.get(entry..)?.first_chunk().copied() };
        if entry.checked_add(N)? > read.bytes.len() {
            return None;
        }
        let mut bytes = [0; N];
        rest.file.read_exact_at(&mut bytes, rest.offset.checked_add(entry as u64)?).ok()?;
        Some(bytes)
    }
}

impl Read {
    /// Sees to it that an entry and its header are in memory; `None` if that cannot be, or they are
    /// too large.
    fn load_entry(&mut self, entry: usize) -> Option<()> {
        if self.rest.is_none() {
            return Some(());
        }
        self.load_one(entry)?;
        // A header's own entry has none.
        header_of_entry(&self.bytes, entry).map_or(Some(()), |header| self.load_one(header))
    }

    fn load_one(&mut self, entry: usize) -> Option<()> {
        self.load(entry..entry.checked_add(8)?)?;
        let extent = extent_of_entry(&self.bytes, entry)?;
        if extent.len() > LARGEST_ENTRY {
            return None;
        }
        self.load(extent)
    }

    fn load(&mut self, wanted: Range<usize>) -> Option<()> {
        let Some(rest) = &mut self.rest else { return Some(()) };
        if wanted.end > self.bytes.len() {
            return None;
        }
        for block in wanted.start / BLOCK..wanted.end.div_ceil(BLOCK) {
            if rest.blocks[block] {
                continue;
            }
            let start = block * BLOCK;
            let end = (start + BLOCK).min(self.bytes.len());
            let offset = rest.offset.checked_add(start as u64)?;
            rest.file.read_exact_at(&mut self.bytes[start..end], offset).ok()?;
            rest.blocks[block] = true;
        }
        Some(())
    }
}
