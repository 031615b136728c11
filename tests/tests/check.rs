//! `flame check` on real profiles: two runs of the same program do not fail, and a function that
//! has grown by a tenth is found. The program burns known amounts of CPU time, so that what differs
//! is what sampling does.
//!
//! FLAME_CHECK_PAIRS is the number of pairs, 2 by itself. What is promised is told of 20 on a
//! machine that does nothing else:
//!
//! ```text
//! FLAME_CHECK_PAIRS=20 cargo test -p flame-tests --test check -- --nocapture
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Outcome, Workload};

/// The CPU time of `grows` and `steady`, in milliseconds.
const TIMES: [u32; 2] = [2100, 200];
/// The samples of `grows` that the promise is made for.
const SAMPLES: i64 = 20_000;

/// A profile of the program, with this much of `grows`.
fn record(program: &Workload, grows: u32) -> Outcome {
    let times = [grows, TIMES[1]].map(|time| time.to_string());
    let arguments = ["-F", "9999", "-f", "pb", "--", program.path(), &times[0], &times[1]];
    Flame::record(&arguments).run().with_code(0)
}

/// Whether `grows` has grown by more than 5 % by the check, and what the check says of it.
fn fails(base: &Path, new: &Path) -> (bool, String) {
    let output = Command::new(Flame::program())
        .arg("check")
        .args([base, new])
        .args(["--fail-if", "cpu:grows > +5%"])
        .output()
        .expect("run flame");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let row = text.lines().nth(1).unwrap_or_default().to_owned();
    match output.status.code() {
        Some(0) => (false, row),
        Some(3) => (true, row),
        code => panic!("{code:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn the_same_program_passes_and_a_tenth_more_of_a_function_fails() {
    let Some(_machine) = Machine::take() else { return };
    let pairs: usize =
        std::env::var("FLAME_CHECK_PAIRS").map_or(2, |pairs| pairs.parse().expect("a number"));
    let program = Workload::c("growth");
    let (mut passed, mut found) = (0, 0);
    for pair in 0..pairs {
        let outcomes = [TIMES[0], TIMES[0], TIMES[0] / 10 * 11].map(|time| record(&program, time));
        let [base, same, grown]: [PathBuf; 3] =
            outcomes.each_ref().map(|outcome| outcome.profiles()[0].clone());
        let period = outcomes[0].profile().period();
        let samples = outcomes[0].seen().total_of("grows") / period;
        assert!(samples >= SAMPLES, "only {samples} samples of grows");
        let (same_fails, same) = fails(&base, &same);
        let (grown_fails, grown) = fails(&base, &grown);
        measured(&format!("pair {pair}: {samples} samples\n  {same}\n  {grown}"));
        passed += usize::from(!same_fails);
        found += usize::from(grown_fails);
    }
    let same = format!("{passed} of {pairs} pairs of the same program passed");
    measured(&format!("{same}, {found} of {pairs} found"));
    assert_eq!(passed, pairs, "a pair of the same program failed");
    assert!(found >= pairs - pairs / 20, "{found} of {pairs} found");
}
