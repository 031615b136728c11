//! Ctrl-C on a real terminal, and the signals that end a session.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use flame_tests::files::cpu_profiles;
use flame_tests::flame::read_profile;
use flame_tests::machine::Machine;
use flame_tests::process::{children, signal, wait_for, with_argument};
use flame_tests::terminal::{self, Terminal};
use flame_tests::{Flame, Folder, Guarded, Seen, Workload};

/// A `flame record` of a command that survives some signals, on a terminal.
struct Stubborn {
    folder: Folder,
    terminal: Terminal,
}

impl Stubborn {
    fn start(survives: &[&str]) -> Self {
        let folder = Folder::new();
        let mut flame = Command::new(Flame::program());
        flame.args(["record", "-F", "499", "-o"]).arg(folder.path()).arg("--");
        flame.arg(Workload::c("stubborn").program()).arg(folder.join("log")).args(survives);
        let terminal = Terminal::start(&mut flame);
        let stubborn = Self { folder, terminal };
        stubborn.wait_for_line("start");
        // Long enough for samples.
        std::thread::sleep(std::time::Duration::from_millis(300));
        stubborn
    }

    /// Waits until the command has written a line.
    fn wait_for_line(&self, line: &str) {
        let log = self.folder.join("log");
        wait_for(line, || fs::read_to_string(&log).unwrap_or_default().contains(line));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).expect("read the log")
    }

    /// The command and flame, as far as they run.
    fn running(&self) -> Vec<u32> {
        with_argument(self.folder.path().to_str().expect("a text"))
    }

    #[track_caller]
    fn assert_ends_with_profile(mut self, code: i32) {
        let status = self.terminal.wait();
        assert_eq!(status, code);
        let files = cpu_profiles(self.folder.path());
        assert_eq!(files.len(), 1, "{files:?}");
        assert_burning(&files[0]);
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        for pid in self.running() {
            signal(pid, libc::SIGKILL);
        }
    }
}

#[track_caller]
fn assert_burning(file: &Path) {
    let seen = Seen::new(&read_profile(file));
    assert!(seen.count() > 50 && seen.share_of("burn") > 80.0, "{}", seen.shown());
}

#[test]
fn ctrl_c_goes_to_the_command_and_the_profile_is_written() {
    let Some(_machine) = Machine::take() else { return };
    let mut stubborn = Stubborn::start(&[]);
    stubborn.terminal.ctrl_c();
    stubborn.assert_ends_with_profile(128 + libc::SIGINT);
}

#[test]
fn after_ctrl_c_flame_waits_for_a_command_that_goes_on() {
    let Some(_machine) = Machine::take() else { return };
    let mut stubborn = Stubborn::start(&["INT"]);
    stubborn.terminal.ctrl_c();
    stubborn.wait_for_line("INT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(stubborn.terminal.process.is_alive(), "flame waits");
    assert_eq!(stubborn.log(), "start\nINT\n", "once, from the terminal alone");
    assert!(cpu_profiles(stubborn.folder.path()).is_empty(), "the session goes on");
}

#[test]
fn a_second_ctrl_c_asks_the_command_to_end() {
    let Some(_machine) = Machine::take() else { return };
    let mut stubborn = Stubborn::start(&["INT"]);
    stubborn.terminal.ctrl_c();
    stubborn.wait_for_line("INT");
    stubborn.terminal.wait_to_show("waiting for the command");
    stubborn.terminal.ctrl_c();
    stubborn.assert_ends_with_profile(128 + libc::SIGTERM);
}

#[test]
fn a_third_ctrl_c_leaves_the_command_and_writes_the_profile() {
    let Some(_machine) = Machine::take() else { return };
    // flame leads the session here, so that its end hangs up; under a shell it does not.
    let mut stubborn = Stubborn::start(&["INT", "TERM", "HUP"]);
    stubborn.terminal.ctrl_c();
    stubborn.wait_for_line("INT");
    stubborn.terminal.wait_to_show("waiting for the command");
    stubborn.terminal.ctrl_c();
    stubborn.wait_for_line("TERM");
    stubborn.terminal.wait_to_show("asked the command");
    stubborn.terminal.ctrl_c();
    wait_for("a profile", || !cpu_profiles(stubborn.folder.path()).is_empty());
    assert_eq!(stubborn.terminal.wait(), 128 + libc::SIGINT);
    assert_eq!(stubborn.running().len(), 1, "the command is left running");
    assert_burning(&cpu_profiles(stubborn.folder.path())[0]);
}

#[test]
fn sigterm_to_flame_is_passed_on_and_the_profile_is_written() {
    let Some(_machine) = Machine::take() else { return };
    let stubborn = Stubborn::start(&["INT"]);
    stubborn.terminal.signal(libc::SIGTERM);
    stubborn.assert_ends_with_profile(128 + libc::SIGTERM);
}

#[test]
fn when_the_terminal_has_gone_the_profile_is_written() {
    let Some(_machine) = Machine::take() else { return };
    let stubborn = Stubborn::start(&[]);
    stubborn.terminal.signal(libc::SIGHUP);
    stubborn.assert_ends_with_profile(128 + libc::SIGHUP);
}

#[test]
fn signals_end_attach_with_a_profile() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let mut target = Guarded::spawn(shares.command(&["600000"]).stdout(Stdio::null()));
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let flame = Flame::attach(&["-F", "499", &target.pid().to_string()]).start_sampling();
        std::thread::sleep(std::time::Duration::from_millis(300));
        flame.signal(number);
        let seen = flame.finish().with_code(0).seen();
        assert!(seen.share_of("rounds") > 90.0, "{}", seen.shown());
    }
    assert!(target.is_alive());
}

