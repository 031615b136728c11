//! flame's files in `go tool pprof`, as a user calls it.

use std::process::Command;

use flame_tests::machine::{Machine, skip};
use flame_tests::{Flame, Outcome, Workload};

/// Profiles of several kinds: C, Rust, several processes, generated code, the kernel.
fn profiles() -> Vec<Outcome> {
    let [c, rust] = [Workload::c("inlined"), Workload::rust("shares")];
    let [family, generated] = [Workload::c("family"), Workload::c("generated")];
    let commands: [&[&str]; 5] = [
        &[c.path(), "300"],
        &[rust.path(), "300"],
        &[family.path(), "exec", "200"],
        &[generated.path(), "200"],
        &["dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=20000", "status=none"],
    ];
    let record = |command: &&[&str]| {
        let options = ["-F", "499", "-f", "pb", "--"];
        Flame::record(&[&options[..], command].concat()).run().with_code(0)
    };
    commands.iter().map(record).collect()
}

/// Runs `go tool pprof`, which must have nothing to say but its result.
fn pprof(outcome: &Outcome, option: &str) -> String {
    let output = Command::new(go())
        .args(["tool", "pprof", "-unit=ns", option])
        .arg(&outcome.profiles()[0])
        .current_dir(outcome.folder())
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("PPROF_TMPDIR", outcome.folder())
        .output()
        .expect("run go");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{option}: {stderr}");
    assert_eq!(stderr, "", "{option}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn go() -> &'static str {
    let runs = |command: &&str| {
        Command::new(command).arg("version").output().is_ok_and(|output| output.status.success())
    };
    ["go", "/usr/local/go/bin/go"].into_iter().find(runs).unwrap_or_default()
}

#[test]
fn go_tool_pprof_reads_profiles_without_a_word_and_with_the_same_totals() {
    let Some(_machine) = Machine::take() else { return };
    if go().is_empty() {
        return skip("needs the go command");
    }
    for outcome in profiles() {
        let seen = outcome.seen();
        assert!(seen.count() > 20, "{}", seen.shown());
        let raw = pprof(&outcome, "-raw");
        let begins: String = raw.chars().take(1000).collect();
        assert_eq!(totals(&raw), [seen.count(), seen.total()], "{} bytes: {begins}", raw.len());
        assert!(pprof(&outcome, "-traces").contains("pid:"), "with the labels");
        assert_eq!(top_total(&pprof(&outcome, "-top")) as i64, seen.total());
    }
}

/// The sums of the first two columns of `-raw`: samples, and what they are worth. There are more where
/// a sample hit in the trap of a heap probe, which is flame's own cost.
fn totals(raw: &str) -> [i64; 2] {
    let lines = raw.lines().skip_while(|line| *line != "Samples:").skip(2);
    let mut totals = [0; 2];
    for line in lines.take_while(|line| *line != "Locations") {
        let Some((values, _)) = line.split_once(':') else { continue };
        let numbers: Vec<i64> =
            values.split_whitespace().map_while(|value| value.parse().ok()).collect();
        if let [count, value, ..] = numbers[..] {
            totals[0] += count;
            totals[1] += value;
        }
    }
    totals
}

/// The total that `-top` tells: `Showing nodes accounting for X, 100% of Y total`.
fn top_total(top: &str) -> f64 {
    let line = top.lines().find(|line| line.contains("accounting for")).expect("a total");
    let total = line.rsplit_once(" of ").expect("of a total").1;
    total.trim_end_matches("ns total").parse().unwrap_or_else(|_| panic!("nanoseconds: {total}"))
}
