//! What the kernel's unwinder knows: which tables and mappings are in its maps, and where.
//!
//! A process's mappings are replaced as a whole: the new run is written beside the old one, then
//! the process's entry is turned to it, and the old one's room is used again only later, since a
//! walk on another CPU may still look at it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use flame_common::limits::{CHUNK_ROWS, MAPPINGS, PROCESS_MAPPINGS, RULES};
use flame_common::mapping::{MappedRange, NO_TABLE_EVER, NO_TABLE_YET, ProcessRun, TextPage};
use flame_common::unwind::{Row, Rule};

use super::extents::Extents;
use super::{Object, UnwindTable, Unwinder};
use crate::process::{CodeRange, ProcessId, ProcessTable, RangeCode};

/// How long the kernel programs may still look at what was replaced: a child that they gave its
/// parent's run does until its own is told.
const STILL_SEEN: Duration = Duration::from_millis(500);

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

/// A table in the kernel.
#[derive(Debug, Clone, Copy)]
struct Placed {
    /// Index of the first text page.
    pages: u32,
    /// Where the table's first page begins, and the number of pages.
    extent: (u64, u32),
}

/// A process's mappings in the kernel.
#[derive(Debug)]
struct Run {
    process: ProcessId,
    epoch: u32,
    first: u32,
    ranges: Vec<MappedRange>,
}

/// What the kernel knows.
#[derive(Debug)]
pub(crate) struct Plan {
    rows: Extents,
    pages: Extents,
    mappings: Extents,
    rules: HashMap<Rule, u16>,
    /// `None` for code that has no table, or found no room.
    placed: HashMap<Object, Option<Placed>>,
    runs: HashMap<u32, Run>,
    /// Rooms of runs that were replaced.
    retired: Vec<(Instant, u32, u32)>,
    generation: u32,
    refused: Refused,
}

/// What found no room in the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Tables.
    pub(crate) tables: u64,
    /// Changes of a process's mappings.
    pub(crate) processes: u64,
}

impl Plan {
    /// A plan for maps that are empty.
    pub(crate) fn new(kernel: &impl KernelTables) -> Self {
        let (rows, pages) = kernel.room();
        Self {
            rows: Extents::new(0, rows),
            pages: Extents::new(0, pages),
            mappings: Extents::new(0, MAPPINGS as u32),
            rules: HashMap::new(),
            placed: HashMap::new(),
            runs: HashMap::new(),
            retired: Vec::new(),
            generation: 0,
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
        unwinder: &Unwinder,
        as_of_ns: u64,
        kernel: &mut impl KernelTables,
    ) {
        self.free_retired();
        let has_tables = unwinder.known_count() != self.placed.len();
        if has_tables {
            self.place_all(unwinder, kernel);
        }
        for id in processes.current_ids() {
            let (pid, epoch) = (processes.get(id).pid, processes.epoch(id));
            let known = self.runs.get(&pid);
            if has_tables || known.is_none_or(|run| run.process != id || run.epoch != epoch) {
                self.tell(processes, id, as_of_ns, kernel);
            }
        }
        if self.runs.len() > processes.current_ids().count() {
            self.drop_gone(processes, kernel);
        }
    }

    /// Places the tables that have been made meanwhile.
    fn place_all(&mut self, unwinder: &Unwinder, kernel: &mut impl KernelTables) {
        for (object, table) in unwinder.all() {
            if self.placed.contains_key(&object) {
                continue;
            }
            let placed = table.and_then(|table| {
                let placed = self.place(table, kernel);
                self.refused.tables += u64::from(placed.is_none());
                placed
            });
            self.placed.insert(object, placed);
        }
    }

    fn place(&mut self, table: &UnwindTable, kernel: &mut impl KernelTables) -> Option<Placed> {
        let pages = self.pages.take(table.extent().1)?;
        // Each page's rows lie in one value of the map.
        let lay_out = |start| end_of_layout(start, table.pages()) - start;
        let Some(start) = self.rows.take_with(lay_out) else {
            self.pages.give_back(pages, table.extent().1);
            return None;
        };
        let numbers: Vec<u16> =
            table.rules().iter().map(|&rule| self.number(rule, kernel)).collect();
        let mut next = start;
        let mut rows = Vec::with_capacity(CHUNK_ROWS);
        let mut placed = Vec::with_capacity(table.pages().len());
        for page in table.pages() {
            let first = place_page(next, page.count);
            let own = &table.rows()[page.first as usize..][..page.count as usize];
            rows.clear();
            rows.extend(own.iter().map(|row| Row { rule: numbers[usize::from(row.rule)], ..*row }));
            kernel.write_rows(first, &rows);
            placed.push(TextPage { first, count: page.count });
            next = first + page.count;
        }
        kernel.write_pages(pages, &placed);
        Some(Placed { pages, extent: table.extent() })
    }

    /// The kernel's number of a rule. Rules beyond the last number have to be computed.
    fn number(&mut self, rule: Rule, kernel: &mut impl KernelTables) -> u16 {
        if let Some(&number) = self.rules.get(&rule) {
            return number;
        }
        if self.rules.is_empty() {
            self.rules.insert(Rule::EXPRESSION, 0);
            kernel.write_rule(0, Rule::EXPRESSION);
            return self.number(rule, kernel);
        }
        if self.rules.len() >= RULES {
            return 0;
        }
        let number = self.rules.len() as u16;
        self.rules.insert(rule, number);
        kernel.write_rule(number, rule);
        number
    }

    /// Tells a process's mappings.
    fn tell(
        &mut self,
        processes: &ProcessTable,
        id: ProcessId,
        as_of_ns: u64,
        kernel: &mut impl KernelTables,
    ) {
        let (pid, epoch) = (processes.get(id).pid, processes.epoch(id));
        let ranges: Vec<MappedRange> = processes
            .code_ranges(id)
            .take(PROCESS_MAPPINGS)
            .map(|range| self.mapped(range))
            .collect();
        // The same mappings after a change may be those of another program: it is told anew.
        let same = |run: &Run| run.process == id && run.epoch == epoch && run.ranges == ranges;
        if self.runs.get(&pid).is_some_and(same) {
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
                self.runs.insert(pid, Run { process: id, epoch, first, ranges });
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
        let (object, address) = match code {
            RangeCode::Executable(id, Some(address)) => (Object::File(id), address),
            RangeCode::Vdso => (Object::Vdso, 0),
            RangeCode::Unopened => return without(NO_TABLE_YET),
            RangeCode::Executable(_, None) | RangeCode::Generated => return without(NO_TABLE_EVER),
        };
        let placed = match self.placed.get(&object) {
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

/// Where the rows of a page go that would begin at `next`: into one value of the map.
fn place_page(next: u32, count: u32) -> u32 {
    let chunk = CHUNK_ROWS as u32;
    if next % chunk + count > chunk { next.next_multiple_of(chunk) } else { next }
}

/// Where the rows of all pages end that begin at `start`.
fn end_of_layout(start: u32, pages: &[TextPage]) -> u32 {
    pages.iter().fold(start, |next, page| place_page(next, page.count).saturating_add(page.count))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
