//! What the entries of `.eh_frame` speak of: a look at each one's head, since a large program has
//! a hundred thousand of them and needs a few.
//!
//! An entry is its length (u32), the distance back to its header (u32, 0 for a header itself),
//! where its code begins and how long that is, as the header says they are encoded (Linux
//! Standard Base, "Exception Frames"). Nearly all are encoded as four bytes, relative to where
//! they are; the others are left to gimli.

use std::ops::Range;

use flame_common::unwind::Rule;
use foldhash::HashMap;
use gimli::{BaseAddresses, DwEhPe, EhFrame, LittleEndian, UnwindSection as _, constants};

use super::entries::{LARGEST_ENTRY, header_length};
use super::usual::Common;

/// Four bytes, signed, relative to where they are.
const USUAL: DwEhPe = DwEhPe(constants::DW_EH_PE_pcrel.0 | constants::DW_EH_PE_sdata4.0);

/// Headers of a section that are looked at, at most: linkers keep one of those that are the same.
const MOST_HEADERS: usize = 1 << 18;

/// What the headers of a section say of their entries.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// By a header's offset; `None` if it cannot be understood.
    known: HashMap<usize, Option<Header>>,
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    /// Whether its entries are encoded as usual.
    is_usual: bool,
    /// What rows begin with, if that is as usual.
    common: Option<Common>,
}

impl Headers {
    fn of(&mut self, bytes: &[u8], address: u64, header: usize) -> Option<Header> {
        if let Some(known) = self.known.get(&header) {
            return *known;
        }
        if self.known.len() >= MOST_HEADERS {
            return None;
        }
        let read = Header::read(bytes, address, header);
        self.known.insert(header, read);
        read
    }
}

impl Header {
    fn read(bytes: &[u8], address: u64, header: usize) -> Option<Self> {
        header_length(bytes, header)?;
        let section = EhFrame::new(bytes, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(address);
        let header = section.cie_from_offset(&bases, header.into()).ok()?;
        let is_usual = header.fde_address_encoding() == Some(USUAL);
        Some(Self { is_usual, common: Common::read(&header, &section, &bases) })
    }
}

/// Calls back with the code and the offset of each entry of `.eh_frame`, which is at `address`, up
/// to the first whose length makes no sense. Entries that cannot be understood are left out.
pub(super) fn for_each_entry(bytes: &[u8], address: u64, mut found: impl FnMut(Range<u64>, usize)) {
    let mut headers = Headers::default();
    let mut at = 0;
    while let Some(extent) = extent_of_entry(bytes, at)
        && extent.end <= bytes.len()
    {
        if let Some(code) = code_of_entry(bytes, address, at, &mut headers) {
            found(code, at);
        }
        at = extent.end;
    }
}

/// Where an entry lies in its section; `None` at the section's end, and for a length of 64 bits,
/// which no linker writes here.
pub(super) fn extent_of_entry(bytes: &[u8], entry: usize) -> Option<Range<usize>> {
    let length = word(bytes, entry).filter(|&length| length != 0 && length != u32::MAX)?;
    Some(entry..(entry + 4).saturating_add(length as usize))
}

/// The offset of an entry's header; `None` for a header itself.
pub(super) fn header_of_entry(bytes: &[u8], entry: usize) -> Option<usize> {
    let id_at = entry.checked_add(4)?;
    let back = word(bytes, id_at).filter(|&back| back != 0)?;
    id_at.checked_sub(back as usize)
}

/// The code that an entry speaks of; `None` for a header, and for what cannot be understood or is
/// too large.
pub(super) fn code_of_entry(
    bytes: &[u8],
    address: u64,
    entry: usize,
    headers: &mut Headers,
) -> Option<Range<u64>> {
    extent_of_entry(bytes, entry).filter(|extent| extent.len() <= LARGEST_ENTRY)?;
    let header = header_of_entry(bytes, entry)?;
    if headers.of(bytes, address, header)?.is_usual {
        return usual_code(bytes.get(entry..)?, address, entry);
    }
    let section = EhFrame::new(bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(address);
    let found = section.fde_from_offset(&bases, entry.into(), EhFrame::cie_from_offset).ok()?;
    Some(found.initial_address()..found.end_address())
}

/// Calls back with the rows of an entry that is encoded and written as usual; `None` if it is not.
/// Rows before what is not usual are told all the same.
pub(super) fn usual_rows(
    bytes: &[u8],
    address: u64,
    entry: usize,
    headers: &mut Headers,
    push: impl FnMut(u64, Rule),
) -> Option<()> {
    let header = headers.of(bytes, address, header_of_entry(bytes, entry)?)?;
    let common = header.common.filter(|_| header.is_usual)?;
    let own = bytes.get(extent_of_entry(bytes, entry)?)?;
    let code = usual_code(own, address, entry)?;
    common.rows(code.start, own.get(16..)?, push)
}

/// The code that an entry of the usual encoding speaks of, by its first 16 bytes.
pub(super) fn usual_code(head: &[u8], address: u64, entry: usize) -> Option<Range<u64>> {
    let (start, length) = (word(head, 8)?, word(head, 12)?);
    let here = address.wrapping_add(entry as u64 + 8);
    let start = here.wrapping_add_signed(i64::from(start.cast_signed()));
    Some(start..start.saturating_add(u64::from(length)))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::process::ElfLayout;
    use crate::unwind::entries::for_each_function;
    use crate::unwind::source::read_section;

    #[test]
    fn every_entry_is_found_as_gimli_finds_it() {
        for path in ["/proc/self/exe", "/lib64/ld-linux-x86-64.so.2"] {
            let Ok(file) = File::open(path) else { continue };
            let layout = ElfLayout::read(&file).expect("an ELF file");
            let section = layout.unwind_section.expect("unwind information");
            let bytes = read_section(&file, section).expect("a readable section");
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for_each_entry(&bytes, section.address, |code, offset| ours.push((code, offset)));
            let eh_frame = EhFrame::new(&bytes, LittleEndian);
            let bases = BaseAddresses::default().set_eh_frame(section.address);
            for_each_function(&eh_frame, &bases, |fde, _| {
                theirs.push((fde.initial_address()..fde.end_address(), fde.offset()));
            });
            assert!(ours.len() > 50);
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_end_the_scan() {
        let mut random = 7u64;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Small numbers make lengths and distances that are plausible.
                    if random >> 62 == 0 { (random >> 40) as u8 } else { (random >> 60) as u8 & 3 }
                })
                .collect();
            for_each_entry(&bytes, u64::MAX - 10, |code, offset| {
                assert!(code.start <= code.end && offset < length);
            });
        }
    }
}
