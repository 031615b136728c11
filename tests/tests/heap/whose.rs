//! Whose work windows count for: of processes that live for moments, and of a cgroup beside which
//! others run.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use flame::profile::Profile;
use flame_tests::cgroup::Cgroup;
use flame_tests::heap::{Quantity, Truth, estimates};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Guarded, Workload};

const QUANTITY: Quantity = Quantity::AllocSpace;

/// What all sites allocated, by the profile.
fn estimated(profile: &Profile, truth: &Truth) -> f64 {
    let sites = estimates(profile, truth, QUANTITY).expect("a column");
    sites.values().sum::<i64>() as f64
}

#[test]
fn children_that_live_for_moments_count_as_long_as_they_lived() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("heap_steady");
    // Some 40 ms each.
    let (children, blocks) = (120, "30000");
    let line = format!(
        "i=0; while [ $i -lt {children} ]; do {} {blocks} 1000; i=$((i+1)); done",
        program.path()
    );
    let options = ["-t", "heap", "--heap-mode", "governed", "--", "sh", "-c", &line];
    let outcome = Flame::record(&options).run().with_code(0);
    // All do the same, and each tells the same.
    let truth = Truth::read(&outcome.printed());
    let all = truth.total(QUANTITY) * children;
    let ratio = estimated(&outcome.heap(), &truth) / all as f64;
    measured(&format!("{children} children: {ratio:.3} of the truth"));
    assert!((ratio - 1.0).abs() < 0.45, "{ratio:.3} of the truth");
}

#[test]
fn who_is_beside_a_cgroup_does_not_count() {
    let Some(_machine) = Machine::take() else { return };
    let Some(group) = Cgroup::new() else { return };
    let program = Workload::c("heap_phases");
    let shares = Workload::c("shares");
    let beside = Guarded::spawn(shares.command(&["600000"]).stdout(Stdio::null()));
    let options = ["-t", "heap", "--heap-mode", "governed", "--cgroup", group.directory()];
    let flame = Flame::attach(&options).start_sampling();
    let line = format!("read go && exec {} 6000 1000", program.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut inside = Guarded::spawn(&mut shell);
    group.put(inside.pid());
    let stdin = inside.child().stdin.as_mut().expect("its input");
    writeln!(stdin, "go").expect("let it begin");
    let mut printed = String::new();
    let stdout = inside.child().stdout.as_mut().expect("its output");
    stdout.read_to_string(&mut printed).expect("what it tells");
    assert!(inside.wait().success());
    let outcome = flame.interrupt().with_code(0);
    drop(beside);
    let truth = Truth::read(&printed);
    let ratio = estimated(&outcome.heap(), &truth) / truth.total(QUANTITY) as f64;
    measured(&format!("in a cgroup beside others: {ratio:.3} of the truth"));
    assert!((ratio - 1.0).abs() < 0.3, "{ratio:.3} of the truth");
}
