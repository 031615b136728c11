//! An ordinary user: what works, through sudo or by the file's capabilities, and what is refused.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flame_tests::files::{cpu_profiles, names};
use flame_tests::flame::read_profile;
use flame_tests::machine::{Machine, skip};
use flame_tests::process::{cpu_ns, signal, wait_for, with_argument};
use flame_tests::terminal::Terminal;
use flame_tests::user::User;
use flame_tests::{Guarded, Seen, Workload};

fn user() -> Option<User> {
    User::new().map_err(|why| skip(&why)).ok()
}

fn sudoer() -> Option<User> {
    User::new().and_then(User::with_sudo).map_err(|why| skip(&why)).ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("run a command")
}

#[track_caller]
fn seen_in(folder: &Path) -> Seen {
    let files = cpu_profiles(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    Seen::new(&read_profile(&files[0]))
}

/// A copy of flame that has the rights of which `flame doctor` speaks.
fn with_capabilities(user: &User) -> Option<PathBuf> {
    let flame = user.flame();
    let capabilities = "cap_bpf,cap_perfmon,cap_checkpoint_restore=ep";
    let set = Command::new("setcap").arg(capabilities).arg(&flame).output();
    if set.is_ok_and(|output| output.status.success()) {
        return Some(flame);
    }
    skip("cannot set a file's capabilities");
    None
}

#[test]
fn through_sudo_the_command_runs_as_the_user_and_the_files_are_the_users() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = sudoer() else { return };
    let folder = user.folder("profiles");
    let shares = user.program("shares", Workload::c("shares").program());
    let script = format!("id -u; echo $FLAME_TEST_WORD; {} 500; exit 7", shares.display());
    let output = run(user
        .command(user.flame())
        .args(["record", "--json", "-F", "499", "-o"])
        .arg(&folder)
        .args(["--", "sh", "-c", &script])
        .env("FLAME_TEST_WORD", "kept"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    let printed = text(&output.stdout);
    assert!(printed.starts_with(&format!("{}\nkept\n", user.uid)), "{printed}");
    let seen = seen_in(&folder);
    assert!(seen.share_of("rounds") > 80.0, "{}", seen.shown());
    for name in names(&folder) {
        assert_eq!(fs::metadata(folder.join(&name)).expect("a file").uid(), user.uid, "{name}");
    }
    let summary = printed.lines().last().expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(summary).expect("a summary");
    assert_eq!(summary["exit_status"], 7);
    assert_eq!(summary["profiles"][0]["samples"], seen.count());
}

#[test]
fn through_sudo_a_session_that_began_late_is_not_the_commands_whole_run() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = sudoer() else { return };
    let shares = user.program("shares", Workload::c("shares").program());
    for (delay, told) in [(None, "whole run"), (Some("--delay=300ms"), "cut by time")] {
        let folder = user.folder(told);
        let output = run(user
            .command(user.flame())
            .args(["record", "-t", "cpu"])
            .args(delay)
            .arg("-o")
            .args([&folder, Path::new("--"), &shares, Path::new("900")]));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let profile = read_profile(&cpu_profiles(&folder)[0]);
        let session: Vec<&str> =
            profile.comments().iter().filter_map(|c| c.strip_prefix("session: ")).collect();
        assert!(session.len() == 1 && session[0].contains(told), "{session:?}");
    }
}

#[test]
fn through_sudo_commands_that_cannot_run_have_their_status() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = sudoer() else { return };
    let folder = user.folder("profiles");
    let flame = user.flame();
    for (command, status) in [("/no/such/command", 127), ("/etc/passwd", 126)] {
        let output =
            run(user.command(&flame).args(["record", "-o"]).arg(&folder).args(["--", command]));
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
    }
}

#[test]
fn through_sudo_ctrl_c_goes_to_the_command_and_the_profile_is_written() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = sudoer() else { return };
    let folder = user.folder("profiles");
    let stubborn = user.program("stubborn", Workload::c("stubborn").program());
    let log = user.home().join("log");
    let mut flame = user.command(user.flame());
    flame.args(["record", "-F", "499", "-o"]).arg(&folder).arg("--").arg(&stubborn);
    flame.arg(&log).arg("INT");
    let mut terminal = Terminal::start(&mut flame);
    let wait_for_line = |line: &str| {
        wait_for(line, || fs::read_to_string(&log).unwrap_or_default().contains(line));
    };
    wait_for_line("start");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.ctrl_c();
    wait_for_line("INT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(terminal.process.is_alive(), "flame waits");
    let told = fs::read_to_string(&log).expect("the log");
    assert_eq!(told, "start\nINT\n", "once, from the terminal alone");
    terminal.wait_to_show("waiting for the command");
    terminal.ctrl_c();
    let status = terminal.wait();
    let left = with_argument(log.to_str().expect("a text"));
    for &pid in &left {
        signal(pid, libc::SIGKILL);
    }
    assert_eq!(status, 128 + libc::SIGTERM);
    assert!(left.is_empty(), "nothing is left behind");
    let seen = seen_in(&folder);
    assert!(seen.share_of("burn") > 80.0, "{}", seen.shown());
}

