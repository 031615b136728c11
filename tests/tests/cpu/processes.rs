//! Which processes are in a profile, and what they are called.

use std::collections::BTreeMap;
use std::fs;

use flame_tests::machine::{Machine, measured};
use flame_tests::seen::{Stack, percent};
use flame_tests::{Flame, Folder, Seen, Workload};

fn family(how: &str, options: &[&str]) -> Seen {
    let family = Workload::c("family");
    let arguments = [&["-F", "499"], options, &["--", family.path(), how, "300"]].concat();
    Flame::record(&arguments).run().with_code(0).seen()
}

#[track_caller]
fn assert_about(what: &str, percent: f64, seen: &Seen) {
    assert!((percent - 50.0).abs() < 7.0, "{what} {percent:.1} %:\n{}", seen.shown());
}

#[test]
fn a_forked_child_is_followed() {
    let Some(_machine) = Machine::take() else { return };
    let seen = family("fork", &[]);
    assert_about("the parent", seen.share_of("in_parent"), &seen);
    assert_about("the child", seen.share_of("in_child"), &seen);
    assert_eq!(seen.pids().len(), 2);
    assert!(seen.stacks.iter().all(|stack| !(stack.has("in_parent") && stack.has("in_child"))));
}

#[test]
fn a_program_that_a_child_executes_is_followed() {
    let Some(_machine) = Machine::take() else { return };
    let seen = family("exec", &[]);
    assert_about("the program", seen.share_of("in_program"), &seen);
    assert_eq!(seen.pids().len(), 2);
}

#[test]
fn a_grandchild_is_followed_when_its_parent_has_ended() {
    let Some(_machine) = Machine::take() else { return };
    let seen = family("orphan", &[]);
    assert_about("the grandchild", seen.share_of("in_child"), &seen);
}

#[test]
fn a_child_in_a_session_of_its_own_is_followed() {
    let Some(_machine) = Machine::take() else { return };
    let seen = family("session", &[]);
    assert_about("the child", seen.share_of("in_child"), &seen);
}

#[test]
fn children_can_be_left_out() {
    let Some(_machine) = Machine::take() else { return };
    let seen = family("fork", &["--no-children"]);
    assert!(seen.share_of("in_parent") > 90.0, "{}", seen.shown());
    assert_eq!(seen.total_of("in_child"), 0, "{}", seen.shown());
    assert_eq!(seen.pids().len(), 1);
}

#[test]
fn each_process_can_have_files_of_its_own() {
    let Some(_machine) = Machine::take() else { return };
    let family = Workload::c("family");
    let arguments = ["-F", "499", "--per-process", "--", family.path(), "fork", "300"];
    let outcome = Flame::record(&arguments).run().with_code(0);
    let files = outcome.profiles();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let seen = Seen::new(&flame_tests::flame::read_profile(&file));
        let pids = seen.pids();
        let [pid] = Vec::from_iter(pids)[..] else { panic!("one process: {}", seen.shown()) };
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name.starts_with(&format!("cpu-profile-family-{pid}-2")), "{name}");
        let [parent, child] = ["in_parent", "in_child"].map(|function| seen.share_of(function));
        assert!(parent.max(child) > 90.0 && parent.min(child) == 0.0, "{}", seen.shown());
    }
}

#[test]
fn a_process_that_becomes_another_program_has_the_names_of_each() {
    let Some(_machine) = Machine::take() else { return };
    let (becomes, shares) = (Workload::c("becomes"), Workload::c("shares"));
    let arguments = ["-F", "499", "--", becomes.path(), "500", shares.path(), "500"];
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    assert_about("before", seen.share_ending(&["main", "before", "burn", "spin"]), &seen);
    assert_about("after", seen.share_through(&["main", "rounds"]), &seen);
    assert_eq!(seen.pids().len(), 1);
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let Some(_machine) = Machine::take() else { return };
    let reuse = Workload::c("reuse");
    let outcome = Flame::record(&["-F", "499", "--", reuse.path(), "300"]).run().with_code(0);
    let printed = outcome.printed();
    let pid = printed.trim().strip_prefix("pid ").and_then(|pid| pid.parse().ok()).expect("a pid");
    let seen = outcome.seen().of_pid(pid);
    for (function, comm) in [("first", "first owner"), ("second", "second owner")] {
        let own = seen.only(|stack| stack.has(function));
        assert_about(function, percent(own.total(), seen.total()), &seen);
        assert_eq!(own.comms().into_iter().collect::<Vec<_>>(), [comm], "{}", seen.shown());
    }
}

