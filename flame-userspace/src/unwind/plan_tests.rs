//! The plan over maps in memory.

use std::collections::HashSet;

use super::*;
use crate::process::{FileIdentity, ProcessEvent};

#[derive(Default)]
struct Maps {
    rows: Vec<Row>,
    pages: Vec<TextPage>,
    rules: HashMap<u16, Rule>,
    ranges: Vec<MappedRange>,
    processes: HashMap<u32, ProcessRun>,
    exec_ns: u64,
}

impl Maps {
    fn new() -> Self {
        Self {
            rows: vec![Row::default(); 8 * CHUNK_ROWS],
            pages: vec![TextPage::default(); 8],
            ranges: vec![MappedRange::default(); MAPPINGS],
            ..Self::default()
        }
    }

    fn of(&self, pid: u32) -> &[MappedRange] {
        let run = self.processes[&pid];
        &self.ranges[run.first as usize..][..run.count as usize]
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

/// A pid that no process of this machine can have.
const PID: u32 = 1 << 30;

fn processes() -> ProcessTable {
    let mut table = ProcessTable::new(true, HashSet::new());
    table.apply(ProcessEvent::Comm { pid: PID, tid: PID, comm: "p".into(), exec: true });
    table
}

fn map(table: &mut ProcessTable, start: u64, path: &str) {
    let identity = FileIdentity::Inode { major: 0, minor: 0, inode: 0 };
    let path = path.into();
    table.apply(ProcessEvent::Mmap { pid: PID, start, length: 0x1000, offset: 0, path, identity });
}

#[test]
fn a_changed_process_is_told_and_an_unchanged_one_is_not() {
    let (mut maps, mut table, unwinder) = (Maps::new(), processes(), Unwinder::default());
    let mut plan = Plan::new(&maps);
    map(&mut table, 0x1000, "//anon");
    plan.update(&table, &unwinder, 1, &mut maps);
    let first = maps.processes[&PID];
    assert_eq!(
        maps.of(PID),
        [MappedRange { start: 0x1000, end: 0x2000, bias: 0, pages: NO_TABLE_EVER, count: 0 }]
    );
    plan.update(&table, &unwinder, 2, &mut maps);
    assert_eq!(maps.processes[&PID], first);
    map(&mut table, 0x4000, "[vdso]");
    plan.update(&table, &unwinder, 3, &mut maps);
    assert_ne!(maps.processes[&PID].generation, first.generation);
    assert_eq!(maps.of(PID).len(), 2);
    assert_eq!(maps.of(PID)[1].pages, NO_TABLE_YET);
}

#[test]
fn a_process_that_ran_another_program_since_is_left_alone() {
    let (mut maps, mut table, unwinder) = (Maps::new(), processes(), Unwinder::default());
    let mut plan = Plan::new(&maps);
    map(&mut table, 0x1000, "//anon");
    maps.exec_ns = 10;
    plan.update(&table, &unwinder, 9, &mut maps);
    assert!(maps.processes.is_empty());
    plan.update(&table, &unwinder, 11, &mut maps);
    assert_eq!(maps.of(PID).len(), 1);
}

#[test]
fn a_process_that_is_gone_is_taken_out() {
    let (mut maps, mut table, unwinder) = (Maps::new(), processes(), Unwinder::default());
    let mut plan = Plan::new(&maps);
    map(&mut table, 0x1000, "//anon");
    plan.update(&table, &unwinder, 1, &mut maps);
    table.apply(ProcessEvent::Exit { pid: PID, tid: PID });
    table.sweep();
    plan.update(&table, &unwinder, 2, &mut maps);
    assert!(maps.processes.is_empty());
}

#[test]
fn a_placed_table_gives_the_same_rules_and_no_page_crosses_a_value() {
    let mut maps = Maps::new();
    let mut plan = Plan::new(&maps);
    let full: Vec<(u16, Rule)> =
        (0..4000).map(|n| (n, if n % 2 == 0 { Rule::ROOT } else { Rule::SIGNAL })).collect();
    let table = UnwindTable::of_rules(7, &[&full, &full[..200], &[(0, Rule::PLT11)]]);
    let placed = plan.place(&table, &mut maps).expect("room for it");
    assert_eq!(placed.extent, (7 << 12, 3));
    for (own, kernel) in table.pages().iter().zip(&maps.pages) {
        assert_eq!(
            kernel.first as usize / CHUNK_ROWS,
            (kernel.first + kernel.count - 1) as usize / CHUNK_ROWS
        );
        for at in 0..own.count {
            let row = maps.rows[(kernel.first + at) as usize];
            let low = u64::from(row.pc_low);
            let page = 7 + maps.pages.iter().position(|page| page == kernel).expect("it is there");
            assert_eq!(maps.rules[&row.rule], table.rule(((page as u64) << 12) + low));
        }
    }
    assert!(plan.place(&table, &mut maps).is_some());
    assert!(plan.place(&table, &mut maps).is_none(), "the pages are used up");
}
