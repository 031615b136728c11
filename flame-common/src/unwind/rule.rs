//! What an unwind row says: how to get from a frame to its caller's.
//!
//! In all rules `CFA` (the canonical frame address) is the caller's stack pointer, and words are
//! of 64 bits:
//!
//! ```text
//! Offset      CFA = base + 8·cfa
//! Deref       CFA = *(base + 8·cfa) + 8·post
//! Plt11       CFA = sp + 8 + (8 if ip & 15 >= 11 else 0)      a linker's lazy-binding stub
//! Plt10       CFA = sp + 8 + (8 if ip & 15 >= 10 else 0)      the same with -z ibtplt
//! Signal      all registers = those that the kernel saved at sp when it delivered the signal
//! Root        there is no caller: the return address is undefined
//! Chain       by frame pointer, wherever it leads: code that goes to another stack (Go's runtime)
//! Gap         no table speaks of this code: by frame pointer, if it keeps one
//! Expression  has to be computed, which no row can hold
//! ```
//!
//! and for the first four
//!
//! ```text
//! ip = *(CFA - 8)
//! fp = fp                          SavedFp::Unchanged
//!    = *(CFA + 8·fp_offset)        SavedFp::AtCfa
//!    = *(base + 8·fp_offset)       SavedFp::AtBase
//! ```

use core::hash::{Hash, Hasher};

/// A rule of an unwind table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Rule {
    /// A [`Kind`] in the low four bits, DWARF's number of the base register in the high four.
    kind_and_base: u8,
    /// Which [`SavedFp`], counted from 0.
    saved_fp: u8,
    post: i8,
    /// The upper eight bits of `cfa`, whose number has 24: real frames of more than 512 KiB exist.
    cfa_high: i8,
    cfa_low: u16,
    fp_offset: i16,
}

/// Which equation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the module's table says what each means")]
pub enum Kind {
    Gap = 0,
    Offset = 1,
    Deref = 2,
    Plt11 = 3,
    Plt10 = 4,
    Signal = 5,
    Root = 6,
    Expression = 7,
    Chain = 8,
}

/// Where the caller's frame pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedFp {
    /// Still in its register.
    Unchanged,
    /// In the frame, by offset from the CFA in bytes, a multiple of 8.
    AtCfa(i64),
    /// By offset from the base register in bytes, a multiple of 8.
    AtBase(i64),
}

impl Rule {
    /// No table speaks of this code.
    pub const GAP: Self = Self::plain(Kind::Gap);
    /// There is no caller.
    pub const ROOT: Self = Self::plain(Kind::Root);
    /// The kernel's frame for a signal handler.
    pub const SIGNAL: Self = Self::plain(Kind::Signal);
    /// To be computed.
    pub const EXPRESSION: Self = Self::plain(Kind::Expression);
    /// The frame pointer leads to the caller's stack, which may be another.
    pub const CHAIN: Self = Self::plain(Kind::Chain);
    /// A lazy-binding stub whose push is the 11th byte's.
    pub const PLT11: Self = Self::plain(Kind::Plt11);
    /// A lazy-binding stub whose push is the 10th byte's.
    pub const PLT10: Self = Self::plain(Kind::Plt10);

    /// A rule without numbers.
    pub(super) const fn plain(kind: Kind) -> Self {
        Self::of_kind(kind as u8)
    }

    /// A rule without numbers, of a kind by its own number.
    #[inline(always)]
    pub(super) const fn of_kind(kind: u8) -> Self {
        Self {
            kind_and_base: kind | super::SP << 4,
            saved_fp: 0,
            post: 0,
            cfa_high: 0,
            cfa_low: 0,
            fp_offset: 0,
        }
    }

    /// `CFA = base + 8·cfa`; the frame pointer is where it was if `saved` is 0, else at `CFA - 8·saved`.
    #[inline(always)]
    pub(super) const fn usual(base: u8, cfa: u16, saved: u16) -> Self {
        Self {
            kind_and_base: Kind::Offset as u8 | base << 4,
            saved_fp: (saved != 0) as u8,
            post: 0,
            cfa_high: 0,
            cfa_low: cfa,
            fp_offset: -(saved as i16),
        }
    }

    /// `CFA = base + cfa`; `None` if a number does not fit. Offsets are in bytes.
    pub fn offset(base: u8, cfa: i64, fp: SavedFp) -> Option<Self> {
        Self::new(Kind::Offset, base, cfa, 0, fp)
    }

    /// `CFA = *(base + cfa) + post`; `None` if a number does not fit. Offsets are in bytes.
    pub fn deref(base: u8, cfa: i64, post: i64, fp: SavedFp) -> Option<Self> {
        Self::new(Kind::Deref, base, cfa, post, fp)
    }

