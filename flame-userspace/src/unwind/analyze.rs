//! Rules from the code itself, where nothing else speaks of it: hand-written code whose authors
//! left unwind information out, and C libraries compiled without (musl). Any bytes give rules or
//! none.
//!
//! The code is read from one end to the other, with what each instruction does to the stack
//! pointer. What holds at a branch holds at its target; what is called, or follows a return and is
//! no branch's target, is the start of a function. Where nothing is known, no rule is given.

use std::ops::Range;

use flame_common::unwind::{FP, Rule, SP, SavedFp};
use foldhash::{HashMap, HashSet};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

/// How often the code is read: what is known of the targets of branches back comes late.
const PASSES: usize = 3;
/// So many functions with frame pointers may be by chance.
const FEW_FRAMES: usize = 8;
/// Compilers and assemblers let functions begin at multiples of this.
const ALIGNMENT: u64 = 16;

/// What is known of the frame before an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// CFA less the stack pointer.
    sp: Option<i64>,
    /// CFA less the frame pointer, where that is one.
    frame: Option<i64>,
    /// A register that keeps a place of the stack, by DWARF's number, and CFA less it.
    kept: Option<(u8, i64)>,
    /// How far the stack pointer is below where it was aligned.
    below: Option<i64>,
    /// Where below the aligned place such a register was put, and CFA less it.
    slot: Option<(i64, i64)>,
    /// Where the caller's frame pointer is.
    saved_fp: SavedFp,
}

/// The code between two functions, or of a part of that.
pub(super) struct Analysis<'a> {
    bytes: &'a [u8],
    start: u64,
    /// What branches say of their targets.
    targets: HashMap<u64, State>,
    /// Where calls lead to.
    called: HashSet<u64>,
    /// Functions that begin to use the frame pointer as such, and returns.
    frames: usize,
    returns: usize,
    /// Whether the code has been read once: then most branches back are known.
    was_read: bool,
    info: InstructionInfoFactory,
}

impl<'a> Analysis<'a> {
    /// The code `bytes` at the address `start`.
    pub(super) fn new(bytes: &'a [u8], start: u64) -> Self {
        let (targets, called) = (HashMap::default(), HashSet::default());
        let info = InstructionInfoFactory::new();
        Self { bytes, start, targets, called, frames: 0, returns: 0, was_read: false, info }
    }

    /// Calls back with the rules of the code, each with the address from which on it holds.
    /// `begins` says whether a function may begin where the code does.
    pub(super) fn rules(mut self, begins: bool, mut push: impl FnMut(u64, Rule)) {
        self.read(begins, |_, _| {});
        if self.keeps_frame_pointers() {
            return push(self.start, Rule::GAP);
        }
        for _ in 2..PASSES {
            self.read(begins, |_, _| {});
        }
        self.read(begins, &mut push);
    }

    /// Whether functions here keep frame pointers as a rule, as V8's own do: a walk by those needs
    /// no more, and code with calling conventions of its own is not read wrongly.
    fn keeps_frame_pointers(&self) -> bool {
        self.frames >= FEW_FRAMES && self.frames * 8 >= self.returns
    }

