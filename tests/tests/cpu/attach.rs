//! `flame attach`: which running processes are profiled, and until when.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flame_tests::cgroup::Cgroup;
use flame_tests::files::cpu_profiles;
use flame_tests::flame::read_profile;
use flame_tests::machine::{Machine, measured, skip};
use flame_tests::process::{cpu_ns, wait_for};
use flame_tests::{Flame, Folder, Guarded, Seen, Workload};

const HALF: Duration = Duration::from_millis(500);

/// A process that burns CPU time until the test ends.
fn burner() -> Guarded {
    let target = Guarded::spawn(Workload::c("shares").command(&["600000"]).stdout(Stdio::null()));
    wait_for("the workload", || cpu_ns(target.pid()) > 5_000_000);
    target
}

#[track_caller]
fn assert_burning(seen: &Seen) {
    assert!(seen.count() > 50, "{}", seen.shown());
    assert!(seen.share_through(&["main", "rounds"]) > 95.0, "{}", seen.shown());
}

#[test]
fn a_running_process_is_profiled_for_as_long_as_asked() {
    let Some(_machine) = Machine::take() else { return };
    let mut target = burner();
    let before = cpu_ns(target.pid());
    let arguments = ["-F", "499", "--duration", "1s", "--pid", &target.pid().to_string()];
    let outcome = Flame::attach(&arguments).run().with_code(0);
    let after = cpu_ns(target.pid());
    assert!(target.is_alive());
    let profile = outcome.profile();
    let seconds = profile.duration_ns() as f64 / 1e9;
    assert!((1.0..1.5).contains(&seconds), "{seconds} s");
    let seen = Seen::new(&profile);
    assert_burning(&seen);
    assert!(seen.total() as u64 <= (after - before) + 50_000_000, "no more than it ran");
    assert_eq!(Vec::from_iter(seen.pids()), [target.pid()]);
}

#[test]
fn several_processes_are_profiled_and_no_others() {
    let Some(_machine) = Machine::take() else { return };
    let targets = [burner(), burner()];
    let other = burner();
    let [one, two] = [0, 1].map(|i: usize| targets[i].pid().to_string());
    for pids in [vec!["-p", &one, "-p", &two], vec!["--pid"], vec![&one, &two]] {
        let list = format!("{one},{two}");
        let mut arguments = vec!["-F", "499", "-d", "0.6"];
        arguments.extend(pids.iter().copied());
        if pids == ["--pid"] {
            arguments.push(&list);
        }
        let seen = Flame::attach(&arguments).run().with_code(0).seen();
        assert_burning(&seen);
        let mut expected = targets.iter().map(Guarded::pid).collect::<Vec<_>>();
        expected.sort_unstable();
        assert_eq!(Vec::from_iter(seen.pids()), expected, "not {}", other.pid());
    }
}

#[test]
fn children_that_run_already_and_those_to_come_are_profiled() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let script = format!("{0} 600000 & sleep 1; {0} 300; wait", shares.path());
    let shell = Guarded::spawn(Command::new("sh").args(["-c", &script]).stdout(Stdio::null()));
    wait_for("the first child", || !flame_tests::process::children(shell.pid()).is_empty());
    let flame = Flame::attach(&["-F", "499", &shell.pid().to_string()]).start_sampling();
    sleep(Duration::from_millis(1800));
    let seen = flame.interrupt().with_code(0).seen();
    for pid in flame_tests::process::with_argument(shares.path()) {
        flame_tests::process::signal(pid, libc::SIGKILL);
    }
    assert_burning(&seen);
    assert!(seen.only(|stack| stack.has("rounds")).pids().len() == 2, "{}", seen.shown());
}

#[test]
fn processes_of_a_name_are_profiled_those_that_start_later_as_well() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = folder.join("flame-named-one");
    fs::copy(Workload::c("shares").program(), &program).expect("copy a workload");
    let start = || Guarded::spawn(Command::new(&program).arg("600000").stdout(Stdio::null()));
    let (before, other) = (start(), burner());
    let flame = Flame::attach(&["-F", "499", "--name", "flame-named-one"]).start_sampling();
    sleep(HALF);
    let later = start();
    sleep(HALF);
    let seen = flame.interrupt().with_code(0).seen();
    assert_burning(&seen);
    assert!(seen.pids().contains(&before.pid()), "{}", seen.shown());
    assert!(seen.pids().contains(&later.pid()), "{}", seen.shown());
    assert!(!seen.pids().contains(&other.pid()), "{}", seen.shown());
    assert_eq!(Vec::from_iter(seen.comms()), ["flame-named-one"]);
}

