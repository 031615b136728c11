//! Entries of `.eh_frame` and `.debug_frame` as gimli reads them, and how much of them is read. They
//! may claim any length and lie over each other: what a file costs is bounded by none of its sizes.

use flame_common::unwind::Rule;
use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, FrameDescriptionEntry, UnwindContext,
    UnwindOffset, UnwindSection,
};

use super::translate::{Slice, rule_of};

/// Most bytes of an entry: of 2700 files the largest has 33 KiB, for a function of a compiler.
pub(super) const LARGEST_ENTRY: usize = 128 << 10;
/// Most bytes of a header: known ones have up to 52.
pub(super) const LARGEST_HEADER: usize = 512;
/// Most bytes of the name that tells what a header adds ("zPLR").
const LONGEST_NAME: usize = 16;
/// What is read for a slice of code at most: see [`Steps`]. Of the same files one needs 38,000.
pub(super) const MOST_STEPS: usize = 512 << 10;

/// What may still be read for a slice of code: bytes of entries and their headers, and pairs of
/// Go's tables. Code whose entry is beyond that has no rule.
#[derive(Debug)]
pub(super) struct Steps {
    left: usize,
}

impl Steps {
    /// Those of a slice.
    pub(super) const fn of_a_slice() -> Self {
        Self { left: MOST_STEPS }
    }

    /// Takes so many, if there are so many left.
    pub(super) const fn take(&mut self, count: usize) -> bool {
        let Some(left) = self.left.checked_sub(count) else { return false };
        self.left = left;
        true
    }

    /// How many were taken.
    #[cfg(test)]
    pub(super) const fn taken(&self) -> usize {
        MOST_STEPS - self.left
    }
}

/// A section of either kind.
pub(super) trait Section<'a>: UnwindSection<Slice<'a>> + gimli::Section<Slice<'a>> {}

impl<'a, S: UnwindSection<Slice<'a>> + gimli::Section<Slice<'a>>> Section<'a> for S {}

/// What is read for the entry at an offset, in bytes: it and its header. `None` where it cannot be
/// understood or is too large.
pub(super) fn cost_of_entry<'a, S: Section<'a>>(
    section: &S,
    bases: &BaseAddresses,
    offset: usize,
) -> Option<usize> {
    let partial = section.partial_fde_from_offset(bases, offset.into()).ok()?;
    let header = UnwindOffset::into(partial.cie_offset());
    let header = header_length(section.reader().slice(), header)?;
    (partial.entry_len() <= LARGEST_ENTRY).then(|| partial.entry_len() + header)
}

/// The entry at an offset; `None` where it cannot be understood or is too large.
pub(super) fn entry_at<'a, S: Section<'a>>(
    section: &S,
    bases: &BaseAddresses,
    offset: usize,
) -> Option<FrameDescriptionEntry<Slice<'a>>> {
    cost_of_entry(section, bases, offset)?;
    section.fde_from_offset(bases, offset.into(), S::cie_from_offset).ok()
}

/// The length of the header at an offset, before anything else of it is read; `None` where it is
/// too large, or would take long to read for each of its entries.
pub(super) fn header_length(bytes: &[u8], header: usize) -> Option<usize> {
    /// Behind it comes a length of 64 bits.
    const LONG: u32 = u32::MAX;
    let bytes = bytes.get(header..)?;
    // Behind the length are a number of as many bits, the version and the name of what is added.
    let (length, name_at) = match u32::from_le_bytes(*bytes.first_chunk()?) {
        LONG => (u64::from_le_bytes(*bytes.get(4..)?.first_chunk()?), 4 + 8 + 8 + 1),
        short => (short.into(), 4 + 4 + 1),
    };
    let length = usize::try_from(length).ok().filter(|&length| length <= LARGEST_HEADER)?;
    let mut name = bytes.get(name_at..)?.iter().take(LONGEST_NAME);
    name.any(|&byte| byte == 0).then_some(length)
}

/// Calls back with the rules of the entry at an offset.
pub(super) fn rules_of_entry<'a, S: Section<'a>>(
    section: &S,
    bases: &BaseAddresses,
    offset: usize,
    context: &mut UnwindContext<usize>,
    mut push: impl FnMut(u64, Rule),
) {
    let Some(fde) = entry_at(section, bases, offset) else { return };
    let Ok(mut rows) = fde.rows(section, bases, context) else { return };
    // What was understood of a damaged entry stays; the rest of its code has the last rule.
    while let Ok(Some(row)) = rows.next_row() {
        push(row.start_address(), rule_of(row, section, &fde));
    }
}

/// Calls back for each entry that can be understood and is not too large.
pub(super) fn for_each_function<'a, S: Section<'a>>(
    section: &S,
    bases: &BaseAddresses,
    mut each: impl FnMut(&FrameDescriptionEntry<Slice<'a>>, &mut UnwindContext<usize>),
) {
    let mut context = UnwindContext::new();
    let mut entries = section.entries(bases);
    // Most entries share a few headers, and their neighbours' above all.
    let mut last_cie = None;
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let header = UnwindOffset::into(partial.cie_offset());
        let header = header_length(section.reader().slice(), header);
        if header.is_none() || partial.entry_len() > LARGEST_ENTRY {
            continue;
        }
        let fde = partial.parse(|section, bases, offset| match &last_cie {
            Some((known, cie)) if *known == offset => Ok(CommonInformationEntry::clone(cie)),
            _ => {
                let cie = section.cie_from_offset(bases, offset)?;
                last_cie = Some((offset, cie.clone()));
                Ok(cie)
            }
        });
        if let Ok(fde) = fde {
            each(&fde, &mut context);
        }
    }
}

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
