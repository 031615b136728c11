//! What the kernel's unwinder knows: which tables and mappings are in its maps, and where.
//!
//! A process's mappings are replaced as a whole: the new run is written beside the old one, then
//! the process's entry is turned to it, and the old one's room is used again only later, since a
//! walk on another CPU may still look at it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use flame_common::limits::{MAPPINGS, PROCESS_MAPPINGS};
use flame_common::mapping::{MappedRange, NO_TABLE_EVER, NO_TABLE_YET, ProcessRun, TextPage};
use flame_common::unwind::{Row, Rule};

use super::extents::Extents;
use super::placed::{PlacedTables, STILL_SEEN};
use super::{Object, Slice, Unwinder};
use crate::process::{CodeRange, ProcessId, ProcessTable, RangeCode};

/// How often tables are looked for that no process needs any more.
const LOOK_FOR_UNUSED: Duration = Duration::from_secs(5);

/// How long a slice waits for room. What is still needed then is asked for by the next stack, before
/// what has waited longer: else code that ran once would take the room of code that runs now.
const MAY_WAIT: Duration = Duration::from_secs(1);

/// The maps of the kernel's unwinder.
pub(crate) trait KernelTables {
    /// Room for rows and for text pages.
    fn room(&self) -> (u32, u32);
    /// Writes rows from an index on.
    fn write_rows(&mut self, first: u32, rows: &[Row]);
    /// Writes text pages from an index on.
    fn write_pages(&mut self, first: u32, pages: &[TextPage]);
    /// Writes a rule.
    fn write_rule(&mut self, number: u16, rule: Rule);
    /// Writes mappings from an index on.
    fn write_ranges(&mut self, first: u32, ranges: &[MappedRange]);
    /// Turns a process to a run of mappings, unless it has run another program after `as_of_ns`.
    /// Whether it was done.
    fn set_process(&mut self, pid: u32, run: ProcessRun, as_of_ns: u64) -> Result<bool>;
    /// Takes a process out; it may be gone already.
    fn remove_process(&mut self, pid: u32);
}

/// A process's mappings in the kernel.
#[derive(Debug)]
struct Run {
    process: ProcessId,
    epoch: u32,
    opened: u32,
    first: u32,
    ranges: Vec<MappedRange>,
}

/// What the kernel knows.
#[derive(Debug)]
pub(crate) struct Plan {
    tables: PlacedTables,
    /// Slices that wait for room, and since when.
    waiting: Vec<(Instant, Slice)>,
    mappings: Extents,
    runs: HashMap<u32, Run>,
    /// Rooms of runs that were replaced.
    retired: Vec<(Instant, u32, u32)>,
    generation: u32,
    /// When tables that are not needed were looked for, and whether processes ended or changed
    /// since.
    looked: Instant,
    changed: bool,
    refused: Refused,
}

/// What found no room in the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Tables.
    pub(crate) tables: u64,
    /// Slices of tables that had to make room for others.
    pub(crate) slices: u64,
    /// Changes of a process's mappings.
    pub(crate) processes: u64,
}

impl Refused {
    /// Adds what was refused later.
    pub(crate) fn add(&mut self, later: Self) {
        self.tables += later.tables;
        self.slices += later.slices;
        self.processes += later.processes;
    }
}

impl Plan {
    /// A plan for maps that are empty.
    pub(crate) fn new(kernel: &impl KernelTables) -> Self {
        Self {
            tables: PlacedTables::new(kernel),
            waiting: Vec::new(),
            mappings: Extents::new(0, MAPPINGS as u32),
            runs: HashMap::new(),
            retired: Vec::new(),
            generation: 0,
            looked: Instant::now(),
            changed: false,
            refused: Refused::default(),
        }
    }

