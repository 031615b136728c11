//! The step from a frame to its caller as DWARF describes it, for what no row can hold: with all
//! callee-saved registers, and with expressions. Bounded in steps and in memory.

use flame_common::sample::StackEnd;
use flame_common::unwind::{FP, Memory, Registers, Rule, SP, Step, step};
use gimli::{
    BaseAddresses, CfaRule, Evaluation, EvaluationResult, FrameDescriptionEntry, Register,
    RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
};

use super::compile::{Entry, UnwindInformation};
use super::entries::{self, entry_at};
use super::translate::{RA, Row, Slice};

/// Most operations of one expression; the longest known has ten.
const OPERATIONS: u32 = 256;

/// A frame, with what is known of its registers.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) registers: Registers,
    /// Bit n: whether the general register n is known.
    known: u32,
}

impl Frame {
    /// The frame of these registers.
    pub(super) fn new(registers: Registers) -> Self {
        let known = (0..16).filter(|&number| registers.known(number).is_some());
        Self { registers, known: known.map(|number| 1 << number).sum() }
    }

    /// Goes to the caller by a rule of a table, in code of which nothing further is known.
    pub(super) fn step(&mut self, rule: Rule, memory: &mut impl Memory) -> Result<Step, StackEnd> {
        self.registers.all_known = u32::from(self.known == 0xffff);
        let found = step(&mut self.registers, rule, memory)?;
        self.known = match found {
            Step::Interrupted => 0xffff,
            Step::Called => self.known | 1 << SP | 1 << FP,
            Step::Guessed => 1 << SP | 1 << FP,
        };
        Ok(found)
    }

    /// Goes to the caller as the entry of the function says that `address` lies in; `None` where
    /// it has no entry that can be understood.
    pub(super) fn compute(
        &mut self,
        information: &UnwindInformation,
        address: u64,
        memory: &mut impl Memory,
    ) -> Option<Result<Step, StackEnd>> {
        match information.function(address)?.entry {
            Entry::EhFrame(offset) => {
                let section = information.sources.eh_frame.as_ref()?;
                section.with_entry(offset, |section, bases| {
                    self.by_entry(section, bases, offset, address, memory)
                })?
            }
            Entry::DebugFrame(offset) => {
                let (section, bases) = information.sources.debug_frame()?;
                self.by_entry(&section, &bases, offset, address, memory)
            }
            Entry::Go(_) | Entry::Start | Entry::Code => None,
        }
    }

    fn by_entry<'a, Section: entries::Section<'a>>(
        &mut self,
        section: &Section,
        bases: &BaseAddresses,
        offset: usize,
        address: u64,
        memory: &mut impl Memory,
    ) -> Option<Result<Step, StackEnd>> {
        let entry = entry_at(section, bases, offset)?;
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(section, bases, &mut context, address).ok()?;
        if row.register(RA) == Some(RegisterRule::Undefined) {
            return Some(Err(StackEnd::Root));
        }
        let mut machine = Machine { section, entry: &entry, frame: self, memory };
        let Some(caller) = machine.caller(row) else {
            return Some(Err(StackEnd::Expression));
        };
        let is_signal = entry.is_signal_trampoline();
        // A walk goes up, and so ends; a handler may have a stack of its own. The innermost function
        // may have taken its return address off the stack, as `vfork` does.
        let (sp, above) = (self.registers.sp(), caller.registers.sp());
        let is_innermost = self.registers.is_return == 0;
        if !is_signal && (above < sp || above == sp && !is_innermost) {
            return Some(Err(StackEnd::Implausible));
        }
        if caller.registers.ip == 0 {
            return Some(Err(StackEnd::Root));
        }
        *self = caller;
        self.registers.is_return = u32::from(!is_signal);
        Some(Ok(if is_signal { Step::Interrupted } else { Step::Called }))
    }

    fn register(&self, register: Register) -> Option<u64> {
        match register {
            RA => Some(self.registers.ip),
            Register(number @ 0..16) if self.known & 1 << number != 0 => {
                Some(self.registers.general[usize::from(number)])
            }
            Register(_) => None,
        }
    }
}

/// What computes one step.
struct Machine<'m, 'a, Section, M> {
    section: &'m Section,
    entry: &'m FrameDescriptionEntry<Slice<'a>>,
    frame: &'m Frame,
    memory: &'m mut M,
}

impl<'a, Section: UnwindSection<Slice<'a>>, M: Memory> Machine<'_, 'a, Section, M> {
    /// The caller's frame. A register without a rule is taken for unchanged, whether or not
    /// functions have to keep it: hand-written code counts on more. `None` if its stack pointer or return address cannot be had.
    fn caller(&mut self, row: &Row) -> Option<Frame> {
        let cfa = match *row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.frame.register(register)?.wrapping_add_signed(offset)
            }
            CfaRule::Expression(expression) => self.value(expression, None)?,
        };
        let mut caller = Frame { registers: Registers::default(), known: 0 };
        caller.registers.ip = self.restored(RA, row.register(RA).as_ref(), cfa)?;
        for number in 0..16 {
            let register = Register(number.into());
            let value = match row.register(register) {
                None if number == SP => Some(cfa),
                rule => self.restored(register, rule.as_ref(), cfa),
            };
            if let Some(value) = value {
                caller.registers.general[usize::from(number)] = value;
                caller.known |= 1 << number;
            }
        }
        (caller.known & 1 << SP != 0).then_some(caller)
    }

    /// A register's value in the caller.
    fn restored(
        &mut self,
        register: Register,
        rule: Option<&RegisterRule<usize>>,
        cfa: u64,
    ) -> Option<u64> {
        match rule {
            None | Some(RegisterRule::SameValue) => self.frame.register(register),
            Some(&RegisterRule::Offset(offset)) => {
                self.memory.word(cfa.wrapping_add_signed(offset))
            }
            Some(&RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(&RegisterRule::Register(other)) => self.frame.register(other),
            Some(&RegisterRule::Expression(expression)) => {
                let address = self.value(expression, Some(cfa))?;
                self.memory.word(address)
            }
            Some(&RegisterRule::ValExpression(expression)) => self.value(expression, Some(cfa)),
            Some(&RegisterRule::Constant(value)) => Some(value),
            Some(_) => None,
        }
    }

    /// What an expression computes, with the CFA on its stack where DWARF asks for that.
    fn value(&mut self, expression: UnwindExpression<usize>, cfa: Option<u64>) -> Option<u64> {
        let expression = expression.get(self.section).ok()?;
        let mut evaluation: Evaluation<Slice<'a>> =
            expression.evaluation(self.entry.cie().encoding());
        evaluation.set_max_iterations(OPERATIONS);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresMemory { address, size, space: None, .. } => {
                    let word = self.memory.word(address)?;
                    let value = if size < 8 { word & ((1 << (8 * size)) - 1) } else { word };
                    evaluation.resume_with_memory(Value::Generic(value)).ok()?
                }
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.frame.register(register)?;
                    evaluation.resume_with_register(Value::Generic(value)).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [gimli::Piece { location: gimli::Location::Address { address }, .. }] => Some(*address),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