    fn read(&mut self, begins: bool, mut push: impl FnMut(u64, Rule)) {
        let mut decoder = Decoder::with_ip(64, self.bytes, self.start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let (mut state, mut after_return) = (None, begins);
        let (mut at_end, mut padded, mut assumed) = (false, false, None);
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let ip = instruction.ip();
            self.returns += usize::from(instruction.flow_control() == FlowControl::Return);
            self.frames += usize::from(sets_frame_pointer(&instruction));
            if self.called.contains(&ip) {
                state = Some(State::CALLED);
            }
            let is_padding = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
            // Unaligned code behind a return is as often a part of the same function.
            let looks_first = ip % ALIGNMENT == 0 || is_prologue(&instruction);
            let may_begin = after_return && !is_padding && looks_first;
            if padded && !is_padding && ip % ALIGNMENT == 0 && !self.targets.contains_key(&ip) {
                // Padding behind a call that does not return, or behind a jump.
                state = Some(State::CALLED);
            }
            padded = is_padding && (padded || at_end);
            // Behind a jump a loop may be aligned: that is known when its branch back was read.
            at_end = match instruction.flow_control() {
                FlowControl::Call => true,
                FlowControl::UnconditionalBranch => self.was_read,
                _ => false,
            };
            state = state
                .or_else(|| self.targets.get(&ip).copied())
                .or(assumed.take())
                .or_else(|| may_begin.then_some(State::CALLED));
            if self.returns_from_signal(&instruction) {
                // As a return address it is looked up by the byte before.
                push(ip.saturating_sub(1), Rule::SIGNAL);
                (state, after_return) = (None, false);
                decoder.decode_out(&mut instruction);
                continue;
            }
            push(ip, state.map_or(Rule::GAP, State::rule));
            if instruction.is_invalid() {
                (state, after_return) = (None, false);
                continue;
            }
            let Some(before) = state else {
                let returns = instruction.flow_control() == FlowControl::Return;
                after_return = returns || after_return && is_padding;
                continue;
            };
            let after = self.after(before, &instruction);
            // What follows a jump by a table is a part of the same function as a rule.
            let by_table = instruction.flow_control() == FlowControl::IndirectBranch;
            assumed = Some(after).filter(|after| by_table && after.sp != Some(8));
            (state, after_return) = self.follow(after, &instruction);
        }
        self.was_read = true;
    }

    /// Whether the code goes back from a signal handler: `mov rax, 15` (`rt_sigreturn`), `syscall`.
    fn returns_from_signal(&self, instruction: &Instruction) -> bool {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        let next = (instruction.next_ip().wrapping_sub(self.start)) as usize;
        instruction.mnemonic() == Mnemonic::Mov
            && matches!(instruction.op0_register(), Register::RAX | Register::EAX)
            && matches!(instruction.op1_kind(), OpKind::Immediate32 | OpKind::Immediate32to64)
            && instruction.immediate(1) == 15
            && self.bytes.get(next..).is_some_and(|rest| rest.starts_with(&SYSCALL))
    }