#[test]
fn children_that_a_named_process_had_before_are_profiled() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = folder.join("flame-named-sh");
    fs::copy("/bin/sh", &program).expect("copy the shell");
    let shares = Workload::c("shares");
    let script = format!("{} 600000 > {}; true", shares.path(), folder.join("out").display());
    let parent = Guarded::spawn(Command::new(&program).args(["-c", &script]));
    wait_for("the child", || !flame_tests::process::children(parent.pid()).is_empty());
    let child = flame_tests::process::children(parent.pid())[0];
    let flame = Flame::attach(&["-F", "499", "--name", "flame-named-sh"]).start_sampling();
    sleep(HALF);
    let seen = flame.interrupt().with_code(0).seen();
    flame_tests::process::signal(child, libc::SIGKILL);
    assert_burning(&seen);
    assert!(seen.pids().contains(&child), "{}", seen.shown());
}

#[test]
fn processes_of_a_cgroup_are_profiled_and_of_those_below_it() {
    let Some(_machine) = Machine::take() else { return };
    let Some(group) = Cgroup::new() else { return };
    let below = group.below("below");
    let (inside, deep, outside) = (burner(), burner(), burner());
    group.put(inside.pid());
    below.put(deep.pid());
    // By its directory, and by its path below the mount.
    for path in [group.directory(), &group.path()] {
        let arguments = ["-F", "499", "-d", "0.6", "--cgroup", path];
        let seen = Flame::attach(&arguments).run().with_code(0).seen();
        assert_burning(&seen);
        let mut expected = [inside.pid(), deep.pid()];
        expected.sort_unstable();
        assert_eq!(Vec::from_iter(seen.pids()), expected, "not {}", outside.pid());
    }
    drop((inside, deep, below, group));
}

#[test]
fn in_a_cgroup_namespace_cgroups_are_refused() {
    let Some(_machine) = Machine::take() else { return };
    let Some(group) = Cgroup::new() else { return };
    let output = Command::new("unshare")
        .arg("-C")
        .arg(Flame::program())
        .args(["attach", "-d", "0.1", "--cgroup", group.directory()])
        .output()
        .expect("run unshare");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("cgroup namespace"), "{said}");
}

#[test]
fn a_process_whose_first_thread_has_ended_goes_on() {
    let Some(_machine) = Machine::take() else { return };
    let mut process = Guarded::spawn(&mut Workload::c("leader_gone").command(&["20000"]));
    let pid = process.pid().to_string();
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    wait_for("the first thread's end", || state().contains(") Z "));
    let outcome = Flame::attach(&["-F", "499", "-d", "0.6", &pid]).run().with_code(0);
    assert!(process.is_alive());
    let seen = outcome.seen();
    let own = seen.only(|stack| stack.has("goes_on"));
    assert!(own.count() > 200, "{} samples:\n{}", own.count(), seen.shown());
}

#[test]
fn the_whole_machine_is_profiled() {
    let Some(_machine) = Machine::take() else { return };
    let (one, two) = (burner(), burner());
    let outcome = Flame::attach(&["-F", "499", "-d", "1", "--all"]).run().with_code(0);
    let seen = outcome.seen();
    for target in [&one, &two] {
        let own = seen.of_pid(target.pid());
        assert_burning(&own);
    }
    let cpus = std::thread::available_parallelism().expect("a number of CPUs").get() as f64;
    let all = seen.total() as f64 / outcome.profile().duration_ns() as f64;
    measured(&format!("{all:.2} of {cpus} CPUs were busy"));
    assert!(all <= cpus * 1.02, "more CPU time than there is: {all:.2}");
}

#[test]
fn a_process_that_is_not_there_is_told_with_its_pid() {
    let Some(_machine) = Machine::take() else { return };
    let pid = gone();
    let outcome = Flame::attach(&["-d", "5", &pid.to_string()]).run().with_code(1);
    assert!(outcome.stderr.contains(&pid.to_string()), "{}", outcome.stderr);
    assert!(outcome.profiles().is_empty());
}

#[test]
fn of_two_processes_the_one_that_is_there_is_profiled() {
    let Some(_machine) = Machine::take() else { return };
    let (target, pid) = (burner(), gone());
    let arguments = ["-F", "499", "-d", "0.5", &pid.to_string(), &target.pid().to_string()];
    let outcome = Flame::attach(&arguments).run().with_code(0);
    assert!(outcome.stderr.contains(&pid.to_string()), "{}", outcome.stderr);
    assert_burning(&outcome.seen());
}

#[test]
fn a_kernel_thread_is_refused_with_its_pid() {
    let Some(_machine) = Machine::take() else { return };
    // The kernel's own first process after init.
    if flame_tests::process::comm(2) != "kthreadd" {
        return skip("pid 2 is no kernel thread here: this is a pid namespace");
    }
    let outcome = Flame::attach(&["-d", "5", "2"]).run().with_code(1);
    assert!(outcome.stderr.contains("process 2 is a kernel thread"), "{}", outcome.stderr);
}

