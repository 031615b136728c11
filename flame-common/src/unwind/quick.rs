//! The rules of nearly all frames, in the form that takes the least to follow:
//!
//! ```text
//! CFA = base + cfa        ip = *(CFA - 8)        fp = *(CFA - below), or fp
//! ```
//!
//! where the base is the stack or the frame pointer. They are followed without a branch on what
//! they say, since branches that the processor has not learned are what a walk takes longest for.
//! Their steps are those of [`step`](super::step); whatever else there is (other rules, words that
//! have not been read, frames that cannot be, the outermost) is left to that.

use super::{FP, Kind, Memory, Registers, Rule, SP, SavedFp};

/// A rule in that form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct QuickRule {
    /// From the base to the CFA, in bytes.
    cfa: u32,
    /// From the CFA down to the saved frame pointer, in bytes; some word of the frame where none
    /// is saved.
    below: u32,
    /// 1 if the base is the frame pointer, 0 if the stack pointer.
    is_by_fp: u8,
    /// 1 if the frame pointer is saved.
    is_fp_saved: u8,
    /// 1 if there is such a form of the rule.
    is_quick: u8,
    pad: u8,
}

/// The registers that such a walk keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuickFrame {
    /// The instruction pointer.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer.
    pub fp: u64,
}

/// Bytes of a word, and how far below the CFA the return address is.
const WORD: i64 = 8;

impl QuickRule {
    /// The form of a rule; what is not quick for one that has none.
    #[inline(always)]
    pub fn of(rule: Rule) -> Self {
        let base = rule.base();
        let cfa = rule.cfa_offset();
        let below = match rule.saved_fp() {
            SavedFp::Unchanged => WORD,
            SavedFp::AtCfa(offset) => -offset,
            SavedFp::AtBase(offset) => cfa - offset,
        };
        let is_quick =
            rule.kind() == Kind::Offset && (base == SP || base == FP) && cfa >= 0 && below >= 0;
        if !is_quick {
            return Self::default();
        }
        // A rule's numbers have 27 bits at most.
        Self {
            cfa: cfa as u32,
            below: below as u32,
            is_by_fp: u8::from(base == FP),
            is_fp_saved: u8::from(rule.saved_fp() != SavedFp::Unchanged),
            is_quick: 1,
            pad: 0,
        }
    }

    /// Whether there is such a form of the rule.
    #[inline(always)]
    pub const fn is_quick(self) -> bool {
        self.is_quick != 0
    }

    /// The caller, which is at a return address; `None` leaves it to [`step`](super::step).
    #[inline(always)]
    pub fn caller(self, frame: QuickFrame, memory: &mut impl Memory) -> Option<QuickFrame> {
        let base = chosen(self.is_by_fp, frame.fp, frame.sp);
        let cfa = base.wrapping_add(u64::from(self.cfa));
        if cfa <= frame.sp || cfa & 7 != 0 {
            return None;
        }
        let ip = memory.word(cfa.wrapping_sub(WORD as u64))?;
        let saved = memory.word(cfa.wrapping_sub(u64::from(self.below)))?;
        if ip == 0 {
            return None;
        }
        Some(QuickFrame { ip, sp: cfa, fp: chosen(self.is_fp_saved, saved, frame.fp) })
    }
}

impl Registers {
    /// Those that a quick walk keeps.
    #[inline(always)]
    pub const fn quick(&self) -> QuickFrame {
        QuickFrame { ip: self.ip, sp: self.sp(), fp: self.fp() }
    }
}

/// `yes` for 1, `no` for 0.
#[inline(always)]
const fn chosen(which: u8, yes: u64, no: u64) -> u64 {
    let all_or_none = (which as u64).wrapping_neg();
    no ^ ((no ^ yes) & all_or_none)
}

const _: () = assert!(size_of::<QuickRule>() == 12);

#[cfg(test)]
mod tests {
    use super::super::{Step, step};
    use super::*;
    use std::vec::Vec;

    const STACK: u64 = 0x1000;

    /// A stack of words, some of which are like addresses of others and some of which are not.
    struct Words(Vec<u64>);

    impl Words {
        fn new(seed: u64) -> Self {
            let word = |at: u64| match (seed ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 {
                0 => 0,
                1 => STACK + 8 * (at + 3),
                2 => STACK + 8 * at + 4,
                other => 0x40_0000 + other * at,
            };
            Self((0..64).map(word).collect())
        }
    }

