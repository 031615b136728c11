//! The kernel's tables as plain memory, for tests.

use std::collections::HashMap;

use anyhow::Result;
use flame_common::limits::{CHUNK_ROWS, MAPPINGS};
use flame_common::mapping::{MappedRange, ProcessRun, TextPage};
use flame_common::unwind::{Row, Rule};

use super::KernelTables;
use super::compile::SLICE_PAGES;

#[derive(Default)]
pub(super) struct Maps {
    pub(super) rows: Vec<Row>,
    pub(super) pages: Vec<TextPage>,
    pub(super) rules: HashMap<u16, Rule>,
    pub(super) ranges: Vec<MappedRange>,
    pub(super) processes: HashMap<u32, ProcessRun>,
    pub(super) exec_ns: u64,
}

impl Maps {
    pub(super) fn new() -> Self {
        Self {
            rows: vec![Row::default(); 8 * CHUNK_ROWS],
            pages: vec![TextPage::default(); 8 * SLICE_PAGES as usize],
            ranges: vec![MappedRange::default(); MAPPINGS],
            ..Self::default()
        }
    }

    pub(super) fn of(&self, pid: u32) -> &[MappedRange] {
        let run = self.processes[&pid];
        &self.ranges[run.first as usize..][..run.count as usize]
    }
}

impl Maps {
    /// The rule of a row's number.
    pub(super) fn rule(&self, number: u16) -> Rule {
        Rule::of_number(number).unwrap_or_else(|| self.rules[&number])
    }
}

impl KernelTables for Maps {
    fn room(&self) -> (u32, u32) {
        (self.rows.len() as u32, self.pages.len() as u32)
    }
    fn write_rows(&mut self, first: u32, rows: &[Row]) {
        self.rows[first as usize..][..rows.len()].copy_from_slice(rows);
    }
    fn write_pages(&mut self, first: u32, pages: &[TextPage]) {
        self.pages[first as usize..][..pages.len()].copy_from_slice(pages);
    }
    fn write_rule(&mut self, number: u16, rule: Rule) {
        self.rules.insert(number, rule);
    }
    fn write_ranges(&mut self, first: u32, ranges: &[MappedRange]) {
        self.ranges[first as usize..][..ranges.len()].copy_from_slice(ranges);
    }
    fn set_process(&mut self, pid: u32, run: ProcessRun, as_of_ns: u64) -> Result<bool> {
        if self.exec_ns > as_of_ns {
            return Ok(false);
        }
        self.processes.insert(pid, run);
        Ok(true)
    }
    fn remove_process(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }
}
