//! What the entries of `.eh_frame` speak of: a look at each one's head, since a large program has
//! a hundred thousand of them and needs a few.
//!
//! An entry is its length (u32), the distance back to its header (u32, 0 for a header itself),
//! where its code begins and how long that is, as the header says they are encoded (Linux
//! Standard Base, "Exception Frames"). Nearly all are encoded as four bytes, relative to where
//! they are; the others are left to gimli.

use std::ops::Range;

use foldhash::HashMap;
use gimli::{BaseAddresses, DwEhPe, EhFrame, LittleEndian, UnwindSection as _, constants};

use super::translate::Slice;

/// Four bytes, signed, relative to where they are.
const USUAL: DwEhPe = DwEhPe(constants::DW_EH_PE_pcrel.0 | constants::DW_EH_PE_sdata4.0);

/// Calls back with the code and the offset of each entry of `.eh_frame`, which is at `address`, up
/// to the first whose length makes no sense. Entries that cannot be understood are left out.
pub(super) fn for_each_entry(bytes: &[u8], address: u64, mut found: impl FnMut(Range<u64>, usize)) {
    let section = EhFrame::new(bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(address);
    // Whether the entries of a header are encoded as usual; none if it cannot be understood.
    let mut headers: HashMap<usize, Option<bool>> = HashMap::default();
    let mut at = 0;
    while let Some(length) = word(bytes, at) {
        // The end, or a length of 64 bits, which no linker writes here.
        if length == 0 || length == u32::MAX {
            return;
        }
        let (offset, id_at) = (at, at + 4);
        at = id_at.saturating_add(length as usize);
        if at > bytes.len() {
            return;
        }
        let Some(back) = word(bytes, id_at).filter(|&back| back != 0) else { continue };
        let Some(header) = id_at.checked_sub(back as usize) else { continue };
        let usual = *headers.entry(header).or_insert_with(|| {
            let header = section.cie_from_offset(&bases, header.into()).ok()?;
            Some(header.fde_address_encoding() == Some(USUAL))
        });
        match usual {
            Some(true) => {
                let start_at = id_at + 4;
                let (Some(start), Some(length)) =
                    (word(bytes, start_at), word(bytes, start_at + 4))
                else {
                    return;
                };
                let here = address.wrapping_add(start_at as u64);
                let start = here.wrapping_add_signed(i64::from(start.cast_signed()));
                found(start..start.saturating_add(u64::from(length)), offset);
            }
            Some(false) => {
                if let Ok(entry) = whole(&section, &bases, offset) {
                    found(entry, offset);
                }
            }
            None => {}
        }
    }
}

fn whole(
    section: &EhFrame<Slice<'_>>,
    bases: &BaseAddresses,
    offset: usize,
) -> gimli::Result<Range<u64>> {
    let entry = section.fde_from_offset(bases, offset.into(), EhFrame::cie_from_offset)?;
    Ok(entry.initial_address()..entry.end_address())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::process::ElfLayout;
    use crate::unwind::compile::for_each_function;
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
