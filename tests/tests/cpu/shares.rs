//! Shares of CPU time, against what the workloads and the kernel measured themselves.

use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Known, Seen, Workload};

/// Percentage points that a function's share may be off.
const SHARE: f64 = 2.0;
/// Percent that the whole CPU time may be off.
const TOTAL: f64 = 2.0;

/// Profiles a workload for 10 s of its CPU time at 499 Hz, and compares: each function that it
/// knows the time of is called `name(function)` in the profile.
fn compare(workload: &Workload, name: impl Fn(&str) -> String) -> (Known, Seen) {
    let outcome = Flame::record(&["-F", "499", "--", workload.path(), "10000"]).run().with_code(0);
    let known = Known::read(&outcome.printed());
    let seen = outcome.seen();
    let json = outcome.json();
    let off = seen.total() as f64 * 100.0 / known.cpu_ns as f64 - 100.0;
    measured(&format!(
        "CPU time {:.3} s by the kernel, {:.3} s by samples ({off:+.2} %); missed {}",
        known.cpu_ns as f64 / 1e9,
        seen.total() as f64 / 1e9,
        json["profiles"][0]["missed"],
    ));
    let mut wrong = Vec::new();
    for function in known.functions.keys() {
        let (truth, share) = (known.share(function), seen.share_of(&name(function)));
        measured(&format!("{function}: {truth:.2} % in truth, {share:.2} % in the profile"));
        if (share - truth).abs() > SHARE {
            wrong.push(function);
        }
    }
    assert!(wrong.is_empty(), "wrong shares of {wrong:?}:\n{}", seen.shown());
    assert!(off.abs() < TOTAL, "the CPU time is {off:+.2} % off");
    assert_eq!(seen.total(), seen.count() * seen.period, "each sample stands for a period");
    (known, seen)
}

#[test]
fn shares_of_a_c_program_are_true() {
    let Some(_machine) = Machine::take() else { return };
    let (_, seen) = compare(&Workload::c("shares"), str::to_owned);
    assert!(seen.share_through(&["main", "rounds", "heavy", "burn"]) > 45.0, "{}", seen.shown());
}

#[test]
fn shares_of_a_cpp_program_are_true() {
    let Some(_machine) = Machine::take() else { return };
    compare(&Workload::cpp("shares"), |function| {
        let name = match function {
            "multiply" => "work::Matrix<unsigned long>::multiply(unsigned long)",
            "area" => "work::Circle::area(unsigned long) const",
            _ => "work::call(std::function<unsigned long (unsigned long)> const&, unsigned long)",
        };
        name.to_owned()
    });
}

#[test]
fn shares_of_a_rust_program_are_true() {
    let Some(_machine) = Machine::take() else { return };
    compare(&Workload::rust("shares"), |function| {
        let name = match function {
            "parse" => "<shares::Json as shares::Parser>::parse",
            "sort" => "shares::sort",
            _ => "shares::hash::digest",
        };
        name.to_owned()
    });
}

#[test]
fn shares_of_threads_are_true_and_threads_are_named() {
    let Some(_machine) = Machine::take() else { return };
    let workload = Workload::c("threads");
    let (known, seen) = compare(&workload, str::to_owned);
    for (function, thread) in
        [("indexing", "index worker"), ("merging", "merge worker"), ("flushing", "flush worker")]
    {
        let own = seen.only(|stack| stack.thread == thread);
        let off = own.total() as f64 * 100.0 / known.functions[function] as f64 - 100.0;
        assert!(off.abs() < 5.0, "{thread} is {off:+.2} % off");
        assert_eq!(own.pids().len(), 1);
        let tids: std::collections::BTreeSet<u32> = own.stacks.iter().map(|s| s.tid).collect();
        assert_eq!(tids.len(), 1, "a thread is one: {tids:?}");
        assert!(!own.pids().is_superset(&tids), "it is not the main thread");
        assert_eq!(own.comms().into_iter().collect::<Vec<_>>(), [workload.comm()]);
    }
}

#[test]
fn shares_of_many_processes_are_true() {
    let Some(_machine) = Machine::take() else { return };
    let (_, seen) = compare(&Workload::c("processes"), str::to_owned);
    assert!(seen.pids().len() >= 40, "{} processes", seen.pids().len());
}

#[test]
fn the_cpu_time_is_true_at_the_highest_frequency() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let arguments = ["-F", "10000", "--", shares.path(), "2000"];
    let outcome = Flame::record(&arguments).run().with_code(0);
    let (known, seen) = (Known::read(&outcome.printed()), outcome.seen());
    let off = seen.total() as f64 * 100.0 / known.cpu_ns as f64 - 100.0;
    let lost = &outcome.json()["profiles"][0]["lost"];
    measured(&format!("{off:+.2} % off at 10 kHz, lost: {lost}"));
    assert!(off.abs() < TOTAL, "the CPU time is {off:+.2} % off");
}
