//! Where functions without names begin: from the search table of a file's unwind information,
//! which stripped files keep. It gives code without symbols the shape of functions.
//!
//! The table is `.eh_frame_hdr` of the Linux Standard Base, "Exception Frames": pairs of a
//! function's start and of its entry in `.eh_frame`, sorted, each relative to the table's own
//! section. Only the one encoding that linkers write is read.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use crate::process::ElfLayout;

/// Version 1; pointer to `.eh_frame` relative to itself; count as a 32-bit number; pairs as
/// 32-bit numbers relative to the section.
const HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
/// No real table is near this size, in bytes.
const LARGEST: u64 = 64 << 20;

/// The search table of a file.
pub(super) struct Extents<'a> {
    file: &'a File,
    layout: &'a ElfLayout,
    /// Address of the section that the pairs are relative to.
    base: u64,
    pairs: Vec<u8>,
}

impl<'a> Extents<'a> {
    /// Reads the table; `None` if the file has none of the usual form.
    pub(super) fn read(file: &'a File, layout: &'a ElfLayout) -> Option<Self> {
        let (address, length) = layout.unwind_index?;
        let offset = layout.offset_of_address(address)?;
        let mut head = [0; 12];
        file.read_exact_at(&mut head, offset).ok()?;
        if head[..4] != HEADER {
            return None;
        }
        let count = u64::from(u32::from_ne_bytes([head[8], head[9], head[10], head[11]]));
        let bytes = count.checked_mul(8)?;
        if bytes > LARGEST || bytes + 12 > length {
            return None;
        }
        let mut pairs = vec![0; bytes as usize];
        file.read_exact_at(&mut pairs, offset + 12).ok()?;
        Some(Self { file, layout, base: address, pairs })
    }

    /// The addresses of the function that an address lies in.
    pub(super) fn function(&self, address: u64) -> Option<Range<u64>> {
        let count = self.pairs.len() / 8;
        let start = |row: usize| self.place(row * 8);
        // The first row that starts behind the address; the one before it may hold it.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            if start(middle) <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let row = low.checked_sub(1)?;
        let begin = start(row);
        // An entry: its length, its CIE, the function's start and its length, 32 bits each.
        let entry = self.layout.offset_of_address(self.place(row * 8 + 4))?;
        let mut length = [0; 4];
        self.file.read_exact_at(&mut length, entry.checked_add(12)?).ok()?;
        let end = begin.checked_add(u64::from(u32::from_ne_bytes(length)))?;
        (address < end).then_some(begin..end)
    }

    fn place(&self, at: usize) -> u64 {
        let mut four = [0; 4];
        four.copy_from_slice(&self.pairs[at..at + 4]);
        self.base.wrapping_add_signed(i64::from(i32::from_ne_bytes(four)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_that_an_address_lies_in_is_found() {
        let file = File::open("/proc/self/exe").expect("this test binary");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        let extents = Extents::read(&file, &layout).expect("its search table");
        // Two addresses of one function: this test, as it stands in memory.
        let run: fn() = the_function_that_an_address_lies_in_is_found;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
        let first = maps.lines().next().and_then(|line| line.split('-').next()).expect("a line");
        let load = u64::from_str_radix(first, 16).expect("an address");
        let here = run as usize as u64 - load;
        let function = extents.function(here).expect("this function");
        assert_eq!(function.start, here);
        assert_eq!(extents.function(function.end - 1), Some(function));
        assert_eq!(extents.function(0), None);
        assert_eq!(extents.function(u64::MAX), None);
    }
}