#[test]
fn a_thousand_short_processes_keep_their_names() {
    const PROCESSES: usize = 1000;
    let Some(_machine) = Machine::take() else { return };
    let crowd = Workload::c("crowd");
    let folder = Folder::new();
    // Copies, not links: each is an executable of its own.
    for number in 0..PROCESSES {
        fs::copy(crowd.program(), folder.join(&format!("p{number}"))).expect("copy the program");
    }
    let flame = Flame::attach(&["--all", "-F", "999"]).start_sampling();
    let arguments = [&PROCESSES.to_string(), "3", folder.path().to_str().expect("a path of text")];
    let output = crowd.command(&arguments).output().expect("run the crowd");
    assert!(output.status.success());
    let outcome = flame.interrupt().with_code(0);
    let seen = outcome.seen();
    let text = String::from_utf8_lossy(&output.stdout);
    let names: BTreeMap<u32, &str> = text
        .lines()
        .map(|line| line.split_once(' ').expect("a pid and a name"))
        .map(|(pid, name)| (pid.parse().expect("a pid"), name))
        .collect();
    assert_eq!(names.len(), PROCESSES);
    let own = seen.only(|stack| names.contains_key(&stack.pid));
    let sampled = own.pids().len();
    let misnamed: Vec<_> = own.stacks.iter().filter(|s| s.comm != names[&s.pid]).collect();
    // Samples that fell in the programs themselves; what they ask of the kernel varies.
    let folder = folder.path().to_str().expect("a path of text");
    let leaf = |stack: &Stack| stack.frames.last().is_some_and(|f| f.mapping.starts_with(folder));
    let work = own.only(leaf);
    let named = percent(work.total_of("short_work"), work.total());
    measured(&format!(
        "{sampled} of {PROCESSES} sampled, {} stacks misnamed, {named:.1} % of the time in their \
         programs is named; {}",
        misnamed.len(),
        outcome.json()["profiles"][0]["notes"],
    ));
    assert!(sampled > PROCESSES * 9 / 10, "only {sampled} were sampled");
    assert!(misnamed.is_empty(), "{} as {:?}", misnamed[0].comm, names[&misnamed[0].pid]);
    assert!(named > 95.0, "{}", work.shown());
}

#[test]
fn a_short_command_is_seen_from_its_first_instructions() {
    let Some(_machine) = Machine::take() else { return };
    // What the loader does takes a few milliseconds at most, so several runs add up.
    let shares = Workload::c("shares");
    let mut loader = 0;
    for _ in 0..5 {
        let arguments = ["-F", "9999", "--", "/bin/true"];
        let seen = Flame::record(&arguments).run().with_code(0).seen();
        assert!(seen.count() > 0, "a command of a millisecond has samples");
        let in_loader = |frame: &flame_tests::seen::Frame| frame.mapping.contains("/ld-linux");
        loader += seen.only(|stack| stack.frames.iter().any(in_loader)).count();
        let exec = seen.kernel_frames().filter(|frame| frame.name.contains("execve")).count();
        measured(&format!("{} samples, {exec} frames in exec", seen.count()));
    }
    assert!(loader > 0, "the dynamic loader runs first and was not seen");
    let seen = Flame::record(&["-F", "999", "--", shares.path(), "50"]).run().with_code(0).seen();
    assert!(seen.share_of("rounds") > 80.0, "{}", seen.shown());
}

#[test]
fn a_program_that_another_thread_executes_takes_over_the_process() {
    let Some(_machine) = Machine::take() else { return };
    let (executes, shares) = (Workload::c("execthread"), Workload::c("shares"));
    let arguments = ["-F", "499", "--", executes.path(), "500", shares.path(), "500"];
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    assert_about("before", seen.share_of("in_thread"), &seen);
    assert_about("after", seen.share_through(&["main", "rounds"]), &seen);
    let [pid] = Vec::from_iter(seen.pids())[..] else { panic!("one process: {}", seen.shown()) };
    let after = seen.only(|stack| stack.has("rounds"));
    assert!(after.stacks.iter().all(|stack| stack.tid == pid && stack.thread == "shares"));
    let before = seen.only(|stack| stack.has("in_thread"));
    assert!(before.stacks.iter().all(|stack| stack.tid != pid && stack.thread == "executes"));
}
