//! The plan over maps in memory.

use std::collections::HashSet;

use super::*;
use crate::process::{FileIdentity, ProcessEvent};
use crate::unwind::test_maps::Maps;

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
    let (mut maps, mut table, mut unwinder) = (Maps::new(), processes(), Unwinder::default());
    let mut plan = Plan::new(&maps);
    map(&mut table, 0x1000, "//anon");
    plan.update(&table, &mut unwinder, 1, &mut maps);
    let first = maps.processes[&PID];
    assert_eq!(
        maps.of(PID),
        [MappedRange { start: 0x1000, end: 0x2000, bias: 0, pages: NO_TABLE_EVER, count: 0 }]
    );
    plan.update(&table, &mut unwinder, 2, &mut maps);
    assert_eq!(maps.processes[&PID], first);
    map(&mut table, 0x4000, "[vdso]");
    plan.update(&table, &mut unwinder, 3, &mut maps);
    assert_ne!(maps.processes[&PID].generation, first.generation);
    assert_eq!(maps.of(PID).len(), 2);
    assert_eq!(maps.of(PID)[1].pages, NO_TABLE_YET);
}

#[test]
fn a_process_that_ran_another_program_since_is_left_alone() {
    let (mut maps, mut table, mut unwinder) = (Maps::new(), processes(), Unwinder::default());
    let mut plan = Plan::new(&maps);
    map(&mut table, 0x1000, "//anon");
    maps.exec_ns = 10;
    plan.update(&table, &mut unwinder, 9, &mut maps);
    assert!(maps.processes.is_empty());
    plan.update(&table, &mut unwinder, 11, &mut maps);
    assert_eq!(maps.of(PID).len(), 1);
}

#[test]
fn a_process_that_is_gone_is_taken_out() {
    let (mut maps, mut table, mut unwinder) = (Maps::new(), processes(), Unwinder::default());
    let mut plan = Plan::new(&maps);
    map(&mut table, 0x1000, "//anon");
    plan.update(&table, &mut unwinder, 1, &mut maps);
    table.apply(ProcessEvent::Exit { pid: PID, tid: PID });
    table.sweep();
    plan.update(&table, &mut unwinder, 2, &mut maps);
    assert!(maps.processes.is_empty());
}
