//! Whole stacks whatever becomes of processes and files: libraries come and go, programs become
//! others, pids are used again. And stacks that no walk can follow: bounded, and counted.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use flame_tests::machine::{Machine, measured};
use flame_tests::roots::{Judge, Outermost};
use flame_tests::seen::{Stack, percent};
use flame_tests::{Flame, Folder, Guarded, Outcome, Seen, Workload};

/// What a distribution compiles with, but for calls in the place of returns, which hide functions.
const WITHOUT_FRAMES: &[&str] =
    &["-O2", "-g", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"];

fn workload(name: &str) -> Workload {
    Workload::c_with(name, WITHOUT_FRAMES)
}

fn record(arguments: &[&str]) -> Outcome {
    Flame::record(&[&["-F", "499", "--"], arguments].concat()).run().with_code(0)
}

/// Asserts that the stacks through a function, of which there are some, reach the root through
/// `main`.
#[track_caller]
fn assert_whole(seen: &Seen, function: &str) {
    assert_mostly_whole(seen, function, 99.0);
}

/// The same of more than `least` percent.
#[track_caller]
fn assert_mostly_whole(seen: &Seen, function: &str, least: f64) {
    let own = seen.only(|stack| stack.has(function));
    let mut judge = Judge::default();
    let mut is_whole =
        |stack: &Stack| judge.outermost(stack) == Outermost::Root && stack.has("main");
    let whole: i64 = own.stacks.iter().filter(|stack| is_whole(stack)).map(|s| s.count).sum();
    measured(&format!("{whole} of {} stacks through {function} are whole", own.count()));
    assert!(own.count() > 20, "{} samples in {function}:\n{}", own.count(), seen.shown());
    let share = percent(whole, own.count());
    assert!(share > least, "{share:.2} % of {function}:\n{}", own.shown());
}

#[test]
fn libraries_that_take_the_same_place_one_after_the_other() {
    let Some(_machine) = Machine::take() else { return };
    let library = |name: &str, frame: &str| {
        let (define, room) = (format!("-DNAME={name}"), format!("-DROOM={frame}"));
        let own = ["-shared", "-fPIC", &define, &room];
        Workload::c_with("library", &[WITHOUT_FRAMES, &own].concat())
    };
    // Frames of different sizes: the rows of one would lead astray in the other.
    let (one, other) = (library("in_the_first", "0"), library("in_the_other", "200"));
    let loads = workload("loads");
    let outcome = record(&[loads.path(), "300", one.path(), other.path(), one.path()]);
    let printed = outcome.printed();
    let places: Vec<&str> = printed.lines().collect();
    assert!(places.len() == 3, "{printed}");
    let seen = outcome.seen();
    // Until flame has read of the change the kernel walks by the rows of what was there: some
    // milliseconds if that leads astray, and up to 50 if it happens to end as if it were the root.
    assert_mostly_whole(&seen, "in_the_first", 90.0);
    assert_mostly_whole(&seen, "in_the_other", 90.0);
}

#[test]
fn a_process_that_becomes_another_program() {
    let Some(_machine) = Machine::take() else { return };
    let (becomes, shares) = (workload("becomes"), workload("shares"));
    let seen = record(&[becomes.path(), "500", shares.path(), "500"]).seen();
    assert_whole(&seen, "before");
    assert_whole(&seen, "rounds");
}

#[test]
fn a_child_that_runs_its_parents_program() {
    let Some(_machine) = Machine::take() else { return };
    let seen = record(&[workload("family").path(), "fork", "300"]).seen();
    assert_whole(&seen, "in_parent");
    assert_whole(&seen, "in_child");
}

#[test]
fn a_pid_that_is_used_again() {
    let Some(_machine) = Machine::take() else { return };
    let seen = record(&[workload("reuse").path(), "300"]).seen();
    assert_whole(&seen, "first");
    assert_whole(&seen, "second");
}

#[test]
fn a_library_that_is_replaced_while_it_is_mapped() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = folder.join("known_chain");
    fs::copy(workload("known_chain").program(), &program).expect("copy the workload");
    let target = Guarded::spawn(Command::new(&program).arg("60"));
    // Replaced before flame has seen it: the code that runs is in no file by that name any more.
    let fresh = folder.join("fresh");
    fs::copy(workload("shares").program(), &fresh).expect("copy another workload");
    fs::rename(&fresh, &program).expect("replace the program");
    let arguments = ["-F", "499", "-d", "2s", "--pid", &target.pid().to_string()];
    let seen = Flame::attach(&arguments).run().with_code(0).seen();
    // The judge would read the file that is there now: names have to do.
    let roots = ["_start", "__clone3", "clone3"];
    let begins = |stack: &Stack| stack.user().first().is_some_and(|name| roots.contains(name));
    let share = percent(seen.only(begins).count(), seen.count());
    assert!(seen.count() > 100 && share > 99.0, "{share:.2} %:\n{}", seen.shown());
    assert!(seen.share_of("burn_chain") > 1.0, "{}", seen.shown());
}

#[test]
fn a_thousand_short_processes() {
    const PROCESSES: usize = 1000;
    let Some(_machine) = Machine::take() else { return };
    let crowd = workload("crowd");
    let folder = Folder::new();
    for number in 0..PROCESSES {
        fs::copy(crowd.program(), folder.join(&format!("p{number}"))).expect("copy the program");
    }
    let folder = folder.path().to_str().expect("a path of text");
    let arguments = [crowd.path(), &PROCESSES.to_string(), "3", folder];
    let seen = Flame::record(&[&["-F", "999", "--"], &arguments[..]].concat());
    let seen = seen.run().with_code(0).seen();
    let pids: BTreeSet<u32> =
        seen.stacks.iter().filter(|s| s.has("short_work")).map(|s| s.pid).collect();
    assert!(pids.len() > PROCESSES / 2, "{} processes at their work", pids.len());
    assert_whole(&seen, "short_work");
}

