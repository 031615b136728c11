//! One step, from a frame to its caller, by the equations of [`Rule`].

use super::frame_pointer::{self, Cursor};
use super::{Kind, Memory, Registers, Rule, SavedFp, Usual, x86_64};
use crate::frame::RawFrame;
use crate::sample::StackEnd;

/// How the caller was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// By a rule of a table.
    Called,
    /// By a rule of a table; the frame did not call but was interrupted by a signal.
    Interrupted,
    /// By a frame pointer that no table vouches for.
    Guessed,
}

impl Step {
    /// The frame that the step led to.
    #[inline(always)]
    pub const fn frame(self, registers: &Registers) -> RawFrame {
        match self {
            Self::Called => RawFrame::return_address(registers.ip),
            Self::Interrupted => RawFrame::instruction_pointer(registers.ip),
            Self::Guessed => RawFrame::guess(registers.ip),
        }
    }
}

/// Goes to the caller, or says why that cannot be. `registers` are then as they were, but for a
/// stack that could not be read: then they mean nothing.
#[inline(always)]
pub fn step(
    registers: &mut Registers,
    rule: Rule,
    memory: &mut impl Memory,
) -> Result<Step, StackEnd> {
    let sp = registers.sp();
    let (cfa, base) = match rule.kind() {
        Kind::Offset => {
            let base = registers.known(rule.base()).ok_or(StackEnd::Expression)?;
            (base.wrapping_add_signed(rule.cfa_offset()), base)
        }
        Kind::Deref => {
            let base = registers.known(rule.base()).ok_or(StackEnd::Expression)?;
            let at = base.wrapping_add_signed(rule.cfa_offset());
            let cfa = memory.word(at).ok_or(StackEnd::Unreadable)?;
            (cfa.wrapping_add_signed(rule.post_offset()), base)
        }
        Kind::Plt11 => (sp.wrapping_add(x86_64::plt_offset(registers.ip, 11)), sp),
        Kind::Plt10 => (sp.wrapping_add(x86_64::plt_offset(registers.ip, 10)), sp),
        Kind::Gap => return guess(registers, memory),
        Kind::Chain => return follow_chain(registers, memory),
        Kind::Signal => {
            x86_64::before_signal(registers, memory).ok_or(StackEnd::Unreadable)?;
            return Ok(Step::Interrupted);
        }
        Kind::Root => return Err(StackEnd::Root),
        Kind::Expression => return Err(StackEnd::Expression),
    };
    let saved_at = match rule.saved_fp() {
        SavedFp::Unchanged => None,
        SavedFp::AtCfa(offset) => Some(cfa.wrapping_add_signed(offset)),
        SavedFp::AtBase(offset) => Some(base.wrapping_add_signed(offset)),
    };
    go_up(registers, cfa, saved_at, memory)
}

/// [`step`] by a usual rule, in fewer instructions.
#[inline(always)]
pub fn step_usual(
    registers: &mut Registers,
    rule: Usual,
    memory: &mut impl Memory,
) -> Result<Step, StackEnd> {
    let base = if rule.is_of_fp() { registers.fp() } else { registers.sp() };
    let cfa = base.wrapping_add(rule.cfa());
    let saved_at = (rule.saved() != 0).then(|| cfa.wrapping_sub(rule.saved()));
    go_up(registers, cfa, saved_at, memory)
}

/// To the caller whose stack pointer is `cfa`, and whose frame pointer is saved in a place or is as it
/// was.
#[inline(always)]
fn go_up(
    registers: &mut Registers,
    cfa: u64,
    saved_at: Option<u64>,
    memory: &mut impl Memory,
) -> Result<Step, StackEnd> {
    // A frame holds its return address at least: a walk always goes up, and so ends.
    if cfa <= registers.sp() || cfa & 7 != 0 {
        return Err(StackEnd::Implausible);
    }
    // The lower word first: what is read at one time begins there.
    let fp = match saved_at {
        Some(at) => memory.word(at).ok_or(StackEnd::Unreadable)?,
        None => registers.fp(),
    };
    let ip = memory.word(cfa.wrapping_sub(8)).ok_or(StackEnd::Unreadable)?;
    if ip == 0 {
        return Err(StackEnd::Root);
    }
    registers.return_to(ip, cfa, fp);
    Ok(Step::Called)
}

