//! Walking on from where the kernel stopped: over its copy of the stack, by the same steps, with
//! tables that are made when code is first seen.

use std::collections::HashMap;

use flame_common::frame::RawFrame;
use flame_common::limits::{RED_ZONE, STACK_COPY, USER_FRAMES};
use flame_common::sample::StackEnd;
use flame_common::unwind::{Memory, Registers, Rule, Step, step};

use super::sliced::SlicedTable;
use super::{Object, Slice, UnwindTable, source};
use crate::process::{CodeAddress, ProcessId, ProcessTable};

/// The tables of all code that has been walked through here.
#[derive(Debug, Default)]
pub(crate) struct Unwinder {
    /// `None` for code that has none.
    tables: HashMap<Object, Option<SlicedTable>>,
    /// Code that was asked for since the kernel was told last.
    begun: Vec<Object>,
    /// Slices that were compiled since the kernel was told last.
    fresh: Vec<Slice>,
}

/// A part of a stack.
struct CopiedStack<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl Memory for CopiedStack<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*word))
    }
}

impl Unwinder {
    /// The code that was asked for first since this was asked last, with the extent of its table
    /// if it has one.
    pub(super) fn take_begun(&mut self) -> Vec<(Object, Option<(u64, u32)>)> {
        let extent = |object| self.tables.get(object)?.as_ref().map(SlicedTable::extent);
        std::mem::take(&mut self.begun).iter().map(|object| (*object, extent(object))).collect()
    }

    /// The slices that were compiled since this was asked last.
    pub(super) fn take_fresh(&mut self) -> Vec<Slice> {
        std::mem::take(&mut self.fresh)
    }

    /// A slice that was compiled.
    pub(super) fn slice(&self, slice: Slice) -> Option<&UnwindTable> {
        self.tables.get(&slice.object)?.as_ref()?.slice(slice.number)
    }

    /// Lets go of slices that are not in the kernel any more.
    pub(super) fn drop_slices(&mut self, slices: &[Slice]) {
        for slice in slices {
            if let Some(Some(table)) = self.tables.get_mut(&slice.object) {
                table.drop_slice(slice.number);
            }
        }
    }

    /// Lets go of the tables of objects.
    pub(super) fn forget(&mut self, objects: &[Object]) {
        for object in objects {
            self.tables.remove(object);
        }
    }

    /// Goes on from `registers` over the copied `stack`, which begins below the stack pointer. Adds
    /// to `frames`, whose last is the frame of `registers`; returns why there are no more.
    pub(crate) fn finish(
        &mut self,
        mut registers: Registers,
        stack: &[u8],
        process: ProcessId,
        processes: &mut ProcessTable,
        frames: &mut Vec<RawFrame>,
    ) -> StackEnd {
        let start = registers.sp().wrapping_sub(RED_ZONE);
        let mut memory = CopiedStack { start, bytes: stack };
        while frames.len() < USER_FRAMES {
            let Some(rule) = self.rule(process, registers.lookup(), processes) else {
                return no_code(frames);
            };
            match step(&mut registers, rule, &mut memory) {
                Ok(Step::Guessed) if !is_code(process, registers.lookup(), processes) => {
                    return StackEnd::NoFramePointer;
                }
                Ok(found) => frames.push(found.frame(&registers)),
                Err(StackEnd::Unreadable) if stack.len() >= STACK_COPY => {
                    return StackEnd::CopyTooShort;
                }
                Err(end) => return end,
            }
        }
        StackEnd::Truncated
    }

    /// The rule of an address; `None` where no code is.
    fn rule(
        &mut self,
        process: ProcessId,
        address: u64,
        processes: &mut ProcessTable,
    ) -> Option<Rule> {
        let (object, address) = match processes.locate(process, address) {
            CodeAddress::Executable(id, address) => (Object::File(id), address),
            CodeAddress::Vdso(offset) => (Object::Vdso, offset),
            CodeAddress::Generated(..) => return Some(Rule::GAP),
            CodeAddress::Unmapped(_) | CodeAddress::Kernel(_) => return None,
        };
        let table = self.tables.entry(object).or_insert_with(|| {
            let information = match object {
                Object::File(id) => source::of_file(processes.executable(id)),
                Object::Vdso => source::of_vdso(),
            };
            self.begun.push(object);
            information.map(SlicedTable::new)
        });
        let Some(table) = table else { return Some(Rule::GAP) };
        let (rule, fresh) = table.rule(address);
        self.fresh.extend(fresh.map(|number| Slice { object, number }));
        Some(rule)
    }
}

/// Whether code is mapped at an address.
fn is_code(process: ProcessId, address: u64, processes: &mut ProcessTable) -> bool {
    !matches!(processes.locate(process, address), CodeAddress::Unmapped(_))
}

/// Why a walk ends at an address without code. A guess that led there was wrong.
fn no_code(frames: &mut Vec<RawFrame>) -> StackEnd {
    if frames.last().is_some_and(|frame| frame.is_guess()) {
        frames.pop();
        return StackEnd::NoFramePointer;
    }
    StackEnd::Unmapped
}

#[cfg(test)]
#[path = "finish_tests.rs"]
mod tests;
