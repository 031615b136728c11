//! Who makes a process grow, where it cannot be known what is in use.

use std::collections::BTreeMap;

use flame::profile::Profile;
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Outcome, Workload};

/// The numbers that a workload told of itself.
fn known(outcome: &Outcome) -> BTreeMap<String, f64> {
    let printed = outcome.printed();
    let read = |line: &str| {
        let mut words = line.strip_prefix("known ")?.split_ascii_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    printed.lines().filter_map(read).collect()
}

/// What a function touched with those that it called, in a column of bytes.
fn touched(profile: &Profile, function: &str, kind: &str) -> f64 {
    let column = profile.sample_type_index(kind).unwrap_or_else(|| panic!("no {kind}"));
    let is_it = |location| {
        let lines = &profile.location(location).lines;
        lines.iter().any(|line| profile.string(profile.function(line.function).name) == function)
    };
    let of = profile.samples().filter(|sample| profile.frames(sample.stack).any(is_it));
    of.map(|sample| sample.values[column]).sum::<i64>() as f64
}

/// The most bytes between two samples that the profile tells of: what is touched after the first
/// tenth of a second of a fast program is sampled by fewer.
fn longest_interval(profile: &Profile) -> f64 {
    let mut lines = profile.comments().iter();
    let line = lines.find_map(|line| line.strip_prefix("growth: pages sampled by "));
    let (intervals, _) = line.and_then(|line| line.split_once(" bytes")).expect("intervals");
    let longest = intervals.rsplit(' ').next().and_then(|number| number.parse().ok());
    longest.unwrap_or_else(|| panic!("no interval in {intervals:?}"))
}

fn near(what: &str, found: f64, known: f64, share: f64) {
    measured(&format!("{what}: {found:.0} of {known:.0}"));
    assert!((found / known - 1.0).abs() < share, "{what}: {found} of {known}");
}

#[test]
fn a_leak_leads_the_growth_of_a_program_that_allocates_millions_of_times_a_second() {
    let Some(_machine) = Machine::take() else { return };
    let leak = Workload::c("busy_leak");
    for mode in ["auto", "growth"] {
        let options = ["--heap-mode", mode, "--", leak.path(), "3000"];
        let outcome = Flame::record(&options).run().with_code(0);
        let (profile, known) = (outcome.heap(), known(&outcome));
        assert!(known["calls"] > 3e6, "{known:?}");
        assert_eq!(profile.sample_type_index("inuse_space"), None, "in use is not known");
        let leaked = touched(&profile, "leaks", "resident_space");
        for other in ["churns", "caches"] {
            let found = touched(&profile, other, "resident_space");
            assert!(found < leaked / 4.0, "{other} {found}, leaks {leaked}");
        }
        near("leaked", leaked, known["leaked"], 0.25);
        let column = profile.sample_type_index("resident_space").expect("a column");
        near("resident", profile.total(column) as f64, known["grown"], 0.15);
        let has_allocations = profile.sample_type_index("alloc_space").is_some();
        assert_eq!(has_allocations, mode == "auto");
        assert!(outcome.stderr.contains("leaks"), "{}", outcome.stderr);
    }
}

#[test]
fn memory_counts_once_however_it_is_touched_and_goes_when_it_is_given_back() {
    let Some(_machine) = Machine::take() else { return };
    let touches = Workload::c("touches");
    let outcome = Flame::record(&["--heap-mode", "growth", "--", touches.path()]).run();
    let outcome = outcome.with_code(0);
    let (profile, known) = (outcome.heap(), known(&outcome));
    let interval = longest_interval(&profile);
    for (function, bytes) in &known {
        let share = |bytes: f64, least: f64| least.max(4.0 * (interval / bytes).sqrt());
        let grown = touched(&profile, function, "growth_space");
        near(function, grown, *bytes, share(*bytes, 0.25));
        let kept = if function == "returns" { bytes * 0.25 } else { *bytes };
        let resident = touched(&profile, function, "resident_space");
        near(&format!("{function}, resident"), resident, kept, share(kept, 0.4));
    }
    assert!(touched(&profile, "reuses", "growth_space") < 1.0, "what is read alone");
}

#[test]
fn a_program_whose_allocations_are_all_known_has_no_growth_in_its_profile() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::c("heap_sites");
    for mode in ["exact", "auto"] {
        let options = ["--heap-mode", mode, "--heap-overhead", "1000", "--", sites.path(), "20"];
        let outcome = Flame::record(&options).run().with_code(0);
        let profile = outcome.heap();
        assert!(profile.sample_type_index("inuse_space").is_some(), "{}", outcome.stderr);
        assert_eq!(profile.sample_type_index("growth_space"), None, "{}", outcome.stderr);
    }
}