/// The caller by frame pointer, on any stack. That a walk ends is up to its number of frames.
#[inline(always)]
fn follow_chain(registers: &mut Registers, memory: &mut impl Memory) -> Result<Step, StackEnd> {
    let at = registers.fp();
    if at & 7 != 0 {
        return Err(StackEnd::Implausible);
    }
    if at == 0 {
        return Err(StackEnd::LastFramePointer);
    }
    let fp = memory.word(at).ok_or(StackEnd::Unreadable)?;
    let ip = memory.word(at.wrapping_add(8)).ok_or(StackEnd::Unreadable)?;
    if ip == 0 {
        return Err(StackEnd::Root);
    }
    registers.return_to(ip, at.wrapping_add(16), fp);
    Ok(Step::Called)
}

#[inline(always)]
fn guess(registers: &mut Registers, memory: &mut impl Memory) -> Result<Step, StackEnd> {
    let at = Cursor { fp: registers.fp(), sp: registers.sp() };
    let (caller, ip) = frame_pointer::step(at, memory)?;
    registers.return_to(ip, caller.sp, caller.fp);
    Ok(Step::Guessed)
}

#[cfg(test)]
mod tests {
    use super::super::{FP, SP};
    use super::*;
    use std::vec::Vec;

    /// A stack at 0x1000, one word each 8 bytes.
    struct Words(Vec<u64>);

    impl Memory for Words {
        fn word(&mut self, address: u64) -> Option<u64> {
            let index = usize::try_from(address.checked_sub(0x1000)? / 8).ok()?;
            self.0.get(index).copied()
        }
    }

    fn at(ip: u64, sp: u64, fp: u64) -> Registers {
        let mut registers = Registers { ip, all_known: 1, ..Registers::default() };
        registers.general[usize::from(SP)] = sp;
        registers.general[usize::from(FP)] = fp;
        registers
    }

    fn go(from: Registers, rule: Option<Rule>, words: &[u64]) -> Result<(u64, u64, u64), StackEnd> {
        let mut registers = from;
        step(&mut registers, rule.expect("a rule that fits"), &mut Words(words.into()))
            .map(|_| (registers.ip, registers.sp(), registers.fp()))
    }

    #[test]
    fn a_frame_by_stack_pointer_keeps_or_restores_the_frame_pointer() {
        let words = [7, 8, 0x40_0001];
        let kept = Rule::offset(SP, 24, SavedFp::Unchanged);
        assert_eq!(go(at(1, 0x1000, 5), kept, &words), Ok((0x40_0001, 0x1018, 5)));
        let restored = Rule::offset(SP, 24, SavedFp::AtCfa(-16));
        assert_eq!(go(at(1, 0x1000, 5), restored, &words), Ok((0x40_0001, 0x1018, 8)));
    }

    #[test]
    fn a_usual_rule_goes_where_the_same_rule_goes() {
        let words = [7, 8, 0x40_0001, 9, 0];
        let rules = [(SP, 24, SavedFp::Unchanged), (SP, 24, SavedFp::AtCfa(-16))];
        let others = [(FP, 16, SavedFp::AtCfa(-8)), (SP, 40, SavedFp::Unchanged)];
        let beyond = [(SP, 64, SavedFp::Unchanged), (FP, 8, SavedFp::AtCfa(-24))];
        for (base, cfa, fp) in rules.into_iter().chain(others).chain(beyond) {
            for frame_pointer in [0x1008, 0x1010, 0x1001, 0x0ff0] {
                let rule = Rule::offset(base, cfa, fp).expect("a rule that fits");
                let usual = rule.number().and_then(Usual::of_number).expect("a usual rule");
                let mut registers = at(1, 0x1000, frame_pointer);
                let gone = step_usual(&mut registers, usual, &mut Words(words.into()))
                    .map(|_| (registers.ip, registers.sp(), registers.fp()));
                assert_eq!(gone, go(at(1, 0x1000, frame_pointer), Some(rule), &words), "{rule:?}");
            }
        }
    }

