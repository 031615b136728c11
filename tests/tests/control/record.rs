//! `flame record` around its command: exit status, input and output.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use flame_tests::files::{self, set_mode};
use flame_tests::machine::Machine;
use flame_tests::{Flame, Folder, Workload};

fn status_of(command: &[&str]) -> i32 {
    Flame::record(&[&["--"], command].concat()).run().code()
}

#[test]
fn the_exit_status_is_the_commands() {
    let Some(_machine) = Machine::take() else { return };
    assert_eq!(status_of(&["true"]), 0);
    assert_eq!(status_of(&["sh", "-c", "exit 3"]), 3);
    assert_eq!(status_of(&["sh", "-c", "exit 255"]), 255);
}

#[test]
fn a_command_that_a_signal_ended_has_128_and_its_number() {
    let Some(_machine) = Machine::take() else { return };
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGSEGV] {
        assert_eq!(status_of(&["sh", "-c", &format!("kill -{signal} $$")]), 128 + signal);
    }
}

#[test]
fn a_command_that_is_not_there_has_127_and_one_that_cannot_run_126() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let file = folder.join("no-program");
    fs::write(&file, "nothing to run").expect("write a file");
    assert_eq!(status_of(&["/no/such/command"]), 127);
    assert_eq!(status_of(&["no-such-command-anywhere"]), 127);
    assert_eq!(status_of(&[file.to_str().expect("a text")]), 126, "not executable");
    set_mode(&file, 0o755);
    assert_eq!(status_of(&["/"]), 126, "a folder");
}

#[test]
fn every_file_is_saved_where_the_folder_has_gone() {
    let Some(_machine) = Machine::take() else { return };
    let (other, shares) = (Folder::new(), Workload::c("shares"));
    let script = "rmdir \"$1\" && exec \"$2\" 100";
    let mut flame = Flame::record(&["-t", "cpu", "--", "sh", "-c", script, "sh"]);
    let folder = flame.folder().to_owned();
    flame.command().arg(folder).arg(shares.path()).env("TMPDIR", other.path());
    let outcome = flame.run();
    assert_ne!(outcome.code(), 0, "{}", outcome.stderr);
    for ending in [".pb", ".html", ".md"] {
        assert_eq!(files::ending(other.path(), ending).len(), 1, "{ending}: {}", outcome.stderr);
    }
    let told = outcome.json()["profiles"][0]["files"].as_array().map(Vec::len);
    assert_eq!(told, Some(3), "{}", outcome.json());
}

#[test]
fn what_the_kernel_programs_say_is_passed_on_when_asked_for() {
    let Some(_machine) = Machine::take() else { return };
    assert_eq!(Flame::record(&["-vv", "--", "true"]).run().code(), 0);
}

#[test]
fn a_wrong_command_line_has_2() {
    let Some(_machine) = Machine::take() else { return };
    let status = |arguments: &[&str]| {
        let output = Command::new(Flame::program()).args(arguments).output().expect("run flame");
        assert!(output.stdout.is_empty(), "what is for people goes to stderr");
        output.status.code()
    };
    for arguments in [
        &["record"][..],
        &["record", "-F", "0", "--", "true"],
        &["record", "-F", "10001", "--", "true"],
        &["record", "--no-such-option", "--", "true"],
        &["record", "-d", "soon", "--", "true"],
        &["attach"],
        &["attach", "--all", "--pid", "1"],
        &["attach", "not-a-pid"],
        &["generate"],
        &["no-such-verb"],
    ] {
        assert_eq!(status(arguments), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_summary_that_nobody_reads_any_more_is_no_error() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let path = folder.path().to_str().expect("a path of text");
    for arguments in [&["record", "--json", "-o", path, "--", "true"][..], &["doctor"], &[]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut flame = Command::new(Flame::program());
        let output = flame.args(arguments).stdout(writer).output().expect("run flame");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked"), "{arguments:?}: {said}");
    }
    assert!(!flame_tests::files::ending(folder.path(), ".pb").is_empty());
}

#[test]
fn input_and_output_of_the_command_are_untouched() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let input: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(97) >> 3) as u8).collect();
    let mut flame = Command::new(Flame::program())
        .args(["record", "-q", "-o"])
        .arg(folder.path())
        .args(["--", "sh", "-c", "cat; echo for people >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run flame");
    let mut stdin = flame.stdin.take().expect("a pipe");
    let sent = input.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).expect("write to the command"));
    let output = flame.wait_with_output().expect("wait for flame");
    writer.join().expect("write to the command");
    assert!(output.status.success());
    assert!(output.stdout == input, "{} bytes of {}", output.stdout.len(), input.len());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "for people\n", "and flame is quiet");
}