    /// Where the code goes on: with what, and whether the next instruction may begin a function.
    fn follow(&mut self, after: State, instruction: &Instruction) -> (Option<State>, bool) {
        let target = instruction.near_branch_target();
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::IndirectCall | FlowControl::XbeginXabortXend => {
                let halts = instruction.mnemonic() == Mnemonic::Hlt;
                (Some(after).filter(|_| !halts), halts)
            }
            FlowControl::Call => {
                // A call of the next instruction is how old code learns its own address.
                if target != instruction.next_ip() {
                    self.called.insert(target);
                }
                (Some(after), false)
            }
            FlowControl::ConditionalBranch => {
                self.targets.entry(target).or_insert(after);
                (Some(after), false)
            }
            // With nothing on the stack it may be a call in the place of a return.
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
                if after.sp == Some(8) =>
            {
                (None, true)
            }
            FlowControl::UnconditionalBranch => {
                self.targets.entry(target).or_insert(after);
                (None, false)
            }
            FlowControl::IndirectBranch => (None, false),
            FlowControl::Interrupt if instruction.mnemonic() != Mnemonic::Int3 => {
                (Some(after), false)
            }
            FlowControl::Return | FlowControl::Interrupt | FlowControl::Exception => (None, true),
        }
    }

    fn after(&mut self, state: State, instruction: &Instruction) -> State {
        let registers = [instruction.op0_register(), instruction.op1_register()];
        let by_number = instruction.op_count() == 2
            && matches!(
                instruction.op1_kind(),
                OpKind::Immediate8to64 | OpKind::Immediate32to64 | OpKind::Immediate8
            );
        let memory = (instruction.memory_base(), instruction.memory_displacement64() as i64);
        let plain = instruction.memory_index() == Register::None;
        let (from_memory, to_memory) = (
            instruction.op1_kind() == OpKind::Memory && plain,
            instruction.op0_kind() == OpKind::Memory && plain,
        );
        match (instruction.mnemonic(), registers[0]) {
            (Mnemonic::Push, pushed) => state.pushed(pushed == Register::RBP),
            (Mnemonic::Pop, Register::RSP) => state.lost(),
            (Mnemonic::Pop, Register::RBP) => state.moved(-8).with_callers_fp(),
            (Mnemonic::Pop, to) => state.moved(-8).overwritten(to),
            (Mnemonic::Sub, Register::RSP) if by_number => {
                state.moved(instruction.immediate(1) as i64)
            }
            (Mnemonic::Add, Register::RSP) if by_number => {
                state.moved((instruction.immediate(1) as i64).wrapping_neg())
            }
            (Mnemonic::And, Register::RSP) if by_number => {
                State { sp: None, below: Some(0), slot: None, ..state }
            }
            (Mnemonic::Lea, Register::RSP) if plain => {
                if memory.0 == Register::RSP {
                    state.moved(memory.1.wrapping_neg())
                } else {
                    state.restored(state.above(memory.0).map(|cfa| cfa.wrapping_sub(memory.1)))
                }
            }
            (Mnemonic::Lea, to) if plain && memory.0 == Register::RSP => {
                state.overwritten(to).keep(to, state.sp.map(|sp| sp.wrapping_sub(memory.1)))
            }
            (Mnemonic::Mov, Register::RSP) if from_memory && memory.0 == Register::RSP => {
                let found = state
                    .slot
                    .zip(state.below)
                    .filter(|((at, _), below)| below.checked_sub(*at) == Some(memory.1));
                state.restored(found.map(|((_, cfa), _)| cfa))
            }
            (Mnemonic::Mov, Register::RSP) => state.restored(state.above(registers[1])),
            (Mnemonic::Mov, to) if registers[1] == Register::RSP && !to_memory => {
                state.overwritten(to).keep(to, state.sp)
            }
            (Mnemonic::Mov, Register::None) if to_memory && memory.0 == Register::RSP => {
                let put = state.kept.filter(|kept| Some(kept.0) == number(registers[1]));
                let at = state.below.map(|below| below.wrapping_sub(memory.1));
                State { slot: at.zip(put.map(|kept| kept.1)).or(state.slot), ..state }
            }
            (Mnemonic::Leave, _) => {
                let sp = state.frame.map(|cfa| cfa.wrapping_sub(8));
                state.restored(sp).with_callers_fp()
            }
            _ => self.otherwise(state, instruction),
        }
    }

    /// What other instructions do: those that write the stack pointer in other ways lose it.
    fn otherwise(&mut self, mut state: State, instruction: &Instruction) -> State {
        if matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return
        ) {
            return state;
        }
        for used in self.info.info(instruction).used_registers() {
            let writes = matches!(
                used.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            );
            let register = used.register().full_register();
            if writes && register == Register::RSP {
                let increment = instruction.stack_pointer_increment();
                state =
                    if increment != 0 { state.moved(-i64::from(increment)) } else { state.lost() };
            } else if writes {
                state = state.overwritten(register);
            }
        }
        state
    }
}

/// Whether this is `mov rbp, rsp`.
fn sets_frame_pointer(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_register() == Register::RBP
        && instruction.op1_register() == Register::RSP
}

/// Whether functions begin so.
fn is_prologue(instruction: &Instruction) -> bool {
    let makes_room =
        instruction.mnemonic() == Mnemonic::Sub && instruction.op0_register() == Register::RSP;
    makes_room || matches!(instruction.mnemonic(), Mnemonic::Push | Mnemonic::Endbr64)
}

impl State {
    /// Of a function's first instruction.
    const CALLED: Self = Self {
        sp: Some(8),
        frame: None,
        kept: None,
        below: None,
        slot: None,
        saved_fp: SavedFp::Unchanged,
    };

