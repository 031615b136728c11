//! Heap profiles at their limits: what is lost is counted and told, and no number is wrong without
//! a word.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use flame_tests::machine::{Machine, measured};
use flame_tests::process::{signal, wait_for};
use flame_tests::{Flame, Guarded, Outcome, Workload};

use crate::stated::Stated;

/// The size of the program's blocks.
const SIZE: f64 = 64.0;

/// The numbers of a line `made N kept N seconds S`.
fn told(line: &str) -> [f64; 3] {
    let words: Vec<&str> = line.split_whitespace().collect();
    [1, 3, 5].map(|at: usize| words[at].parse().expect("a number"))
}

/// A total of the heap profile.
fn total(outcome: &Outcome, kind: &str) -> f64 {
    let profile = outcome.heap();
    let column = profile.sample_type_index(kind).unwrap_or_else(|| panic!("no {kind}"));
    profile.total(column) as f64
}

/// What of a sample type a function has, and the error that is stated of it.
fn of(outcome: &Outcome, function: &str, kind: &str) -> (f64, f64) {
    let json = outcome.json();
    let profiles = json["profiles"].as_array().expect("profiles");
    let heap = profiles.iter().find(|one| one["profile"] == "heap").expect("a heap profile");
    let functions = heap["functions"].as_array().expect("functions");
    let found = functions.iter().find(|one| one["name"] == function);
    let value = found.and_then(|one| one["values"][kind]["value"].as_f64()).unwrap_or(0.0);
    (value, Stated::of(outcome).of_type(function, kind))
}

/// Samples that were lost, by what the summary tells.
fn lost(outcome: &Outcome) -> f64 {
    let json = outcome.json();
    let profiles = json["profiles"].as_array().expect("profiles");
    let heap = profiles.iter().find(|one| one["profile"] == "heap").expect("a heap profile");
    let lost = heap["lost"].as_object().expect("losses");
    lost.values().map(|count| count.as_f64().expect("a count")).sum()
}

#[test]
fn sixty_four_threads_that_allocate_faster_than_the_ring_takes_are_told() {
    let Some(_machine) = Machine::take() else { return };
    let storm = Workload::c("heap_storm");
    // Each block is sampled: far more than flame can take in.
    let options = ["-t", "heap", "--heap-mode", "exact", "--heap-interval", "1", "--"];
    let arguments = [storm.path(), "64", "10000", "100", "0", "end"];
    let outcome = Flame::record(&[&options[..], &arguments].concat()).run().with_code(0);
    let [made, kept, seconds] = told(&outcome.printed());
    let (lost, found) = (lost(&outcome), total(&outcome, "alloc_objects"));
    let (held, _) = of(&outcome, "kept_block", "inuse_objects");
    let (passing, _) = of(&outcome, "passing_block", "inuse_objects");
    // More than 100,000 a second where the machine does nothing else; the books are right at any.
    let rate = made / seconds;
    measured(&format!(
        "{rate:.0} a second: {found} of {made}, {lost} lost; {held} of {kept} kept, {passing} passing"
    ));
    // The C library and the threads allocate some themselves.
    assert!(
        (made * 0.999..made + 2000.0).contains(&(found + lost)),
        "{found} and {lost} of {made}"
    );
    assert!(lost == 0.0 || outcome.stderr.contains("sampled allocations lost"), "it is told");
    assert!(held <= kept && held >= kept - lost, "{held} of {kept}, {lost} lost");
    // What was freed is not in use, whether its end was told or not.
    assert!(passing < 64.0, "{passing} blocks that were freed are in use\n{}", outcome.stderr);
}