    fn new(kind: Kind, base: u8, cfa: i64, post: i64, fp: SavedFp) -> Option<Self> {
        let eighth = |bytes: i64| if bytes % 8 == 0 { Some(bytes / 8) } else { None };
        let (saved_fp, fp_offset) = match fp {
            SavedFp::Unchanged => (0, 0),
            SavedFp::AtCfa(offset) => (1, offset),
            SavedFp::AtBase(offset) => (2, offset),
        };
        if base > 15 {
            return None;
        }
        let cfa = eighth(cfa)?;
        Some(Self {
            kind_and_base: kind as u8 | base << 4,
            saved_fp,
            post: eighth(post)?.try_into().ok()?,
            cfa_high: (cfa >> 16).try_into().ok()?,
            cfa_low: cfa as u16,
            fp_offset: eighth(fp_offset)?.try_into().ok()?,
        })
    }

    /// Which equation holds; a gap for a number that means nothing.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        match self.kind_and_base & 15 {
            1 => Kind::Offset,
            2 => Kind::Deref,
            3 => Kind::Plt11,
            4 => Kind::Plt10,
            5 => Kind::Signal,
            6 => Kind::Root,
            7 => Kind::Expression,
            8 => Kind::Chain,
            _ => Kind::Gap,
        }
    }

    /// DWARF's number of the base register.
    #[inline(always)]
    pub const fn base(self) -> u8 {
        self.kind_and_base >> 4
    }

    /// The offset from the base, in bytes.
    #[inline(always)]
    pub const fn cfa_offset(self) -> i64 {
        ((self.cfa_high as i64) << 16 | self.cfa_low as i64) * 8
    }

    /// What is added to a dereferenced CFA, in bytes.
    #[inline(always)]
    pub const fn post_offset(self) -> i64 {
        self.post as i64 * 8
    }

    /// Where the caller's frame pointer is.
    #[inline(always)]
    pub const fn saved_fp(self) -> SavedFp {
        match self.saved_fp {
            0 => SavedFp::Unchanged,
            1 => SavedFp::AtCfa(self.fp_offset as i64 * 8),
            _ => SavedFp::AtBase(self.fp_offset as i64 * 8),
        }
    }
}

/// As one word: dictionaries of rules are asked for each row of a table.
impl Hash for Rule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { kind_and_base, saved_fp, post, cfa_high, cfa_low, fp_offset } = *self;
        let bytes = [kind_and_base, saved_fp, post.cast_unsigned(), cfa_high.cast_unsigned()];
        let offsets = u32::from(cfa_low) << 16 | u32::from(fp_offset.cast_unsigned());
        state.write_u64(u64::from(u32::from_le_bytes(bytes)) << 32 | u64::from(offsets));
    }
}

const _: () = assert!(size_of::<Rule>() == 8);

#[cfg(test)]
mod tests {
    use super::super::{FP, SP};
    use super::*;

    #[test]
    fn a_rule_reads_back_as_it_was_made() {
        for cfa in [8, -8, 8 * 32_767, 540_080, 8 * 8_388_607, -8 * 8_388_608] {
            let rule = Rule::offset(SP, cfa, SavedFp::Unchanged).expect("it fits");
            assert_eq!((rule.kind(), rule.base(), rule.cfa_offset()), (Kind::Offset, SP, cfa));
        }
        let rule = Rule::offset(15, 8, SavedFp::AtCfa(-16)).expect("it fits");
        assert_eq!((rule.base(), Rule::GAP.kind(), Rule::ROOT.base()), (15, Kind::Gap, SP));
        assert_eq!(rule.saved_fp(), SavedFp::AtCfa(-16));
        let rule = Rule::deref(FP, -8, 8, SavedFp::AtBase(0)).expect("it fits");
        assert_eq!((rule.kind(), rule.cfa_offset(), rule.post_offset()), (Kind::Deref, -8, 8));
        assert_eq!(rule.saved_fp(), SavedFp::AtBase(0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(Rule::offset(SP, 8 * 8_388_608, SavedFp::Unchanged), None);
        assert_eq!(Rule::offset(SP, 12, SavedFp::Unchanged), None);
        assert_eq!(Rule::offset(16, 8, SavedFp::Unchanged), None);
        assert_eq!(Rule::deref(SP, 8, 1024, SavedFp::Unchanged), None);
        assert_eq!(Rule::offset(SP, 8, SavedFp::AtCfa(i64::MIN)), None);
    }
}