    fn rule(self) -> Rule {
        let fp = self.saved_fp;
        let rule = match self {
            // What has taken its own return address away does not return.
            Self { sp: Some(0), .. } => Some(Rule::ROOT),
            Self { sp: Some(..8), .. } => None,
            Self { frame: Some(cfa), .. } => Rule::offset(FP, cfa, fp),
            Self { sp: Some(cfa), .. } => Rule::offset(SP, cfa, fp),
            Self { slot: Some((at, cfa)), below: Some(below), .. } => {
                Rule::deref(SP, below.wrapping_sub(at), cfa, fp)
            }
            Self { kept: Some((register, cfa)), .. } => Rule::offset(register, cfa, fp),
            _ => None,
        };
        rule.unwrap_or(Rule::GAP)
    }

    /// The stack pointer has moved down.
    fn moved(self, by: i64) -> Self {
        let add = |value: Option<i64>| value.and_then(|value| value.checked_add(by));
        Self { sp: add(self.sp), below: add(self.below), ..self }
    }

    fn pushed(self, is_fp: bool) -> Self {
        let state = self.moved(8);
        match state.sp {
            Some(cfa) if is_fp && state.frame.is_none() && state.saved_fp == SavedFp::Unchanged => {
                Self { saved_fp: SavedFp::AtCfa(-cfa), ..state }
            }
            _ => state,
        }
    }

    /// The stack pointer is again one that was known.
    fn restored(self, sp: Option<i64>) -> Self {
        Self { sp, below: None, slot: None, ..self }
    }

    fn lost(self) -> Self {
        self.restored(None)
    }

    /// A register has another value now.
    fn overwritten(self, register: Register) -> Self {
        // As a number of the function's own; the caller's was saved, or is gone.
        if register.full_register() == Register::RBP {
            return Self { frame: None, ..self };
        }
        let kept = self.kept.filter(|kept| Some(kept.0) != number(register.full_register()));
        Self { kept, ..self }
    }

    /// The frame pointer is the caller's again.
    fn with_callers_fp(self) -> Self {
        Self { frame: None, saved_fp: SavedFp::Unchanged, ..self }
    }

    /// A register keeps a place of the stack now.
    fn keep(self, register: Register, cfa: Option<i64>) -> Self {
        match (number(register), cfa) {
            // A frame pointer has been pushed by then.
            (Some(FP), Some(_)) => Self { frame: cfa, ..self },
            (Some(register), Some(cfa)) => Self { kept: Some((register, cfa)), ..self },
            _ => self,
        }
    }

    /// CFA less what is in a register.
    fn above(self, register: Register) -> Option<i64> {
        match number(register)? {
            FP => self.frame,
            register => self.kept.filter(|kept| kept.0 == register).map(|kept| kept.1),
        }
    }
}

/// DWARF's number of a register of 64 bits.
fn number(register: Register) -> Option<u8> {
    const ORDER: [Register; 16] = [
        Register::RAX,
        Register::RDX,
        Register::RCX,
        Register::RBX,
        Register::RSI,
        Register::RDI,
        Register::RBP,
        Register::RSP,
        Register::R8,
        Register::R9,
        Register::R10,
        Register::R11,
        Register::R12,
        Register::R13,
        Register::R14,
        Register::R15,
    ];
    ORDER.iter().position(|&known| known == register).map(|number| number as u8)
}

/// The stretches of `all` that none of the `covered` ranges, sorted by their starts, reach.
pub(super) fn gaps(all: &Range<u64>, covered: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let (mut found, mut at) = (Vec::new(), all.start);
    for range in covered {
        if range.start > at {
            found.push(at..range.start.min(all.end));
        }
        at = at.max(range.end);
        if at >= all.end {
            break;
        }
    }
    if at < all.end {
        found.push(at..all.end);
    }
    found
}

#[cfg(test)]
#[path = "analyze_tests.rs"]
mod tests;
