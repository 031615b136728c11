//! `flame doctor --pid`: what it tells of a process's code.

use std::process::Command;
use std::time::Duration;

use flame_tests::machine::{Machine, skip};
use flame_tests::{Flame, Guarded, Workload};

/// What is told of the piece of a program's code whose path ends so.
fn told(command: &mut Command, path: &str) -> String {
    let program = Guarded::spawn(command);
    // It has loaded its libraries.
    std::thread::sleep(Duration::from_millis(300));
    let mut doctor = Command::new(Flame::program());
    let output = doctor.args(["doctor", "--pid", &program.pid().to_string()]).output();
    let said = String::from_utf8(output.expect("run flame").stdout).expect("text");
    let mut lines = said.lines().filter_map(|line| line.trim().split_once(": "));
    let found = lines.find_map(|(piece, told)| piece.ends_with(path).then(|| told.to_owned()));
    found.unwrap_or_else(|| panic!("nothing of {path}: {said}"))
}

fn told_of(workload: &Workload, arguments: &[&str], path: &str) -> String {
    told(&mut workload.command(arguments), path)
}

#[test]
fn code_is_told_to_be_walked_by_what_speaks_of_it() {
    let Some(_machine) = Machine::take() else { return };
    let flags = ["-O2", "-fomit-frame-pointer"];
    let with = Workload::c_with("known_chain", &flags);
    let by_table = "stacks by unwind table (.eh_frame)";
    let said = told_of(&with, &[], "/known_chain");
    assert!(said.starts_with("function names from its symbol table") && said.ends_with(by_table));
    assert!(told_of(&with, &[], "/libc.so.6").ends_with(by_table));
    // The same program without unwind information, with frame pointers and without.
    let bare = ["-O2", "-fno-asynchronous-unwind-tables"];
    for (frames, way) in [
        ("-fno-omit-frame-pointer", "by frame pointer"),
        ("-fomit-frame-pointer", "by what its instructions do"),
    ] {
        let without = Workload::c_with("known_chain", &[&bare[..], &[frames]].concat());
        let said = told_of(&without, &[], "/known_chain");
        assert!(said.contains(&format!("stacks {way}")), "{frames}: {said}");
    }
    let said = told_of(&Workload::c("generated"), &["10000"], "memory without a file");
    assert!(said.ends_with("stacks by frame pointer"), "{said}");
}

#[test]
fn a_stripped_go_program_is_walked_and_named_by_gos_own_table() {
    let Some(_machine) = Machine::take() else { return };
    if Command::new("go").arg("version").output().is_err() {
        skip("needs the go command");
        return;
    }
    let program = Workload::go_with("busy", &["-ldflags=-s -w"]);
    let said = told_of(&program, &[], "/busy");
    let whole = "function names from .gopclntab; stacks by unwind table (.gopclntab)";
    assert_eq!(said, whole);
}
