//! Heap profiles of Go programs, which sample their heaps themselves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use flame::profile::{Profile, SampleRef};
use flame_tests::heap::{Quantity, Truth, compare};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Guarded, Outcome, Workload};

use crate::stated::Stated;

/// Asserts that a profile is as the program counted, within the errors that it states.
fn assert_as_counted(outcome: &Outcome, truth: &Truth) {
    let (profile, stated) = (outcome.heap(), Stated::of(outcome));
    for quantity in Quantity::ALL {
        for one in compare(&profile, truth, quantity, 1, |site| stated.error(site, quantity)) {
            measured(&format!(
                "{} {}: {} of {}, z {:+.2}",
                one.site,
                quantity.sample_type(),
                one.estimate,
                one.truth,
                one.z()
            ));
            assert!(one.z().abs() < 4.0, "{one:?}\n{}", outcome.stderr);
            assert!(one.standard_error < one.truth / 10.0, "{one:?}");
        }
        let column = profile.sample_type_index(quantity.sample_type()).expect("a column");
        let (all, known) = (profile.total(column) as f64, truth.total(quantity) as f64);
        assert!((all / known - 1.0).abs() < 0.1, "{}: {all} of {known}", quantity.sample_type());
    }
}

#[test]
fn a_go_program_that_ends_is_known_by_its_own_profile() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::go_with("sites", &[]);
    let outcome = Flame::record(&["--", sites.path(), "16384", "3000", "500"]).run().with_code(0);
    assert_as_counted(&outcome, &Truth::read(&outcome.printed()));
    let profile = outcome.heap();
    let says = |text: &str| profile.comments().iter().any(|line| line.contains(text));
    assert!(says("Go: sites (pid"), "{:?}", profile.comments());
    assert!(says("s before it was found to have ended"), "{:?}", profile.comments());
    assert_eq!(profile.period(), 16384);
    assert!(!outcome.stderr.contains("heap is known"), "{}", outcome.stderr);
    let stack = "main.block main.heldLarge main.rounds main.work main.main runtime.main";
    assert!(stacks(&profile).iter().any(|names| names.starts_with(stack)), "{profile:?}");
}

/// The names on each stack, innermost first.
fn stacks(profile: &Profile) -> Vec<String> {
    let names = |sample: SampleRef<'_>| {
        let lines = profile.frames(sample.stack).flat_map(|at| &profile.location(at).lines);
        let names = lines.map(|line| profile.string(profile.function(line.function).name));
        names.collect::<Vec<_>>().join(" ")
    };
    profile.samples().map(names).collect()
}

#[test]
fn a_go_program_without_debug_information_is_known_by_its_functions() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::go_with("sites", &["-ldflags=-s -w"]);
    let outcome = Flame::record(&["--", sites.path(), "16384", "3000", "500"]).run().with_code(0);
    let (profile, truth) = (outcome.heap(), Truth::read(&outcome.printed()));
    let column = profile.sample_type_index("inuse_space").expect("a column");
    let (all, known) = (profile.total(column), truth.total(Quantity::InuseSpace));
    // Go 1.19 tells no rate without symbols: then its default is assumed, and said to be.
    if !profile.comments().iter().any(|line| line.contains("its own rate is not known")) {
        assert!((all as f64 / known as f64 - 1.0).abs() < 0.1, "{all} of {known}");
    }
    let stack = "main.rounds main.work main.main runtime.main";
    assert!(
        stacks(&profile).iter().any(|names| names.starts_with(stack)),
        "{:?}",
        stacks(&profile)
    );
}

#[test]
fn what_a_go_program_allocated_before_is_not_counted_but_what_it_holds() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::go_with("sites", &[]);
    let mut program = Guarded::spawn(
        Command::new(sites.path())
            .args(["16384", "3000", "0", "attach"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let pid = program.pid().to_string();
    let mut input = program.child().stdin.take().expect("a pipe");
    let output = program.child().stdout.take().expect("a pipe");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let flame = Flame::attach(&["-t", "heap", "--pid", &pid]).start_sampling();
    writeln!(input, "go on").expect("the program reads");
    let printed: Vec<String> = lines.by_ref().take_while(|line| line != "done").collect();
    let outcome = flame.interrupt().with_code(0);
    assert_as_counted(&outcome, &Truth::read(&printed.join("\n")));
    assert!(program.is_alive());
}

#[test]
fn a_go_program_without_a_profile_of_its_own_is_told_in_one_line() {
    let Some(_machine) = Machine::take() else { return };
    let no_heap = format!("sleep 0.5 | {}", Workload::go_with("no_heap", &[]).path());
    let outcome = Flame::record(&["--", "sh", "-c", &no_heap]).run().with_code(0);
    let told = outcome.stderr.lines().filter(|line| line.contains("takes no heap profile"));
    assert_eq!(told.count(), 1, "{}", outcome.stderr);
    let sites = Workload::go_with("sites", &[]);
    let outcome = Flame::record(&["--", sites.path(), "0", "10", "300"]).run().with_code(0);
    assert!(outcome.stderr.contains("runtime.MemProfileRate is 0"), "{}", outcome.stderr);
}
