//! How a row names its rule, in 16 bits: nearly all rules are told whole, so that nothing more has to
//! be looked up, and the rest by their place in a dictionary.
//!
//! ```text
//! bit 15      0: place in the dictionary, in the other bits
//!             1: the rule is
//!                CFA = base + 8·cfa; fp = fp if saved is 0, else *(CFA - 8·saved)
//! bit 14      base: 0 the stack pointer, 1 the frame pointer
//! bits 5-13   cfa; where it is 0 the low bits are not `saved`: they are the `Kind` of a rule that
//!             has no numbers
//! bits 0-4    saved
//! ```

use super::rule::{Kind, SavedFp};
use super::{FP, Rule, SP};

/// Rules in the dictionary.
pub const DICTIONARY: usize = 1 << 15;

const WHOLE: u16 = 1 << 15;
const OF_FP: u16 = 1 << 14;
const CFA_BITS: u32 = 9;
const SAVED_BITS: u32 = 5;
const CFA: u16 = ((1 << CFA_BITS) - 1) << SAVED_BITS;
const SAVED: u16 = (1 << SAVED_BITS) - 1;

/// A rule that its number tells whole, and that has numbers: nearly all that walks meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual(u16);

impl Usual {
    /// That of a number, if it is one.
    #[inline(always)]
    pub const fn of_number(number: u16) -> Option<Self> {
        if number & WHOLE != 0 && number & CFA != 0 { Some(Self(number)) } else { None }
    }

    /// Whether the base is the frame pointer, and not the stack pointer.
    #[inline(always)]
    pub(super) const fn is_of_fp(self) -> bool {
        self.0 & OF_FP != 0
    }

    /// How far the CFA is above the base, in bytes.
    #[inline(always)]
    pub(super) const fn cfa(self) -> u64 {
        8 * ((self.0 & CFA) >> SAVED_BITS) as u64
    }

    /// How far below the CFA the frame pointer is saved, in bytes; 0 where it is unchanged.
    #[inline(always)]
    pub(super) const fn saved(self) -> u64 {
        8 * (self.0 & SAVED) as u64
    }
}

impl Rule {
    /// The number of [`Rule::GAP`].
    pub const GAP_NUMBER: u16 = WHOLE | Kind::Gap as u16;
    /// The number of [`Rule::EXPRESSION`].
    pub const EXPRESSION_NUMBER: u16 = WHOLE | Kind::Expression as u16;

    /// The number of a rule that fits into it.
    pub fn number(self) -> Option<u16> {
        if self == Self::plain(self.kind()) {
            return Some(WHOLE | self.kind() as u16);
        }
        let base = match self.base() {
            SP => 0,
            FP => OF_FP,
            _ => return None,
        };
        let saved = match self.saved_fp() {
            SavedFp::Unchanged => 0,
            SavedFp::AtCfa(offset) if offset < 0 => offset / -8,
            _ => return None,
        };
        let fits = |number: i64, bits: u32| u16::try_from(number).ok().filter(|n| n >> bits == 0);
        let cfa = fits(self.cfa_offset() / 8, CFA_BITS).filter(|&cfa| cfa > 0)?;
        let saved = fits(saved, SAVED_BITS)?;
        let is_plain = self.kind() == Kind::Offset;
        is_plain.then_some(WHOLE | base | cfa << SAVED_BITS | saved)
    }

    /// Whether a number tells its rule whole, and not its place in the dictionary.
    #[inline(always)]
    pub const fn is_whole(number: u16) -> bool {
        number & WHOLE != 0
    }

    /// The rule of a number; `None` for one in the dictionary.
    #[inline(always)]
    pub const fn of_number(number: u16) -> Option<Self> {
        if !Self::is_whole(number) {
            return None;
        }
        let (saved, cfa) = (number & SAVED, (number & CFA) >> SAVED_BITS);
        let base = if number & OF_FP == 0 { SP } else { FP };
        Some(if cfa == 0 { Self::of_kind(saved as u8) } else { Self::usual(base, cfa, saved) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_the_rule_that_has_it() {
        let mut whole = 0;
        for number in WHOLE..=u16::MAX {
            let rule = Rule::of_number(number).expect("a whole rule");
            // Not all numbers are given: a kind that is none, or a base where there are no numbers.
            if let Some(own) = rule.number().filter(|&own| own == number) {
                assert_eq!(Rule::of_number(own), Some(rule));
                whole += 1;
            }
        }
        assert_eq!(whole, 2 * 511 * 32 + 9, "cfa from 1, and the kinds without numbers");
    }

    #[test]
    fn a_usual_rule_is_the_one_that_its_number_tells() {
        for number in 0..=u16::MAX {
            let rule = Rule::of_number(number);
            let Some(usual) = Usual::of_number(number) else {
                // Not all numbers are given.
                let given = rule.filter(|rule| rule.number() == Some(number));
                assert!(given.is_none_or(|rule| rule == Rule::plain(rule.kind())), "{number:#x}");
                continue;
            };
            let base = if usual.is_of_fp() { FP } else { SP };
            let saved = match usual.saved().cast_signed() {
                0 => SavedFp::Unchanged,
                saved => SavedFp::AtCfa(-saved),
            };
            assert_eq!(rule, Rule::offset(base, usual.cfa().cast_signed(), saved), "{number:#x}");
        }
    }

    #[test]
    fn usual_rules_have_numbers_and_read_back() {
        let saved = [SavedFp::Unchanged, SavedFp::AtCfa(-16), SavedFp::AtCfa(-248)];
        for (base, cfa, fp) in [(SP, 8, saved[0]), (FP, 16, saved[1]), (SP, 511 * 8, saved[2])] {
            let rule = Rule::offset(base, cfa, fp).expect("a rule");
            assert_eq!(rule.number().and_then(Rule::of_number), Some(rule));
        }
        for rule in [Rule::GAP, Rule::ROOT, Rule::SIGNAL, Rule::EXPRESSION, Rule::CHAIN] {
            assert_eq!(rule.number().and_then(Rule::of_number), Some(rule));
        }
        for rule in [Rule::PLT11, Rule::PLT10] {
            assert_eq!(rule.number().and_then(Rule::of_number), Some(rule));
        }
    }

    #[test]
    fn other_rules_are_for_the_dictionary() {
        let far = [(SP, 512 * 8), (FP, 0), (SP, -8), (10, 8)];
        for (base, cfa) in far {
            let rule = Rule::offset(base, cfa, SavedFp::Unchanged).expect("a rule");
            assert_eq!(rule.number(), None, "{base} {cfa}");
        }
        for fp in [SavedFp::AtCfa(-256), SavedFp::AtCfa(0), SavedFp::AtBase(-16)] {
            assert_eq!(Rule::offset(FP, 16, fp).and_then(Rule::number), None, "{fp:?}");
        }
        assert_eq!(Rule::deref(FP, 16, 0, SavedFp::Unchanged).and_then(Rule::number), None);
        assert_eq!(Rule::of_number(7), None);
        assert_eq!(Rule::of_number(Rule::GAP_NUMBER), Some(Rule::GAP));
        assert_eq!(Rule::of_number(Rule::EXPRESSION_NUMBER), Some(Rule::EXPRESSION));
    }
}