    /// What found no room since this was asked last.
    pub(crate) fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.refused)
    }

    /// Tells the kernel what has changed: of events before `as_of_ns` all are known.
    pub(crate) fn update(
        &mut self,
        processes: &ProcessTable,
        unwinder: &mut Unwinder,
        as_of_ns: u64,
        kernel: &mut impl KernelTables,
    ) {
        self.free_retired();
        self.tables.reclaim(Instant::now());
        let begun = unwinder.take_begun();
        for &(object, extent) in &begun {
            self.refused.tables += u64::from(!self.tables.begin(object, extent, kernel));
        }
        self.refused.tables += unwinder.take_refused();
        self.place_slices(unwinder, kernel);
        let has_tables = !begun.is_empty();
        // Those for whose mappings there was no room have no run.
        let mut current_runs = 0;
        for id in processes.current_ids() {
            let now = (id, processes.epoch(id), processes.opened(id));
            let pid = processes.get(id).pid;
            let known = self.runs.get(&pid);
            // A file that was just opened may have a table since it was in another process.
            if has_tables || known.is_none_or(|run| (run.process, run.epoch, run.opened) != now) {
                self.tell(processes, id, as_of_ns, kernel);
                current_runs += usize::from(self.runs.contains_key(&pid));
            } else {
                current_runs += 1;
            }
        }
        if self.runs.len() > current_runs {
            self.drop_gone(processes, kernel);
        }
        if self.changed && self.looked.elapsed() >= LOOK_FOR_UNUSED {
            self.drop_unused(processes, unwinder);
        }
    }

    /// Places what was compiled meanwhile, and what has waited for room.
    fn place_slices(&mut self, unwinder: &mut Unwinder, kernel: &mut impl KernelTables) {
        let now = Instant::now();
        // What was asked for last is what runs now.
        let fresh = unwinder.take_fresh().into_iter().map(|slice| (now, slice));
        let slices: Vec<_> = fresh.chain(std::mem::take(&mut self.waiting)).collect();
        let mut evicted = Vec::new();
        let mut late = Vec::new();
        for (since, slice) in slices {
            // Its object may have gone while it waited.
            let Some(table) = unwinder.slice(slice) else { continue };
            if self.tables.place(slice, table, kernel, &mut evicted) {
                continue;
            }
            if now.duration_since(since) < MAY_WAIT {
                self.waiting.push((since, slice));
            } else {
                late.push(slice);
            }
        }
        unwinder.drop_slices(&late);
        if !evicted.is_empty() {
            log::debug!("{} slices of unwind tables make room for others", evicted.len());
            unwinder.drop_slices(&evicted);
            self.refused.slices += evicted.len() as u64;
        }
    }

    /// Gives up the tables of code that no process has mapped any more.
    fn drop_unused(&mut self, processes: &ProcessTable, unwinder: &mut Unwinder) {
        let ranges = processes.current_ids().flat_map(|id| processes.code_ranges(id));
        let used: HashSet<Object> = ranges.filter_map(|range| object_of(range.code)).collect();
        let gone = self.tables.keep(&used);
        unwinder.forget(&gone);
        (self.looked, self.changed) = (Instant::now(), false);
    }

    /// Tells a process's mappings.
    fn tell(
        &mut self,
        processes: &ProcessTable,
        id: ProcessId,
        as_of_ns: u64,
        kernel: &mut impl KernelTables,
    ) {
        let pid = processes.get(id).pid;
        let (epoch, opened) = (processes.epoch(id), processes.opened(id));
        let ranges: Vec<MappedRange> = processes
            .code_ranges(id)
            .take(PROCESS_MAPPINGS)
            .map(|range| self.mapped(range))
            .collect();
        // The same mappings after a change may be those of another program: it is told anew.
        let same = |run: &&mut Run| run.process == id && run.epoch == epoch && run.ranges == ranges;
        if let Some(run) = self.runs.get_mut(&pid).filter(same) {
            run.opened = opened;
            return;
        }
        let Some(first) = self.mappings.take(ranges.len() as u32) else {
            self.refused.processes += 1;
            self.forget(pid);
            kernel.remove_process(pid);
            return;
        };
        kernel.write_ranges(first, &ranges);
        self.generation = self.generation.wrapping_add(1).max(1);
        let count = ranges.len() as u32;
        let run = ProcessRun { first, count, generation: self.generation, ..ProcessRun::default() };
        match kernel.set_process(pid, run, as_of_ns) {
            Ok(true) => {
                self.forget(pid);
                self.runs.insert(pid, Run { process: id, epoch, opened, first, ranges });
            }
            // It runs another program by now: the event is on its way.
            Ok(false) => self.retired.push((Instant::now(), first, count)),
            Err(error) => {
                log::debug!("tell the kernel the mappings of process {pid}: {error:#}");
                self.refused.processes += 1;
                self.retired.push((Instant::now(), first, count));
            }
        }
    }

    fn mapped(&self, range: CodeRange) -> MappedRange {
        let CodeRange { start, end, code } = range;
        let without = |pages| MappedRange { start, end, bias: 0, pages, count: 0 };
        let address = match code {
            RangeCode::Executable(_, Some(address)) => address,
            RangeCode::Vdso => 0,
            RangeCode::Unopened => return without(NO_TABLE_YET),
            RangeCode::Executable(_, None) | RangeCode::Generated => return without(NO_TABLE_EVER),
        };
        let placed = match object_of(code).and_then(|object| self.tables.of(object)) {
            None => return without(NO_TABLE_YET),
            Some(None) => return without(NO_TABLE_EVER),
            Some(Some(placed)) => placed,
        };
        let (table, count) = placed.extent;
        let bias = start.wrapping_sub(address).wrapping_add(table);
        MappedRange { start, end, bias, pages: placed.pages, count }
    }

    /// Takes out processes that are gone.
    fn drop_gone(&mut self, processes: &ProcessTable, kernel: &mut impl KernelTables) {
        let gone: Vec<u32> =
            self.runs.keys().copied().filter(|&pid| !processes.knows(pid)).collect();
        for pid in gone {
            kernel.remove_process(pid);
            self.forget(pid);
        }
    }

    fn forget(&mut self, pid: u32) {
        if let Some(run) = self.runs.remove(&pid) {
            self.changed = true;
            self.retired.push((Instant::now(), run.first, run.ranges.len() as u32));
        }
    }

    fn free_retired(&mut self) {
        let mappings = &mut self.mappings;
        self.retired.retain(|&(since, first, count)| {
            let seen = since.elapsed() < STILL_SEEN;
            if !seen {
                mappings.give_back(first, count);
            }
            seen
        });
    }
}

/// What has the table of some code, if something can have one.
fn object_of(code: RangeCode) -> Option<Object> {
    match code {
        RangeCode::Executable(id, Some(_)) => Some(Object::File(id)),
        RangeCode::Vdso => Some(Object::Vdso),
        _ => None,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
