//! Walking on from where the kernel stopped: over its copy of the stack, by the same steps, with
//! tables that are made when code is first seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use flame_common::frame::RawFrame;
use flame_common::limits::{FINISHED_FRAMES, RED_ZONE, STACK_COPY};
use flame_common::sample::StackEnd;
use flame_common::unwind::{Memory, Registers, Rule, Step, step};

use super::evaluate::Frame;
use super::pace::Pace;
use super::sliced::{Asking, SlicedTable};
use super::{Object, Slice, UnwindTable, source};
use crate::process::{CodeAddress, ExecutableId, ProcessId, ProcessTable};

/// Bytes of unwind information from which on no more is read: of all that runs on a large machine it
/// is some hundred million.
const MOST_HELD: usize = 1 << 30;

/// The tables of all code that has been walked through here.
#[derive(Debug, Default)]
pub(crate) struct Unwinder {
    /// `None` for code that has none.
    tables: HashMap<Object, Option<SlicedTable>>,
    /// Code that was asked for since the kernel was told last.
    begun: Vec<Object>,
    /// Slices that were compiled since the kernel was told last.
    fresh: Vec<Slice>,
    /// How many walks were finished.
    walks: u64,
    /// Whether the walk that is being finished is deeper than its copy.
    is_deep: bool,
    /// Samples a second.
    hz: u32,
    /// Bytes of the information that tables are made from.
    held: usize,
    /// Code whose information was not read for want of room since this was asked last.
    refused: u64,
    pace: Pace,
}

/// Where the kernel could not go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopped<'a> {
    /// Why.
    pub(crate) end: StackEnd,
    /// The registers of the frame at which it stopped; for an expression, of the innermost.
    pub(crate) registers: Registers,
    /// The stack, from the red zone below the registers' stack pointer on.
    pub(crate) stack: &'a [u8],
}

