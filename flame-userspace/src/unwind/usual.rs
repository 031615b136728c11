//! The rows of entries as compilers write them for nearly all functions: the CFA is a register and
//! an offset, and what is saved lies at an offset from it. Call frame instructions are those of
//! DWARF 5, section 6.4.2. Whatever else an entry says is left to gimli, which reads it from its
//! start.

use flame_common::unwind::{FP, Rule, SavedFp};
use gimli::{BaseAddresses, CallFrameInstruction, CommonInformationEntry, EhFrame, constants as c};

use super::translate::{RA, Slice};

/// The numbers of the frame pointer and of the return address among DWARF's registers.
const FRAME_POINTER: u64 = FP as u64;
const RETURN: u64 = RA.0 as u64;
/// Where the return address is, in bytes from the CFA.
const RETURN_ADDRESS: i64 = -8;
/// States that are remembered at a time, at most: compilers write one.
const REMEMBERED: usize = 2;

/// What a header says to its entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    code_factor: u64,
    data_factor: i64,
    /// Whether entries have data of their own before their instructions.
    is_augmented: bool,
    initial: State,
}

/// What holds of a frame at an instruction.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The CFA's register and offset.
    cfa: Option<(u8, i64)>,
    /// Where the caller's frame pointer is saved, from the CFA.
    saved_fp: Option<i64>,
    /// Where the return address is, from the CFA; `None` where there is no caller.
    return_address: Option<i64>,
}

/// The bytes of instructions.
struct Reader<'a> {
    rest: &'a [u8],
}

/// Instructions as they are carried out.
struct Machine<'a> {
    common: &'a Common,
    reader: Reader<'a>,
    state: State,
    kept: [State; REMEMBERED],
    /// How many of them are kept.
    depth: usize,
}

impl Common {
    /// What a header says; `None` if it is not a usual one.
    pub(super) fn read(
        header: &CommonInformationEntry<Slice<'_>>,
        section: &EhFrame<Slice<'_>>,
        bases: &BaseAddresses,
    ) -> Option<Self> {
        if header.is_signal_trampoline() || header.return_address_register() != RA {
            return None;
        }
        let mut common = Self {
            code_factor: header.code_alignment_factor(),
            data_factor: header.data_alignment_factor(),
            is_augmented: header.augmentation().is_some(),
            initial: State::default(),
        };
        let mut instructions = header.instructions(section, bases);
        while let Some(instruction) = instructions.next().ok()? {
            match instruction {
                CallFrameInstruction::DefCfa { register, offset } => {
                    common.initial.cfa = Some((u8::try_from(register.0).ok()?, offset as i64));
                }
                CallFrameInstruction::Offset { register, factored_offset } => {
                    let offset = common.scaled(factored_offset)?;
                    common.initial.save(register.0.into(), offset);
                }
                CallFrameInstruction::Nop => {}
                _ => return None,
            }
        }
        (common.initial.return_address == Some(RETURN_ADDRESS)).then_some(common)
    }

    /// An offset from the CFA in bytes.
    fn scaled(&self, factored: u64) -> Option<i64> {
        i64::try_from(factored).ok()?.checked_mul(self.data_factor)
    }

    /// Calls back with the rows of an entry whose code begins at `start`, by its bytes behind the
    /// code's length. `None` where it says what is not usual; rows before are told all the same.
    pub(super) fn rows(
        &self,
        start: u64,
        bytes: &[u8],
        mut push: impl FnMut(u64, Rule),
    ) -> Option<()> {
        let mut reader = Reader { rest: bytes };
        if self.is_augmented {
            let length = reader.number()?;
            reader.skip(length)?;
        }
        let (state, kept) = (self.initial, [State::default(); REMEMBERED]);
        let mut machine = Machine { common: self, reader, state, kept, depth: 0 };
        let mut at = start;
        while !machine.reader.rest.is_empty() {
            let before = machine.state;
            if let Some(advance) = machine.next()? {
                push(at, before.rule()?);
                at = at.checked_add(advance)?;
            }
        }
        push(at, machine.state.rule()?);
        Some(())
    }
}

impl State {
    /// The rule of a row; `None` where gimli has to tell.
    fn rule(&self) -> Option<Rule> {
        let Some(return_address) = self.return_address else { return Some(Rule::ROOT) };
        if return_address != RETURN_ADDRESS {
            return None;
        }
        let (base, offset) = self.cfa?;
        let fp = self.saved_fp.map_or(SavedFp::Unchanged, SavedFp::AtCfa);
        Some(Rule::offset(base, offset, fp).unwrap_or(Rule::EXPRESSION))
    }

    /// A register is saved at an offset from the CFA.
    fn save(&mut self, register: u64, offset: i64) {
        match register {
            FRAME_POINTER => self.saved_fp = Some(offset),
            RETURN => self.return_address = Some(offset),
            _ => {}
        }
    }
}