#[test]
fn arguments_and_environment_of_the_command_are_untouched() {
    let Some(_machine) = Machine::take() else { return };
    let script = r#"printf '%s|' "$@"; printf '%s' "$FLAME_TEST_WORD""#;
    let mut flame = Flame::record(&["--", "sh", "-c", script, "sh", "-F", "a b", "", "--json"]);
    flame.command().env("FLAME_TEST_WORD", "kept");
    let outcome = flame.run().with_code(0);
    let printed = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(printed.starts_with("-F|a b||--json|kept"), "{printed}");
}

#[test]
fn the_command_has_flames_descriptors_signals_and_limits_not() {
    let Some(_machine) = Machine::take() else { return };
    // Of the shell that looks, besides its script's: 0, 1, 2 and the folder that it lists.
    let script = "ls /proc/self/fd | wc -l; ulimit -n; grep -E 'SigIgn|SigBlk' /proc/self/status";
    let plain = Command::new("sh").args(["-c", script]).output().expect("run sh");
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    let outcome = Flame::record(&["--", "sh", "-c", script]).run().with_code(0);
    // Rust's runtime ignores SIGPIPE, in the tests as well; a command has the default.
    let without_pipe = |text: &str| text.replace("0000000000001000", "0000000000000000");
    assert_eq!(without_pipe(&outcome.printed()), without_pipe(&plain));
}

#[test]
fn the_summary_is_one_json_object_that_agrees_with_the_profile() {
    let Some(_machine) = Machine::take() else { return };
    let shares = flame_tests::Workload::c("shares");
    let arguments = ["-F", "499", "--", shares.path(), "500"];
    let outcome = Flame::record(&arguments).run().with_code(0);
    let (json, seen) = (outcome.json(), outcome.seen());
    let part = &json["profiles"][0];
    assert_eq!(json["exit_status"], 0);
    assert_eq!(part["samples"], seen.count());
    assert_eq!(part["total"], seen.total());
    assert_eq!(part["heaviest"][0]["name"], "spin");
    let files = part["files"].as_array().expect("a list of files");
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let path = file["path"].as_str().expect("a path");
        assert_eq!(fs::metadata(path).expect("the file").len(), file["bytes"]);
    }
}

#[test]
fn a_command_that_outlives_its_time_is_waited_for() {
    let Some(_machine) = Machine::take() else { return };
    let shares = flame_tests::Workload::c("shares");
    let script = format!("{} 1500; exit 4", shares.path());
    let arguments = ["-F", "499", "-d", "0.5", "--", "sh", "-c", &script];
    let outcome = Flame::record(&arguments).run().with_code(4);
    let seconds = outcome.profile().duration_ns() as f64 / 1e9;
    assert!((0.5..0.9).contains(&seconds), "{seconds}");
}

#[test]
fn children_that_outlive_the_command_are_told() {
    let Some(_machine) = Machine::take() else { return };
    let script = "sleep 4321 > /dev/null 2>&1 & echo $!";
    let outcome = Flame::record(&["--", "sh", "-c", script]).run().with_code(0);
    let pid: u32 = outcome.printed().trim().parse().expect("a pid");
    assert!(flame_tests::process::signal(pid, libc::SIGKILL), "it runs on");
    let told = outcome.stderr.lines().any(|line| line.contains(&format!("--pid {pid}")));
    assert!(told, "{}", outcome.stderr);
}

#[test]
fn an_event_that_the_machine_lacks_is_told_before_the_command_starts() {
    let Some(_machine) = Machine::take() else { return };
    if std::path::Path::new("/sys/bus/event_source/devices/cpu").exists() {
        return flame_tests::machine::skip("this machine counts cycles");
    }
    let folder = Folder::new();
    let ran = folder.join("ran");
    let touch = ["--event", "cycles", "--", "touch", ran.to_str().expect("a text")];
    let outcome = Flame::record(&touch).run().with_code(125);
    assert!(outcome.stderr.contains("cycles"), "{}", outcome.stderr);
    assert!(!ran.exists(), "the command did not start");
}