#[test]
fn ctrl_c_on_a_terminal_ends_attach_with_a_profile() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let target = Guarded::spawn(shares.command(&["600000"]).stdout(Stdio::null()));
    let folder = Folder::new();
    let mut flame = Command::new(Flame::program());
    flame.args(["attach", "-F", "499", "-o"]).arg(folder.path()).arg(target.pid().to_string());
    let mut terminal = Terminal::start(&mut flame);
    terminal.wait_to_show("sampling");
    std::thread::sleep(std::time::Duration::from_millis(500));
    terminal.ctrl_c();
    assert_eq!(terminal.wait(), 0);
    assert_burning(&cpu_profiles(folder.path())[0]);
}

#[test]
fn ctrl_c_before_the_command_has_started_ends_both() {
    let Some(_machine) = Machine::take() else { return };
    for _ in 0..10 {
        let folder = Folder::new();
        let mut flame = Command::new(Flame::program());
        flame.args(["record", "-o"]).arg(folder.path()).args(["--", "sleep", "60"]);
        let mut terminal = Terminal::start(&mut flame);
        let pid = terminal.process.pid();
        wait_for("the command that waits", || !children(pid).is_empty());
        terminal.ctrl_c();
        assert_eq!(terminal.wait(), 128 + libc::SIGINT);
        // The command finds its gate closed, and ends a moment later.
        let path = folder.path().to_str().expect("a text").to_owned();
        wait_for("the end of the command", || with_argument(&path).is_empty());
    }
}

#[test]
fn a_terminal_that_goes_away_unheard_costs_no_profile() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let (person, screen) = terminal::pair();
    // It is not the terminal of flame's session, as under `su -c`: nobody is told that it is gone.
    let mut flame = Command::new(Flame::program());
    flame.args(["record", "-t", "cpu", "-o"]).arg(folder.path()).args(["--", "sleep", "2"]);
    let mut flame = Guarded::spawn(flame.stdin(Stdio::null()).stderr(screen));
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(person);
    assert_eq!(flame.wait().code(), Some(0));
    assert_eq!(cpu_profiles(folder.path()).len(), 1);
}

#[test]
fn the_command_ignores_the_signals_that_flames_caller_ignores() {
    let Some(_machine) = Machine::take() else { return };
    // As under nohup, and in the background of a script.
    let folder = Folder::new();
    let script = format!(
        "trap '' HUP INT; {} record -q -o {} -- grep SigIgn /proc/self/status",
        Flame::program().display(),
        folder.path().display(),
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("run sh");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mask = printed.trim().strip_prefix("SigIgn:\t").expect("a mask of signals");
    let mask = u64::from_str_radix(mask, 16).expect("hexadecimal");
    for number in [libc::SIGHUP, libc::SIGINT] {
        assert!(mask & 1 << (number - 1) != 0, "signal {number} in {mask:x}");
    }
}