    #[test]
    fn a_realigned_frame_is_found_through_its_saved_cfa() {
        // rbp = 0x1010; *(rbp - 8) is the CFA, *(rbp) the caller's rbp.
        let words = [0, 0x1028, 0x77, 0, 0x40_0002];
        let rule = Rule::deref(FP, -8, 0, SavedFp::AtBase(0));
        assert_eq!(go(at(1, 0x1000, 0x1010), rule, &words), Ok((0x40_0002, 0x1028, 0x77)));
    }

    #[test]
    fn a_third_register_counts_only_where_it_is_known() {
        let words = [0, 0x40_0003];
        let mut leaf = at(1, 0x1000, 0);
        (leaf.general[10], leaf.general[12]) = (0x1008, 0x1008);
        let [free, saved] = [10, 12].map(|base| Rule::offset(base, 8, SavedFp::Unchanged));
        assert_eq!(go(leaf, free, &words), Ok((0x40_0003, 0x1010, 0)));
        assert_eq!(go(leaf, saved, &words), Ok((0x40_0003, 0x1010, 0)));
        leaf.all_known = 0;
        assert_eq!(go(leaf, free, &words), Ok((0x40_0003, 0x1010, 0)), "taken for unchanged");
        assert_eq!(go(leaf, saved, &words), Err(StackEnd::Expression), "may have been changed");
    }

    #[test]
    fn a_plt_stub_has_pushed_a_word_from_its_eleventh_byte_on() {
        let words = [0x40_0004, 0x40_0005];
        let ip = |ip, rule| go(at(ip, 0x1000, 0), Some(rule), &words).map(|(ip, ..)| ip);
        assert_eq!(ip(0x400_010a, Rule::PLT11), Ok(0x40_0004));
        assert_eq!(ip(0x400_010b, Rule::PLT11), Ok(0x40_0005));
        assert_eq!(ip(0x400_010a, Rule::PLT10), Ok(0x40_0005));
    }

    #[test]
    fn a_signal_frame_restores_all_registers_and_is_no_call() {
        let words: Vec<u64> = (0..22).collect();
        let mut registers = at(1, 0x1000, 0);
        let found = step(&mut registers, Rule::SIGNAL, &mut Words(words));
        assert_eq!(found, Ok(Step::Interrupted));
        assert_eq!((registers.fp(), registers.sp(), registers.ip), (15, 20, 21));
        assert_eq!((registers.general[8], registers.general[0], registers.all_known), (5, 18, 1));
        assert_eq!(registers.lookup(), 21, "it was about to run this instruction");
    }

    #[test]
    fn a_chain_leads_to_another_stack_below() {
        let words = [0x77, 0x40_0006];
        let found = go(at(1, 0x9000, 0x1000), Some(Rule::CHAIN), &words);
        assert_eq!(found, Ok((0x40_0006, 0x1010, 0x77)));
        assert_eq!(
            go(at(1, 0x9000, 0x1004), Some(Rule::CHAIN), &words),
            Err(StackEnd::Implausible)
        );
        assert_eq!(
            go(at(1, 0x9000, 0), Some(Rule::CHAIN), &words),
            Err(StackEnd::LastFramePointer)
        );
        assert_eq!(go(at(1, 0x9000, 0x2000), Some(Rule::CHAIN), &words), Err(StackEnd::Unreadable));
    }

    #[test]
    fn ends_are_told_apart() {
        let leaf = at(1, 0x1000, 0);
        assert_eq!(go(leaf, Some(Rule::ROOT), &[]), Err(StackEnd::Root));
        assert_eq!(go(leaf, Some(Rule::EXPRESSION), &[]), Err(StackEnd::Expression));
        assert_eq!(go(leaf, Some(Rule::GAP), &[]), Err(StackEnd::LastFramePointer));
        let rule = Rule::offset(SP, 8, SavedFp::Unchanged);
        assert_eq!(go(leaf, rule, &[]), Err(StackEnd::Unreadable));
        assert_eq!(go(leaf, rule, &[0]), Err(StackEnd::Root));
        let down = Rule::offset(FP, 16, SavedFp::AtCfa(-16));
        assert_eq!(go(at(1, 0x1000, 0x0ff0), down, &[1, 2]), Err(StackEnd::Implausible));
    }
}