#[test]
fn more_live_blocks_than_there_is_room_for_are_thinned_without_bias() {
    let Some(_machine) = Machine::take() else { return };
    let storm = Workload::c("heap_storm");
    let options = ["-t", "heap", "--heap-mode", "exact", "--heap-interval", "16", "--"];
    let arguments = [storm.path(), "2", "100000", "1", "8000", "end"];
    let outcome = Flame::record(&[&options[..], &arguments].concat()).run().with_code(0);
    let [_, kept, _] = told(&outcome.printed());
    let (held, error) = of(&outcome, "kept_block", "inuse_objects");
    let lost = lost(&outcome);
    let notes = outcome.json()["profiles"][0]["notes"].to_string();
    measured(&format!("{held} of {kept} +- {error:.0}, {lost} lost: {notes}"));
    assert!(notes.contains("half of them were dropped at random"), "{notes}");
    let is_low = notes.contains("in use is low by at most") || lost > 0.0;
    assert!(held < kept + 4.0 * error, "{held} of {kept} +- {error}");
    assert!(is_low || held > kept - 4.0 * error, "{held} of {kept} +- {error}: {notes}");
    // What found no room counts as allocated all the same.
    let (made, made_error) = of(&outcome, "kept_block", "alloc_objects");
    assert!(lost > 0.0 || (made - kept).abs() < 4.0 * made_error, "{made} of {kept}");
}

#[test]
fn a_target_that_is_killed_while_it_allocates_keeps_what_it_held() {
    let Some(_machine) = Machine::take() else { return };
    let storm = Workload::c("heap_storm");
    let mut command = Command::new(storm.path());
    let mut target =
        Guarded::spawn(command.args(["8", "50000", "10", "4000", "wait"]).stdout(Stdio::piped()));
    let output = target.child().stdout.take().expect("a pipe");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let pid = target.pid().to_string();
    let options = ["-t", "heap", "--heap-mode", "exact", "--heap-interval", "4096"];
    let flame = Flame::attach(&[&options[..], &["--pid", &pid]].concat()).start_sampling();
    let [_, kept, _] = told(&lines.next().expect("a line"));
    assert!(signal(target.pid(), libc::SIGKILL), "it has gone");
    wait_for("the target's end", || !target.is_alive());
    let outcome = flame.finish().with_code(0);
    let (held, error) = of(&outcome, "kept_block", "inuse_space");
    let (all, _) = of(&outcome, "kept_block", "alloc_space");
    let (passing, passing_error) = of(&outcome, "passing_block", "inuse_space");
    measured(&format!("{held} +- {error:.0} of at most {}; {passing}", kept * SIZE));
    // Some of it was made before flame came.
    assert!(held > 0.0 && held < kept * SIZE + 4.0 * error, "{held} +- {error} of {kept}");
    assert!((held - all).abs() < 1.0, "of {all} that it made and never freed it held {held}");
    // Each of its threads may have died between the two calls.
    assert!(passing <= 4.0 * SIZE + 4.0 * passing_error.max(4096.0), "{passing}");
}

#[test]
fn a_program_that_becomes_another_while_it_allocates_holds_what_the_other_holds() {
    let Some(_machine) = Machine::take() else { return };
    let storm = Workload::c("heap_storm");
    let options = ["-t", "heap", "--heap-mode", "exact", "--heap-interval", "256", "--"];
    let arguments = [storm.path(), "4", "20000", "1", "2000", "exec"];
    let outcome = Flame::record(&[&options[..], &arguments].concat()).run().with_code(0);
    let printed = outcome.printed();
    let known: Vec<f64> =
        printed.lines().filter(|line| line.starts_with("made")).map(|l| told(l)[1]).collect();
    let &[before, after] = known.as_slice() else { panic!("two lines: {printed}") };
    let (held, error) = of(&outcome, "kept_block", "inuse_objects");
    let (made, made_error) = of(&outcome, "kept_block", "alloc_objects");
    measured(&format!("{held} of {after} +- {error:.0}; {made} of {}", before + after));
    assert!((held - after).abs() < 4.0 * error, "{held} of {after} +- {error}");
    assert!((made - before - after).abs() < 4.0 * made_error, "{made} of {before} and {after}");
}