impl<'a> Stopped<'a> {
    fn memory(&self) -> CopiedStack<'a> {
        CopiedStack { start: self.registers.sp().wrapping_sub(RED_ZONE), bytes: self.stack }
    }

    /// Whether the stack may go on beyond its copy.
    pub(crate) fn is_deep(&self) -> bool {
        self.stack.len() >= STACK_COPY
    }

    /// Why a walk over the copy ends, where its own end may be it.
    fn reason(&self, end: StackEnd) -> StackEnd {
        match end {
            StackEnd::Unreadable if self.end == StackEnd::Truncated => StackEnd::Truncated,
            StackEnd::Unreadable if self.is_deep() => StackEnd::CopyTooShort,
            end => end,
        }
    }
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
    /// For stacks of so many samples a second.
    pub(crate) fn new(hz: u32) -> Self {
        Self { hz, ..Self::default() }
    }

    /// The code that was asked for first since this was asked last, with the extent of its table
    /// if it has one.
    pub(super) fn take_begun(&mut self) -> Vec<(Object, Option<(u64, u32)>)> {
        let extent = |object| self.tables.get(object)?.as_ref().map(SlicedTable::extent);
        std::mem::take(&mut self.begun).iter().map(|object| (*object, extent(object))).collect()
    }

    /// Whether there is something new for the kernel.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// The slices that were compiled since this was asked last.
    pub(super) fn take_fresh(&mut self) -> Vec<Slice> {
        std::mem::take(&mut self.fresh)
    }

    /// A slice that was compiled.
    pub(super) fn slice(&self, slice: Slice) -> Option<&Arc<UnwindTable>> {
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
            if let Some(Some(table)) = self.tables.remove(object) {
                self.held -= table.information().bytes();
            }
        }
    }

    /// For how much code there was no room since this was asked last.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// What the tables of a file know of the functions at addresses: the address, where the
    /// function begins, its name. The tables of files with symbols are not read for that.
    pub(crate) fn functions(
        &self,
        executable: ExecutableId,
        processes: &ProcessTable,
        addresses: &[u64],
    ) -> Vec<(u64, u64, Option<String>)> {
        let executable_file = processes.executable(executable);
        let read;
        let information = match self.tables.get(&Object::File(executable)) {
            Some(table) => table.as_ref().map(SlicedTable::information),
            None if executable_file.layout.has_symbols => None,
            None => {
                read = source::of_file(executable_file);
                read.as_ref()
            }
        };
        let Some(information) = information else { return Vec::new() };
        let described = |&address: &u64| {
            let (start, name) = information.described(address)?;
            Some((address, start, name))
        };
        addresses.iter().filter_map(described).collect()
    }

    /// Goes on over a copied stack from where the kernel `stopped`. Adds to `frames` and returns
    /// why there are no more.
    pub(crate) fn finish(
        &mut self,
        stopped: Stopped<'_>,
        process: ProcessId,
        processes: &mut ProcessTable,
        frames: &mut Vec<RawFrame>,
    ) -> StackEnd {
        self.walks += 1;
        self.is_deep = stopped.is_deep();
        self.pace.begin(Instant::now());
        let end = self.walk(stopped, process, processes, frames);
        self.pace.end(Instant::now());
        end
    }

    fn walk(
        &mut self,
        stopped: Stopped<'_>,
        process: ProcessId,
        processes: &mut ProcessTable,
        frames: &mut Vec<RawFrame>,
    ) -> StackEnd {
        let before = frames.len();
        let mut end = stopped.end;
        if end != StackEnd::Expression {
            end = self.by_rules(&stopped, process, processes, frames);
        }
        if end != StackEnd::Expression {
            return end;
        }
        // Once more, with all that is known of the registers. Where the kernel met an expression,
        // they are those of the innermost frame.
        let from_leaf = stopped.end == StackEnd::Expression;
        let mut computed = frames[..if from_leaf { 1.min(before) } else { before }].to_vec();
        end = self.by_computing(&stopped, process, processes, &mut computed);
        if computed.len() >= frames.len() {
            *frames = computed;
            return end;
        }
        StackEnd::Expression
    }

    fn by_rules(
        &mut self,
        stopped: &Stopped<'_>,
        process: ProcessId,
        processes: &mut ProcessTable,
        frames: &mut Vec<RawFrame>,
    ) -> StackEnd {
        let mut registers = stopped.registers;
        let mut memory = stopped.memory();
        while frames.len() < FINISHED_FRAMES && !self.pace.is_late(Instant::now()) {
            let Some(rule) = self.rule(process, registers.lookup(), processes) else {
                return no_code(frames);
            };
            match step(&mut registers, rule, &mut memory) {
                Ok(Step::Guessed) if !is_code(process, registers.lookup(), processes) => {
                    return StackEnd::NoFramePointer;
                }
                Ok(found) => frames.push(found.frame(&registers)),
                Err(end) => return stopped.reason(end),
            }
        }
        StackEnd::Truncated
    }

    /// The walk with all registers, by expressions too: each frame by its own entry.
    fn by_computing(
        &mut self,
        stopped: &Stopped<'_>,
        process: ProcessId,
        processes: &mut ProcessTable,
        frames: &mut Vec<RawFrame>,
    ) -> StackEnd {
        let mut frame = Frame::new(stopped.registers);
        let mut memory = stopped.memory();
        while frames.len() < FINISHED_FRAMES && !self.pace.is_late(Instant::now()) {
            let lookup = frame.registers.lookup();
            let Some(rule) = self.rule(process, lookup, processes) else {
                return no_code(frames);
            };
            let table = object_at(process, lookup, processes)
                .and_then(|(object, address)| Some((self.tables.get(&object)?.as_ref()?, address)));
            let computed = table.and_then(|(table, address)| {
                frame.compute(table.information(), address, &mut memory)
            });
            match computed.unwrap_or_else(|| frame.step(rule, &mut memory)) {
                Ok(Step::Guessed) if !is_code(process, frame.registers.lookup(), processes) => {
                    return StackEnd::NoFramePointer;
                }
                Ok(found) => frames.push(found.frame(&frame.registers)),
                Err(end) => return stopped.reason(end),
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
        let Some((object, address)) = object_at(process, address, processes) else {
            return is_code(process, address, processes).then_some(Rule::GAP);
        };
        if !self.tables.contains_key(&object) {
            let table = self.begin(object, processes);
            self.tables.insert(object, table);
        }
        let Some(Some(table)) = self.tables.get_mut(&object) else { return Some(Rule::GAP) };
        let mut fresh = Vec::new();
        let asking = Asking { walk: self.walks, is_urgent: self.is_deep };
        let rule = table.rule(address, asking, &mut fresh);
        self.fresh.extend(fresh.into_iter().map(|number| Slice { object, number }));
        Some(rule)
    }

    /// The table of code that is seen for the first time, with what of it is made at once; `None` if
    /// it has none.
    fn begin(&mut self, object: Object, processes: &ProcessTable) -> Option<SlicedTable> {
        self.begun.push(object);
        if self.held >= MOST_HELD {
            self.refused += 1;
            return None;
        }
        let information = match object {
            Object::File(id) => source::of_file(processes.executable(id)),
            Object::Vdso => source::of_vdso(),
        }?;
        self.held += information.bytes();
        let mut table = SlicedTable::new(information, self.hz);
        let slices = table.compile_first();
        self.fresh.extend(slices.into_iter().map(|number| Slice { object, number }));
        Some(table)
    }
}

/// What may have a table at an address, and the address in it.
fn object_at(
    process: ProcessId,
    address: u64,
    processes: &mut ProcessTable,
) -> Option<(Object, u64)> {
    match processes.locate(process, address) {
        CodeAddress::Executable(id, address) => Some((Object::File(id), address)),
        CodeAddress::Vdso(offset) => Some((Object::Vdso, offset)),
        CodeAddress::Generated(..)
        | CodeAddress::ReturnProbe(_)
        | CodeAddress::Unmapped(_)
        | CodeAddress::Kernel(_) => None,
    }
}

/// Whether code that has frames is mapped at an address.
fn is_code(process: ProcessId, address: u64, processes: &mut ProcessTable) -> bool {
    !matches!(
        processes.locate(process, address),
        CodeAddress::ReturnProbe(_) | CodeAddress::Unmapped(_) | CodeAddress::Kernel(_)
    )
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