#[test]
fn attach_ends_when_its_target_ends() {
    let Some(_machine) = Machine::take() else { return };
    let mut target = burner();
    let flame = Flame::attach(&["-F", "499", &target.pid().to_string()]).start_sampling();
    sleep(HALF);
    target.kill();
    let start = Instant::now();
    assert_burning(&flame.finish().with_code(0).seen());
    assert!(start.elapsed() < Duration::from_secs(5), "at once, not {:?}", start.elapsed());
}

#[test]
fn a_profile_without_samples_is_written_and_explained() {
    let Some(_machine) = Machine::take() else { return };
    let target = Guarded::spawn(Command::new("sleep").arg("600"));
    let arguments = ["-d", "0.5", &target.pid().to_string()];
    let outcome = Flame::attach(&arguments).run().with_code(0);
    assert_eq!(outcome.seen().count(), 0);
    assert!(outcome.stderr.contains("no samples"), "{}", outcome.stderr);
}

#[test]
fn sampling_can_start_later() {
    let Some(_machine) = Machine::take() else { return };
    let becomes = Workload::c("becomes");
    let shares = Workload::c("shares");
    let arguments =
        ["-F", "499", "--delay", "1s", "--", becomes.path(), "600", shares.path(), "1200"];
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    assert_eq!(seen.total_of("before"), 0, "{}", seen.shown());
    assert_burning(&seen);
}

#[test]
fn rotation_writes_profiles_that_add_up() {
    let Some(_machine) = Machine::take() else { return };
    let target = burner();
    let arguments = ["-F", "499", "--rotate", "600ms", &target.pid().to_string()];
    let flame = Flame::attach(&arguments).start_sampling();
    let before = cpu_ns(target.pid());
    wait_for("two parts", || cpu_profiles(flame.folder()).len() >= 2);
    let spent = (cpu_ns(target.pid()) - before) as f64;
    let outcome = flame.interrupt().with_code(0);
    let until_the_end = (cpu_ns(target.pid()) - before) as f64;
    let files = outcome.profiles();
    assert!(files.len() >= 3, "{files:?}");
    let parts: Vec<_> = files.iter().map(|file| read_profile(file)).collect();
    for pair in parts.windows(2) {
        let gap = pair[1].time_ns() - pair[0].time_ns() - pair[0].duration_ns();
        assert!(gap.abs() < 100_000_000, "{gap} ns between two parts");
    }
    let parts: Vec<Seen> = parts.iter().map(Seen::new).collect();
    assert_burning(&parts[0]);
    let sum = parts.iter().map(Seen::total).sum::<i64>() as f64;
    measured(&format!("{:.3} s in the parts, {:.3} s spent", sum / 1e9, spent / 1e9));
    // flame samples on while it writes a part.
    assert!(sum > spent * 0.97 && sum < until_the_end * 1.03, "{sum} of {until_the_end}");
}

#[test]
fn pids_are_those_of_flames_own_pid_namespace() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let folder = Folder::new();
    // The target's pid in the namespace is small, and another process's outside.
    let script = format!(
        "{0} 600000 > /dev/null & pid=$!; sleep 0.2; \
         {1} attach -F 499 -d 0.8 -q -o {2} $pid; echo $? $pid; kill -9 $pid",
        shares.path(),
        Flame::program().display(),
        folder.path().display(),
    );
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script])
        .output()
        .expect("run unshare");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let (status, pid) = printed.trim().split_once(' ').unwrap_or_else(|| panic!("{said}"));
    assert_eq!(status, "0", "{said}");
    let pid: u32 = pid.parse().expect("a pid");
    assert!(pid < 100, "a pid of the namespace: {pid}");
    let seen = one_profile(folder.path());
    assert_burning(&seen);
    assert_eq!(Vec::from_iter(seen.pids()), [pid], "{}", seen.shown());
    assert_eq!(Vec::from_iter(seen.comms()), [shares.comm()]);
}

#[test]
fn commands_and_their_children_are_recorded_in_a_pid_namespace() {
    let Some(_machine) = Machine::take() else { return };
    let family = Workload::c("family");
    let folder = Folder::new();
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(Flame::program())
        .args(["record", "-F", "499", "-o"])
        .arg(folder.path())
        .args(["--", family.path(), "exec", "300"])
        .output()
        .expect("run unshare");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let seen = one_profile(folder.path());
    for function in ["in_parent", "in_program"] {
        assert!((seen.share_of(function) - 50.0).abs() < 7.0, "{function}:\n{}", seen.shown());
    }
    assert!(seen.pids().iter().all(|&pid| pid < 100), "{:?}", seen.pids());
}

fn one_profile(folder: &Path) -> Seen {
    let files = cpu_profiles(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    Seen::new(&read_profile(&files[0]))
}

/// A pid that no process has.
fn gone() -> u32 {
    let mut child = Guarded::spawn(&mut Command::new("true"));
    let pid = child.pid();
    child.wait();
    pid
}