/// So many dense libraries need three times the unwind rows that the kernel has room for.
const LIBRARIES: usize = 16;

/// A library that needs as many rows as it has bytes, unlike those of any other number.
fn dense(number: usize) -> Workload {
    let own = format!("-DNUMBER={number}");
    Workload::c_with("dense", &[WITHOUT_FRAMES, &["-shared", "-fPIC", &own]].concat())
}

/// Works in libraries in turns, and at last in the first alone: the profile, how many pieces of tables
/// made room for others, and the share of the stacks that were copied.
fn in_turns(libraries: &[&str]) -> (Seen, i64, f64) {
    let evicts = workload("evicts");
    let seen = record(&[&[evicts.path(), "2", "100"], libraries].concat()).seen();
    let evicted = seen.told("pieces of unwind tables made room");
    let finished = seen.told("user stacks finished in user space");
    measured(&format!("{evicted} pieces made room; {finished} of {} stacks copied", seen.count()));
    assert!(finished > 0, "{:?}", seen.comments);
    for function in ["works", "in_turns", "at_last"] {
        assert_whole(&seen, function);
    }
    let share = percent(finished, seen.count());
    (seen, evicted, share)
}

#[test]
fn tables_that_make_room_for_others() {
    let Some(_machine) = Machine::take() else { return };
    let libraries: Vec<Workload> = (0..LIBRARIES).map(dense).collect();
    let paths: Vec<&str> = libraries.iter().map(Workload::path).collect();
    let (seen, evicted, share) = in_turns(&paths);
    assert!(evicted > 0, "{:?}", seen.comments);
    // What runs at last gets its room back, and not what waits for some since it ran before.
    assert!(share < 65.0, "{share:.1} % copied: {:?}", seen.comments);
}

#[test]
fn copies_of_a_library_share_their_tables() {
    let Some(_machine) = Machine::take() else { return };
    let (library, folder) = (dense(0), Folder::new());
    let copies: Vec<_> =
        (0..LIBRARIES).map(|number| folder.join(&format!("dense{number}.so"))).collect();
    for copy in &copies {
        fs::copy(library.program(), copy).expect("copy the library");
    }
    let paths: Vec<&str> =
        copies.iter().map(|copy| copy.to_str().expect("a path of text")).collect();
    let (seen, evicted, share) = in_turns(&paths);
    assert_eq!(evicted, 0, "{:?}", seen.comments);
    assert!(share < 15.0, "{share:.1} % copied: {:?}", seen.comments);
}

/// Records a hostile stack, which has to be told and not to be long.
fn hostile(how: &str, most_frames: usize) -> Outcome {
    let outcome = record(&[workload("hostile").path(), how, "500"]);
    assert_eq!(outcome.printed().trim(), how, "the program is none the worse for it");
    let seen = outcome.seen();
    assert!(seen.count() > 100, "{how}: {} samples", seen.count());
    let longest = seen.stacks.iter().map(|stack| stack.frames.len()).max().unwrap_or(0);
    assert!(longest <= most_frames, "{how}: {longest} frames");
    outcome
}

/// How many stacks ended for a reason, by the profile's comments and by its samples' labels.
fn ended(outcome: &Outcome, reason: &str) -> u64 {
    let seen = outcome.seen();
    let line = seen.comments.iter().find_map(|line| line.strip_prefix("user stacks ended: "));
    let line = line.unwrap_or_else(|| panic!("no reasons: {:?}", seen.comments));
    let found = line.split(", ").find_map(|part| part.strip_prefix(reason));
    let counted = found.map_or(0, |count| count.trim().parse().expect("a number"));
    let labelled = seen.only(|stack| stack.cut == reason).count();
    assert_eq!(labelled as u64, counted, "marked as such: {reason}");
    counted
}

#[test]
fn frames_that_are_their_own_callers_end_the_walk() {
    let Some(_machine) = Machine::take() else { return };
    let outcome = hostile("cycle", 200);
    let ended = ended(&outcome, "code without tables or frame pointers");
    assert!(ended > 100, "{ended}: {:?}", outcome.seen().comments);
}

#[test]
fn frames_without_end_are_cut_and_counted() {
    let Some(_machine) = Machine::take() else { return };
    // What the kernel walks, and what a copy of 64 KiB holds behind.
    let outcome = hostile("ladder", 2048 + 4096 + 127);
    let ended = ended(&outcome, "truncated at the frame limit");
    assert!(ended > 100, "{ended}: {:?}", outcome.seen().comments);
    assert!(outcome.seen().stacks.iter().any(|stack| stack.frames.len() >= 2048));
}

#[test]
fn frames_in_memory_that_is_not_there_end_the_walk() {
    let Some(_machine) = Machine::take() else { return };
    for how in ["unmapped", "nowhere"] {
        let outcome = hostile(how, 200);
        let reasons = ["stack memory not readable", "code without tables or frame pointers"]
            .map(|reason| ended(&outcome, reason));
        assert!(reasons.iter().sum::<u64>() > 100, "{how}: {:?}", outcome.seen().comments);
    }
}
