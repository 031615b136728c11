//! What is mapped where in a process, as the kernel programs look it up: a sorted run of ranges
//! for each process, which user space writes.

use crate::limits::TEXT_PAGE_BITS;

/// Where a process's ranges lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProcessRun {
    /// When it last ran another program, by the kernel programs (`CLOCK_MONOTONIC`, nanoseconds).
    /// What user space knows of an earlier time does not hold any more.
    pub exec_ns: u64,
    /// Index of its first range.
    pub first: u32,
    /// Number of its ranges.
    pub count: u32,
    /// Another number after each change: what was found before it does not hold any more.
    pub generation: u32,
    /// Zero.
    pub pad: u32,
}

/// A range of a process's address space that holds code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MappedRange {
    /// First address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// What to subtract from an address to get its offset from the table's first text page.
    pub bias: u64,
    /// Index of the table's first text page; where there is no page, why ([`NO_TABLE_YET`] or
    /// [`NO_TABLE_EVER`]).
    pub pages: u32,
    /// Number of the table's text pages.
    pub count: u32,
}

/// In [`MappedRange::pages`]: user space makes the table when the code is first seen.
pub const NO_TABLE_YET: u32 = 0;
/// In [`MappedRange::pages`]: the code has no table; frame pointers have to do.
pub const NO_TABLE_EVER: u32 = 1;

/// Where the rows of a text page lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TextPage {
    /// Index of the first row. All rows of a page lie in one value of the `ROWS` map.
    pub first: u32,
    /// Number of rows; the first is at the start of the page. 0 for a page without code.
    pub count: u32,
}

impl TextPage {
    /// A page whose rows user space makes when its code is first seen.
    pub const NOT_YET: Self = Self { first: u32::MAX, count: 0 };
}

impl MappedRange {
    /// Whether an address lies in the range.
    #[inline(always)]
    pub const fn holds(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// The table's text page of an address in the range and the address in that page.
    #[inline(always)]
    pub const fn page(&self, address: u64) -> (u64, u16) {
        let offset = address.wrapping_sub(self.bias);
        (offset >> TEXT_PAGE_BITS, (offset & ((1 << TEXT_PAGE_BITS) - 1)) as u16)
    }
}

const _: () = assert!(size_of::<ProcessRun>() == 24);
const _: () = assert!(size_of::<MappedRange>() == 32);
const _: () = assert!(size_of::<TextPage>() == 8);

#[cfg(feature = "user")]
mod pod {
    use super::ProcessRun;

    // SAFETY: `repr(C)`, made of integers alone without padding between them.
    #[expect(unsafe_code, reason = "aya asks for the promise that the bytes may be copied")]
    unsafe impl aya::Pod for ProcessRun {}
}