impl Machine<'_> {
    /// Carries out an instruction: by how many bytes of code it advances, if it does; `None` where
    /// it is not usual.
    #[expect(clippy::option_option, reason = "no advance and nothing usual are not the same")]
    fn next(&mut self) -> Option<Option<u64>> {
        let code = self.reader.take::<1>()?[0];
        let low = u64::from(code & 0x3f);
        match c::DwCfa(code & 0xc0) {
            c::DW_CFA_advance_loc => return Some(Some(self.advanced(low)?)),
            c::DW_CFA_offset => {
                let factored = self.reader.number()?;
                self.state.save(low, self.common.scaled(factored)?);
            }
            c::DW_CFA_restore => self.restore(low),
            _ => return self.extended(c::DwCfa(code)),
        }
        Some(None)
    }

    #[expect(clippy::option_option, reason = "as above")]
    fn extended(&mut self, code: c::DwCfa) -> Option<Option<u64>> {
        match code {
            c::DW_CFA_nop => {}
            c::DW_CFA_advance_loc1 => {
                let delta = self.reader.take::<1>()?[0];
                return Some(Some(self.advanced(delta.into())?));
            }
            c::DW_CFA_advance_loc2 => {
                let delta = u16::from_le_bytes(self.reader.take()?);
                return Some(Some(self.advanced(delta.into())?));
            }
            c::DW_CFA_advance_loc4 => {
                let delta = u32::from_le_bytes(self.reader.take()?);
                return Some(Some(self.advanced(delta.into())?));
            }
            c::DW_CFA_def_cfa => {
                let register = u8::try_from(self.reader.number()?).ok()?;
                self.state.cfa = Some((register, i64::try_from(self.reader.number()?).ok()?));
            }
            c::DW_CFA_def_cfa_register => {
                let register = u8::try_from(self.reader.number()?).ok()?;
                self.state.cfa = Some((register, self.state.cfa?.1));
            }
            c::DW_CFA_def_cfa_offset => {
                let offset = i64::try_from(self.reader.number()?).ok()?;
                self.state.cfa = Some((self.state.cfa?.0, offset));
            }
            c::DW_CFA_GNU_args_size => _ = self.reader.number()?,
            c::DW_CFA_remember_state => {
                *self.kept.get_mut(self.depth)? = self.state;
                self.depth += 1;
            }
            c::DW_CFA_restore_state => {
                self.depth = self.depth.checked_sub(1)?;
                self.state = self.kept[self.depth];
            }
            _ => self.one_register(code)?,
        }
        Some(None)
    }

    /// Instructions of one register.
    fn one_register(&mut self, code: c::DwCfa) -> Option<()> {
        let register = match code {
            c::DW_CFA_undefined
            | c::DW_CFA_same_value
            | c::DW_CFA_restore_extended
            | c::DW_CFA_offset_extended
            | c::DW_CFA_expression => self.reader.number()?,
            _ => return None,
        };
        match code {
            c::DW_CFA_restore_extended => self.restore(register),
            c::DW_CFA_offset_extended => {
                let factored = self.reader.number()?;
                self.state.save(register, self.common.scaled(factored)?);
            }
            // Both leave the frame pointer as it is.
            _ if code != c::DW_CFA_expression && register == FRAME_POINTER => {
                self.state.saved_fp = None;
            }
            c::DW_CFA_undefined if register == RETURN => self.state.return_address = None,
            _ if register == FRAME_POINTER || register == RETURN => return None,
            c::DW_CFA_expression => {
                let length = self.reader.number()?;
                self.reader.skip(length)?;
            }
            _ => {}
        }
        Some(())
    }

    fn restore(&mut self, register: u64) {
        match register {
            FRAME_POINTER => self.state.saved_fp = self.common.initial.saved_fp,
            RETURN => self.state.return_address = self.common.initial.return_address,
            _ => {}
        }
    }

    fn advanced(&self, delta: u64) -> Option<u64> {
        delta.checked_mul(self.common.code_factor)
    }
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    /// An unsigned LEB128 number of at most 63 bits.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let [byte] = self.take()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(length).ok()?..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: Common = Common {
        code_factor: 1,
        data_factor: -8,
        is_augmented: false,
        initial: State { cfa: Some((7, 8)), saved_fp: None, return_address: Some(-8) },
    };

    fn rows(instructions: &[u8]) -> (Vec<(u64, Rule)>, bool) {
        let mut rows = Vec::new();
        let done = COMMON.rows(0x1000, instructions, |at, rule| rows.push((at, rule)));
        (rows, done.is_some())
    }

    fn rule(base: u8, cfa: i64, fp: SavedFp) -> Rule {
        Rule::offset(base, cfa, fp).expect("a rule that a row can hold")
    }

    #[test]
    fn a_function_that_saves_its_frame_pointer_has_a_row_for_each_step() {
        // advance 1; CFA + 16; rbp at -16; advance 3; CFA = rbp + 16; remember; advance 0x90;
        // CFA = rsp + 8; advance 1; restore.
        let code = [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0a, 2, 0x90, 0x0c, 7, 8, 0x41, 0x0b];
        let saved = SavedFp::AtCfa(-16);
        let expected = vec![
            (0x1000, rule(7, 8, SavedFp::Unchanged)),
            (0x1001, rule(7, 16, saved)),
            (0x1004, rule(6, 16, saved)),
            (0x1094, rule(7, 8, saved)),
            (0x1095, rule(6, 16, saved)),
        ];
        assert_eq!(rows(&code), (expected, true));
    }

    #[test]
    fn what_is_not_usual_is_left_to_others() {
        // A CFA by expression; an expression for rbp; a state restored that nobody remembered; a
        // number cut off; the return address somewhere else.
        let cases: [&[u8]; 5] =
            [&[0x0f, 1, 0], &[0x10, 6, 1, 0], &[0x0b], &[0x0e, 0x80], &[0x90, 2]];
        for code in cases {
            assert!(!rows(code).1, "{code:x?}");
        }
        // An expression for another register, and code without a caller.
        assert_eq!(rows(&[0x10, 3, 1, 0, 0x07, 16]), (vec![(0x1000, Rule::ROOT)], true));
    }
}
