//! Go's own table of its functions, `.gopclntab`, which the runtime needs and stripped programs
//! keep: Go writes no `.eh_frame`. Any bytes give functions or none.
//!
//! Its form since Go 1.18 (runtime/symtab.go: `pcHeader`, `_func`; words are of 64 bits here):
//!
//! ```text
//! magic u32 · 0 u16 · instruction quantum u8 · word size u8
//! words: functions, files, start of text (none since 1.26), offsets of names, units, files,
//!        program-counter tables, functions
//! functions: pairs of u32 (start behind the start of text, offset of the record), one more at the
//!        end; records: start u32, name u32, 2 × u32, stack pointers u32, ..., id u8, flags u8
//! a program-counter table: from the function's start on, pairs of varints: change of the value
//!        (zigzag, from -1 on), length of code; behind the last a 0. No pair but the last has a
//!        length of 0: a new one begins with an instruction (cmd/internal/obj/pcln.go)
//! ```
//!
//! The value of a function's table of stack pointers at an instruction is what the function has
//! put on the stack:
//!
//! ```text
//! CFA = sp + value + 8        fp = *(CFA - 16) where value >= 8: the prologue pushes it first
//! ```

use std::ops::Range;

use flame_common::unwind::{Rule, SP, SavedFp};

use super::entries::Steps;

/// Go 1.18 and 1.19.
const MAGIC_1_18: u32 = 0xffff_fff0;
/// Go 1.20 and later, whose records have the function's line too.
const MAGIC_1_20: u32 = 0xffff_fff1;
/// The function is the first of its stack (`funcFlag_TOPFRAME`).
const FLAG_FIRST: u8 = 1;
/// The function goes to another stack (`funcFlag_SPWRITE`): its frame pointer leads back.
const FLAG_SWITCHES: u8 = 2;
/// Functions that leave their goroutine for the scheduler's stack, clear the frame pointer and
/// never return there: what they call has nobody else below.
const LEAVERS: [&[u8]; 3] = [b"runtime.mcall", b"runtime.morestack", b"gogo"];
/// Functions whose flags do not tell how they are called: the kernel calls the first, as a signal
/// handler, and the second stays on its stack in the thread that called it.
const ORDINARY: [&[u8]; 2] = [b"runtime.sigtramp", b"runtime.clone"];
/// Where the kernel returns to from a signal handler.
const SIGNAL_RETURNS: [&[u8]; 2] = [b"runtime.sigreturn__sigaction", b"runtime.sigreturn"];
/// What the names of the runtime's functions begin with.
const RUNTIME: [&[u8]; 2] = [b"runtime.", b"internal/runtime/"];
/// Names are at most so long; real ones of generic functions have some hundred bytes.
const LONGEST_NAME: usize = 4096;
/// So much of a name tells whether it is one of those above.
const HEAD_OF_NAME: usize = 32;

/// The functions of a Go program.
#[derive(Debug)]
pub(super) struct GoFunctions {
    bytes: Vec<u8>,
    /// Where the functions' starts are counted from.
    text: u64,
    count: u32,
    names: usize,
    counters: usize,
    functions: usize,
    /// Where a record keeps its flags.
    flags_at: usize,
}

/// What comes next in a program-counter table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Pair { change: i64, length: u64 },
    End,
    Damaged,
}

/// What is known of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    /// Nobody calls it.
    First,
    /// It goes to another stack.
    Switches,
    SignalReturn,
    No,
}

impl GoFunctions {
    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Reads the table's head. Of the addresses `texts`, at which the text may begin, that counts
    /// first which the table itself tells and then the first with which all functions lie in
    /// `code`.
    pub(super) fn read(bytes: Vec<u8>, texts: &[u64], code: &[Range<u64>]) -> Option<Self> {
        let magic = number(&bytes, 0)?;
        let flags_at = match magic {
            MAGIC_1_18 => 37,
            MAGIC_1_20 => 41,
            _ => return None,
        };
        // One byte is the unit of code, and words have eight: x86-64.
        if bytes.get(4..8)? != [0, 0, 1, 8] {
            return None;
        }
        let offset = |at: usize| usize::try_from(word(&bytes, 8 + 8 * at)?).ok();
        let count = u32::try_from(offset(0)?).ok()?;
        let (names, counters, functions) = (offset(3)?, offset(6)?, offset(7)?);
        let told = word(&bytes, 8 + 16)?;
        let mut all = Self { bytes, text: 0, count, names, counters, functions, flags_at };
        let (first, end) = (all.start(0)?, all.start(count)?);
        let fits = |text: &u64| {
            let all = text.saturating_add(first.into())..text.saturating_add(end.into());
            !all.is_empty()
                && code.iter().any(|code| code.start <= all.start && all.end <= code.end)
        };
        all.text = std::iter::once(told).chain(texts.iter().copied()).find(fits)?;
        Some(all)
    }

    /// Calls back with each function's number and code.
    pub(super) fn for_each(&self, mut each: impl FnMut(u32, Range<u64>)) {
        for function in 0..self.count {
            if let Some(code) = self.code(function) {
                each(function, code);
            }
        }
    }

    fn code(&self, function: u32) -> Option<Range<u64>> {
        let (start, end) = (self.start(function)?, self.start(function.checked_add(1)?)?);
        let at = |offset: u32| self.text.saturating_add(offset.into());
        let code = at(start)..at(end);
        // As a return address it is looked up by the byte before.
        let early = u64::from(self.special(function)? == Special::SignalReturn);
        Some(code.start.saturating_sub(early)..code.end)
    }

    /// A function's name.
    pub(super) fn name(&self, function: u32) -> Option<&str> {
        std::str::from_utf8(self.name_bytes(function)?).ok()
    }