    impl Memory for Words {
        fn word(&mut self, address: u64) -> Option<u64> {
            let offset = address.checked_sub(STACK).filter(|offset| offset % 8 == 0)?;
            self.0.get(usize::try_from(offset / 8).ok()?).copied()
        }
    }

    fn rules() -> Vec<Rule> {
        let mut rules = Vec::from([Rule::GAP, Rule::ROOT, Rule::SIGNAL, Rule::PLT11, Rule::CHAIN]);
        for base in [SP, FP, 12] {
            for cfa in [-16, 0, 8, 16, 24, 80, 540_080, 8 * 8_388_607] {
                let saved = [-8, -16, -24, 8, -8 * 32_768].map(SavedFp::AtCfa);
                let at_base = [0, -16, 8, 4096].map(SavedFp::AtBase);
                for fp in [SavedFp::Unchanged].into_iter().chain(saved).chain(at_base) {
                    rules.extend(Rule::offset(base, cfa, fp));
                    rules.extend(Rule::deref(base, cfa, 8, fp));
                }
            }
        }
        rules
    }

    #[test]
    fn a_quick_step_leads_where_a_step_does() {
        let mut taken = 0;
        for (seed, rule) in
            (0..4).flat_map(|seed| rules().into_iter().map(move |rule| (seed, rule)))
        {
            for sp in (STACK - 16..STACK + 600).step_by(4) {
                for fp in [sp, sp + 16, sp.wrapping_sub(64), STACK + 44, 0, u64::MAX - 7] {
                    let mut memory = Words::new(seed);
                    let quick = QuickRule::of(rule);
                    let from = QuickFrame { ip: 1, sp, fp };
                    if !quick.is_quick() {
                        continue;
                    }
                    let Some(caller) = quick.caller(from, &mut memory) else { continue };
                    let mut registers = Registers { all_known: 1, ..Registers::default() };
                    registers.general[usize::from(SP)] = sp;
                    registers.general[usize::from(FP)] = fp;
                    assert_eq!(step(&mut registers, rule, &mut memory), Ok(Step::Called));
                    assert_eq!(registers.quick(), caller, "{rule:?} at {sp:x} {fp:x}");
                    taken += 1;
                }
            }
        }
        assert!(taken > 10_000, "{taken}");
    }

    #[test]
    fn usual_rules_are_quick_and_no_others() {
        let quick = |rule: Option<Rule>| QuickRule::of(rule.expect("it fits")).is_quick();
        assert!(quick(Rule::offset(SP, 8, SavedFp::Unchanged)));
        assert!(quick(Rule::offset(SP, 8 * 8_388_607, SavedFp::AtCfa(-8 * 32_768))));
        assert!(quick(Rule::offset(FP, 16, SavedFp::AtCfa(-16))));
        assert!(quick(Rule::offset(FP, 16, SavedFp::AtBase(0))));
        assert!(!quick(Rule::offset(3, 16, SavedFp::Unchanged)));
        assert!(!quick(Rule::offset(FP, -16, SavedFp::Unchanged)));
        assert!(!quick(Rule::offset(SP, 16, SavedFp::AtCfa(8))));
        assert!(!quick(Rule::deref(FP, 16, 0, SavedFp::Unchanged)));
        for rule in [Rule::GAP, Rule::ROOT, Rule::SIGNAL, Rule::PLT10, Rule::CHAIN] {
            assert!(!quick(Some(rule)));
        }
        assert!(!QuickRule::default().is_quick(), "memory that nobody wrote to");
    }

    #[test]
    fn what_is_not_as_usual_is_left_to_the_step() {
        let rule = QuickRule::of(Rule::offset(SP, 16, SavedFp::AtCfa(-16)).expect("it fits"));
        let at = |sp, words: &[u64]| {
            rule.caller(QuickFrame { ip: 1, sp, fp: 5 }, &mut Words(words.into()))
        };
        assert_eq!(at(STACK, &[7, 9]), Some(QuickFrame { ip: 9, sp: STACK + 16, fp: 7 }));
        assert_eq!(at(STACK, &[7, 0]), None, "the outermost");
        assert_eq!(at(STACK, &[7]), None, "not read");
        assert_eq!(at(STACK - 8, &[7, 9]), None, "not read");
        assert_eq!(at(STACK + 4, &[7, 9, 9, 9]), None, "not aligned");
        let down = QuickRule::of(Rule::offset(FP, 8, SavedFp::Unchanged).expect("it fits"));
        let below = QuickFrame { ip: 1, sp: STACK + 8, fp: STACK };
        assert_eq!(down.caller(below, &mut Words([7, 9, 9].into())), None, "not above");
    }
}
