//! Heap profiles of processes that start others, run other programs, or hold what cannot be seen.

use std::path::Path;

use flame_tests::machine::Machine;
use flame_tests::{Flame, Workload};

/// What a heap profile says that a function of C allocated, with those that it called.
fn allocated(profile: &flame::profile::Profile, function: &str) -> i64 {
    let column = profile.sample_type_index("alloc_space").expect("a column");
    let is_it = |location| {
        let lines = &profile.location(location).lines;
        lines.iter().any(|line| profile.string(profile.function(line.function).name) == function)
    };
    let of = profile.samples().filter(|sample| profile.frames(sample.stack).any(is_it));
    of.map(|sample| sample.values[column]).sum()
}

#[test]
fn a_shell_that_becomes_the_program_loses_its_own_blocks() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::c("heap_sites");
    let line = format!("exec {} 100", sites.path());
    let options = ["--heap-mode", "exact", "--heap-interval", "1024", "--"];
    let outcome = Flame::record(&[&options[..], &["sh", "-c", &line]].concat()).run().with_code(0);
    let profile = outcome.heap();
    let truth = flame_tests::heap::Truth::read(&outcome.printed());
    let leaked = truth.sites["small_blocks"].bytes as f64;
    let found = allocated(&profile, "small_blocks") as f64;
    assert!((found / leaked - 1.0).abs() < 0.1, "{found} of {leaked}");
    let in_use = profile.sample_type_index("inuse_space").expect("a column");
    let shell = std::fs::canonicalize("/bin/sh").expect("a shell");
    for sample in profile.samples().filter(|sample| sample.values[in_use] > 0) {
        let in_shell = profile.frames(sample.stack).any(|location| {
            let mapping = profile.location(location).mapping;
            mapping.is_some_and(|id| shell == Path::new(profile.string(profile.mapping(id).path)))
        });
        assert!(!in_shell, "a block of the shell's is in use");
    }
}

#[test]
fn a_program_without_a_known_allocator_is_told_and_its_cpu_profile_is_whole() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c_with("shares", &["-O1", "-static", "-s"]);
    let outcome = Flame::record(&["--", shares.path(), "500"]).run();
    let outcome = outcome.with_code(0);
    assert!(outcome.profile().total(1) > 300_000_000, "{}", outcome.stderr);
    let heap = outcome.heap();
    let of = |kind| heap.total(heap.sample_type_index(kind).expect("a column"));
    assert_eq!(of("alloc_space"), 0);
    assert!(of("growth_space") >= 0, "who makes it grow would be known");
    assert!(outcome.stderr.contains("heap is known"), "{}", outcome.stderr);
}