    /// Whether a function is one of the runtime.
    pub(super) fn is_runtime(&self, function: u32) -> bool {
        let package = |name: &[u8]| RUNTIME.iter().any(|package| name.starts_with(package));
        self.head_of_name(function).is_some_and(package)
    }

    /// Calls back with a function's rules, each with the address from which on it holds. Code
    /// beyond what `steps` allow has none.
    pub(super) fn rules(&self, function: u32, steps: &mut Steps, mut push: impl FnMut(u64, Rule)) {
        let (Some(code), Some(special)) = (self.code(function), self.special(function)) else {
            return;
        };
        match special {
            Special::First => return push(code.start, Rule::ROOT),
            Special::SignalReturn => return push(code.start, Rule::SIGNAL),
            Special::Switches | Special::No => {}
        }
        let switches = special == Special::Switches;
        let mut deepest = 0;
        if switches && !self.values(function, steps, |_, value| deepest = value.max(deepest)) {
            return push(code.start, Rule::GAP);
        }
        self.values(function, steps, |address, value| {
            // Until Go 1.20 those that go to another stack save no frame pointer of their own: the
            // caller's then leads to the caller's caller.
            let switched = switches && value >= 0 && (value >= 8 || deepest < 8);
            push(
                code.start.saturating_add(address),
                if switched { Rule::CHAIN } else { rule(value) },
            );
        });
    }

    /// Calls back with what a function has put on the stack, each with the offset of the first
    /// instruction at which it is so; with -1 where that is not known any more. Whether it was
    /// known to the end.
    fn values(&self, function: u32, steps: &mut Steps, mut each: impl FnMut(u64, i64)) -> bool {
        let Some((length, mut at)) = self.stack_pointers(function) else {
            each(0, -1);
            return false;
        };
        let (mut pc, mut value) = (0_u64, -1_i64);
        while pc < length {
            let next = if steps.take(1) { self.next(&mut at, pc == 0) } else { Next::Damaged };
            match next {
                Next::Pair { change, length } => {
                    value += change;
                    each(pc, value);
                    pc += length;
                }
                Next::End => return true,
                Next::Damaged => {
                    each(pc, -1);
                    return false;
                }
            }
        }
        true
    }

    /// How long a function is, and where its table of stack pointers is; `None` if it has none.
    fn stack_pointers(&self, function: u32) -> Option<(u64, usize)> {
        let offset = number(&self.bytes, self.record(function)?.checked_add(16)?)?;
        let length = self.start(function.checked_add(1)?)?.checked_sub(self.start(function)?)?;
        let table = self.counters.checked_add(offset as usize).filter(|_| offset != 0)?;
        Some((length.into(), table))
    }

    /// What comes next in a table.
    fn next(&self, at: &mut usize, is_first: bool) -> Next {
        let zigzag = varint(&self.bytes, at);
        if zigzag == Some(0) && !is_first {
            return Next::End;
        }
        let (Some(zigzag), Some(length)) = (zigzag, varint(&self.bytes, at)) else {
            return Next::Damaged;
        };
        match length {
            // Of no code, and so behind all of it.
            0 if self.bytes.get(*at) == Some(&0) => Next::End,
            0 => Next::Damaged,
            _ => Next::Pair {
                change: i64::from(zigzag >> 1) ^ -i64::from(zigzag & 1),
                length: length.into(),
            },
        }
    }

    fn special(&self, function: u32) -> Option<Special> {
        let flags = *self.bytes.get(self.record(function)? + self.flags_at)?;
        let name = self.head_of_name(function)?;
        Some(if ORDINARY.contains(&name) {
            Special::No
        } else if flags & FLAG_FIRST != 0 || LEAVERS.contains(&name) || name.starts_with(b"_rt0_") {
            Special::First
        } else if SIGNAL_RETURNS.contains(&name) {
            Special::SignalReturn
        } else if flags & FLAG_SWITCHES != 0 {
            Special::Switches
        } else {
            Special::No
        })
    }

    /// The beginning of a function's name: many functions may share a long one, and all are asked.
    fn head_of_name(&self, function: u32) -> Option<&[u8]> {
        let rest = self.name_on(function)?;
        let head = rest.get(..HEAD_OF_NAME).unwrap_or(rest);
        head.split(|&byte| byte == 0).next()
    }

    fn name_bytes(&self, function: u32) -> Option<&[u8]> {
        let rest = self.name_on(function)?;
        let length = rest.iter().take(LONGEST_NAME).position(|&byte| byte == 0)?;
        rest.get(..length)
    }

    /// The bytes from a function's name on.
    fn name_on(&self, function: u32) -> Option<&[u8]> {
        let name = number(&self.bytes, self.record(function)?.checked_add(4)?)? as usize;
        self.bytes.get(self.names.checked_add(name)?..)
    }

    /// Where a function begins, behind the start of text; of the one behind the last, where the
    /// last ends.
    fn start(&self, function: u32) -> Option<u32> {
        number(&self.bytes, self.functions.checked_add(8 * function as usize)?)
    }

    fn record(&self, function: u32) -> Option<usize> {
        let at = self.functions.checked_add(8 * function as usize + 4)?;
        self.functions.checked_add(number(&self.bytes, at)? as usize)
    }
}

fn rule(value: i64) -> Rule {
    let fp = match value {
        ..0 => return Rule::GAP,
        0..8 => SavedFp::Unchanged,
        8.. => SavedFp::AtCfa(-16),
    };
    value.checked_add(8).and_then(|cfa| Rule::offset(SP, cfa, fp)).unwrap_or(Rule::GAP)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number of seven bits a byte, the lowest first, up to 32 bits.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[path = "gopclntab_tests.rs"]
mod tests;