#[test]
fn through_sudo_ctrl_c_before_the_command_has_started_ends_all() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = sudoer() else { return };
    let folder = user.folder("profiles");
    let word = folder.to_str().expect("a text");
    let flame = user.flame();
    for processes in [2, 3] {
        let mut command = user.command(&flame);
        command.args(["record", "-o", word, "--", "sleep", "60"]);
        let mut terminal = Terminal::start(&mut command);
        // flame and the command that waits; then sudo as well.
        wait_for("the command that waits", || with_argument(word).len() >= processes);
        terminal.ctrl_c();
        assert_eq!(terminal.wait(), 128 + libc::SIGINT);
        wait_for("the end of all", || with_argument(word).is_empty());
    }
}

#[test]
fn a_command_that_waits_for_sudo_ends_when_flame_is_killed() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = sudoer() else { return };
    let folder = user.folder("profiles");
    let word = folder.to_str().expect("a text").to_owned();
    let mut flame = Guarded::spawn(
        user.command(user.flame())
            .args(["record", "-q", "-o", &word, "--", "sh", "-c", "sleep 77"])
            .stdout(Stdio::null()),
    );
    wait_for("the privileged part", || with_argument(&word).len() > 2);
    flame.kill();
    wait_for("the end of all", || with_argument(&word).is_empty());
}

#[test]
fn without_rights_and_sudo_the_capability_is_told() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let folder = user.folder("profiles");
    let ran = user.home().join("ran");
    let flame = user.flame();
    let mut commands = [user.command(&flame), user.command(&flame)];
    commands[0].args(["record", "-o"]).arg(&folder).args(["--", "/usr/bin/touch"]).arg(&ran);
    commands[0].env("PATH", "/nowhere");
    commands[1].args(["attach", "--all", "-d", "1", "-o"]).arg(&folder);
    for command in &mut commands {
        let output = run(command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains("CAP_BPF") && said.contains("CAP_PERFMON"), "{said}");
        assert!(said.contains("setcap"), "the command that grants it: {said}");
    }
    assert!(!ran.exists(), "the command did not start");
}

#[test]
fn where_sudo_refuses_the_command_does_not_start() {
    let Some(_machine) = Machine::take() else { return };
    // A user whom no rule allows anything.
    let Some(user) = user() else { return };
    let folder = user.folder("profiles");
    let ran = user.home().join("ran");
    let mut flame = user.command(user.flame());
    flame.args(["record", "-o"]).arg(&folder).args(["--", "touch"]).arg(&ran);
    let output = run(&mut flame);
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(!ran.exists(), "the command did not start");
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn with_file_capabilities_a_users_own_command_is_profiled_without_kernel_frames() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let Some(flame) = with_capabilities(&user) else { return };
    let folder = user.folder("profiles");
    let shares = user.program("shares", Workload::c("shares").program());
    let script = format!(
        "dd if=/dev/zero of=/dev/null bs=1M count=3000 status=none; {} 500",
        shares.display()
    );
    let mut command = user.command(&flame);
    command.args(["record", "-F", "499", "-o"]).arg(&folder).args(["--", "sh", "-c", &script]);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let seen = seen_in(&folder);
    assert!(seen.total_of("rounds") > 300_000_000, "{}", seen.shown());
    assert!(seen.comms().contains("dd"), "{}", seen.shown());
    assert_eq!(seen.kernel_frames().count(), 0, "{}", seen.shown());
    assert_eq!(fs::metadata(&cpu_profiles(&folder)[0]).expect("a file").uid(), user.uid);
}

#[test]
fn with_file_capabilities_processes_of_others_are_refused() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let Some(flame) = with_capabilities(&user) else { return };
    let folder = user.folder("profiles");
    let shares = user.program("shares", Workload::c("shares").program());
    let burner = |mut command: Command| {
        let target = Guarded::spawn(command.arg("600000").stdout(Stdio::null()));
        wait_for("the workload", || cpu_ns(target.pid()) > 5_000_000);
        target
    };
    let (own, others) = (burner(user.command(&shares)), burner(Command::new(&shares)));
    let attach = |arguments: &[&str]| {
        let mut command = user.command(&flame);
        run(command.args(["attach", "-F", "499", "-d", "0.5", "-o"]).arg(&folder).args(arguments))
    };
    let output = attach(&[&others.pid().to_string()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&others.pid().to_string()));
    let output = attach(&["--all"]);
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert_eq!(names(&folder), Vec::<String>::new());

    // By name both are meant; only the user's own is seen.
    let output = attach(&["--name", "shares"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let seen = seen_in(&folder);
    assert_eq!(Vec::from_iter(seen.pids()), [own.pid()], "{}", seen.shown());
    assert!(seen.share_of("rounds") > 90.0, "{}", seen.shown());
}

#[test]
fn with_file_capabilities_a_program_of_roots_is_not_seen() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let Some(flame) = with_capabilities(&user) else { return };
    let folder = user.folder("profiles");
    let shares = user.program("shares", Workload::c("shares").program());
    // Root's own, with the set-user-ID bit.
    flame_tests::files::set_mode(&shares, 0o4755);
    let mut command = user.command(&flame);
    command.args(["record", "-F", "499", "-o"]).arg(&folder).arg("--").arg(&shares).arg("400");
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let seen = seen_in(&folder);
    assert_eq!(seen.total_of("rounds"), 0, "{}", seen.shown());
}
