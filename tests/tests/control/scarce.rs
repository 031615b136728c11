//! Where the system has little left: flame does with less or says what it lacks.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;

use flame_tests::cgroup::Cgroup;
use flame_tests::files::names;
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Outcome, Workload};

/// The status of a `record` that did not get as far as its command.
const NOT_RUN: i32 = 125;

/// Profiles a workload in a cgroup that has room for so many tasks.
fn record(shares: &Workload, group: &Cgroup) -> Outcome {
    let mut flame = Flame::record(&["-F", "499", "--", shares.path(), "200"]);
    let list = format!("{}/cgroup.procs", group.directory());
    let list = File::options().write(true).open(list).expect("open a cgroup's processes");
    // SAFETY: between `fork` and `exec` the process does one write, and allocates nothing.
    unsafe { flame.command().pre_exec(move || (&list).write_all(b"0")) };
    flame.run()
}

#[test]
fn with_room_for_few_threads() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let lacks = io::Error::from_raw_os_error(libc::EAGAIN).to_string();
    let (mut refused, mut profiled) = (0, 0);
    for tasks in (1..16).step_by(2).chain([40]) {
        let Some(group) = Cgroup::of_few(tasks) else { return };
        // No panic in any case, which `Outcome` sees to.
        let outcome = record(&shares, &group);
        let says = outcome.stderr.contains(&lacks);
        if outcome.code() == NOT_RUN {
            assert!(says, "{tasks}: {}", outcome.stderr);
            assert_eq!(names(outcome.folder()), [""; 0], "{tasks}");
            refused += 1;
        } else {
            let seen = outcome.with_code(0).seen();
            assert!(seen.count() > 50, "{tasks}: {}", seen.shown());
            // The process that reads symbols may be one too many.
            let named = seen.only(|stack| stack.has("main")).count();
            assert!(named > 50 || says, "{tasks}: {}", seen.shown());
            profiled += 1;
        }
    }
    measured(&format!("refused with {refused} of 9 limits, profiled with {profiled}"));
    assert!(refused > 0 && profiled > 0, "{refused} and {profiled}");
}
