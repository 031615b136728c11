//! Names, from wherever they come.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flame_tests::machine::Machine;
use flame_tests::process::wait_for;
use flame_tests::seen::Frame;
use flame_tests::workload::WITH_FRAMES;
use flame_tests::{Flame, Folder, Guarded, Outcome, Seen, Workload};

/// A copy of the workload `shares`, to be changed.
fn copy(folder: &Folder) -> PathBuf {
    let copy = folder.join("shares");
    fs::copy(Workload::c("shares").program(), &copy).expect("copy a workload");
    copy
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("run {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are texts")
}

fn record(program: &Path) -> Outcome {
    Flame::record(&["-F", "499", "--", text(program), "500"]).run().with_code(0)
}

#[track_caller]
fn assert_named(seen: &Seen) {
    let share = seen.share_ending(&["main", "rounds", "heavy", "burn", "spin"]);
    assert!(share > 40.0, "{share:.1} %:\n{}", seen.shown());
    let spin: Vec<&Frame> = seen.frames().filter(|frame| frame.name == "spin").collect();
    assert!(spin.iter().all(|frame| frame.file.ends_with("known.h")), "{:?}", spin[0]);
    assert!(spin.iter().all(|frame| frame.line > 0), "{:?}", spin[0]);
}

#[test]
fn a_stripped_program_keeps_addresses_and_the_advice_tells_what_gives_names() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = copy(&folder);
    run("strip", &[text(&program)]);
    let outcome = record(&program);
    let seen = outcome.seen();
    let own: Vec<&Frame> = seen.frames().filter(|f| f.mapping == text(&program)).collect();
    assert!(own.len() > 3, "{}", seen.shown());
    // Their functions are told by where they begin, and by no name.
    let nameless = |f: &Frame| f.name.is_empty() || f.name.starts_with("[shares+0x");
    assert!(own.iter().all(|f| nameless(f) && f.address > 0 && f.build_id.len() == 40));
    let place = format!("{}.debug", &own[0].build_id[2..]);
    let advice = |line: &String| line.contains(text(&program)) && line.contains(&place);
    assert!(seen.comments.iter().any(advice), "{:?}", seen.comments);
    let summary = outcome.json();
    assert!(summary["profiles"][0]["unnamed_frames"].as_u64() > Some(300), "{summary}");
}

#[test]
fn a_debug_file_beside_the_program_gives_names_and_lines() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = copy(&folder);
    let debug = folder.join("shares.debug");
    run("objcopy", &["--only-keep-debug", text(&program), text(&debug)]);
    run("strip", &[text(&program)]);
    let link = format!("--add-gnu-debuglink={}", text(&debug));
    run("objcopy", &[&link, text(&program)]);
    assert_named(&record(&program).seen());
}

#[test]
fn a_debug_file_of_the_build_id_gives_names_and_lines() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    // A build ID of the test's own, so that the file is not another's.
    let id = format!("f1a3e7e5{:032x}", std::process::id());
    let flag = format!("-Wl,--build-id=0x{id}");
    let workload = Workload::c_with("shares", &[WITH_FRAMES, &[&flag]].concat());
    let program = folder.join("shares");
    fs::copy(workload.program(), &program).expect("copy a workload");
    let place = PathBuf::from(format!("/usr/lib/debug/.build-id/f1/{}.debug", &id[2..]));
    fs::create_dir_all(place.parent().expect("a folder")).expect("make the debug folder");
    run("objcopy", &["--only-keep-debug", text(&program), text(&place)]);
    run("strip", &[text(&program)]);
    let seen = record(&program).seen();
    fs::remove_file(&place).expect("remove the debug file");
    // Only if it is empty now.
    _ = fs::remove_dir(place.parent().expect("a folder"));
    assert_named(&seen);
}

#[test]
fn a_program_whose_file_is_deleted_keeps_its_names() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = copy(&folder);
    let target = Guarded::spawn(Command::new(&program).arg("60000"));
    wait_for("the program", || flame_tests::process::cpu_ns(target.pid()) > 10_000_000);
    fs::remove_file(&program).expect("delete the program");
    let arguments = ["-F", "499", "-d", "0.5", &target.pid().to_string()];
    let seen = Flame::attach(&arguments).run().with_code(0).seen();
    assert_named(&seen);
    assert!(seen.frames().any(|frame| frame.mapping == text(&program)), "without `(deleted)`");
}

#[test]
fn a_program_whose_file_is_replaced_keeps_its_names() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = copy(&folder);
    let target = Guarded::spawn(Command::new(&program).arg("60000"));
    let arguments = ["-F", "499", &target.pid().to_string()];
    let flame = Flame::attach(&arguments).start_sampling();
    let fresh = folder.join("fresh");
    fs::copy(Workload::c("threads").program(), &fresh).expect("copy another workload");
    fs::rename(&fresh, &program).expect("replace the program");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let seen = flame.interrupt().with_code(0).seen();
    assert_named(&seen);
    for other in ["indexing", "merging", "flushing"] {
        assert_eq!(seen.total_of(other), 0, "{}", seen.shown());
    }
}

#[test]
fn a_program_that_is_in_memory_alone_has_names() {
    let Some(_machine) = Machine::take() else { return };
    let sealed = Workload::c("sealed");
    let seen = Flame::record(&["-F", "499", "--", sealed.path(), "500"]).run().with_code(0).seen();
    let share = seen.share_ending(&["main", "from_memory", "burn", "spin"]);
    assert!(share > 80.0, "{share:.1} %:\n{}", seen.shown());
}

#[test]
fn libraries_that_take_the_same_place_one_after_the_other_keep_their_names() {
    let Some(_machine) = Machine::take() else { return };
    let library = |name: &str| {
        let define = format!("-DNAME={name}");
        Workload::c_with("library", &[WITH_FRAMES, &["-shared", "-fPIC", &define]].concat())
    };
    let (one, other) = (library("in_the_first"), library("in_the_other"));
    let loads = Workload::c("loads");
    let arguments = ["-F", "499", "--", loads.path(), "300", one.path(), other.path(), one.path()];
    let outcome = Flame::record(&arguments).run().with_code(0);
    let printed = outcome.printed();
    let places: Vec<&str> = printed.lines().collect();
    assert_eq!(places[0], places[1], "the loader uses the place again");
    let seen = outcome.seen();
    let [first, second] =
        ["in_the_first", "in_the_other"].map(|name| seen.share_through(&["main", name, "burn"]));
    assert!((first - 66.7).abs() < 7.0, "{first:.1} %:\n{}", seen.shown());
    assert!((second - 33.3).abs() < 7.0, "{second:.1} %:\n{}", seen.shown());
}

#[test]
fn generated_code_is_named_by_the_perf_map() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    let name = "LazyCompile:~fib /srv/app.js:1:14";
    let arguments = ["-F", "499", "--", generated.path(), "300", name];
    let outcome = Flame::record(&arguments).run().with_code(0);
    let seen = outcome.seen();
    remove_perf_maps(&seen);
    let share = seen.share_ending(&["main", "run", name]);
    assert!(share > 90.0, "{share:.1} %:\n{}", seen.shown());
    // The caller of code without a table is a guess, and its own callers are not.
    for stack in &seen.stacks {
        let wanted = i64::from(stack.user().ends_with(&["run", name]));
        assert_eq!(stack.guesses, wanted, "{:?}", stack.user());
    }
}

#[test]
fn a_perf_map_that_is_written_late_is_read() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    let arguments = ["-F", "499", "--", generated.path(), "600", "late_name", "late"];
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    remove_perf_maps(&seen);
    let share = seen.share_ending(&["main", "run", "late_name"]);
    assert!(share > 90.0, "{share:.1} %:\n{}", seen.shown());
}

/// Runs a program in namespaces of its own for pids and mounts, with a `/tmp` of its own that
/// alone holds the program.
fn contained(program: &Path, arguments: &str) -> Command {
    let script = format!(
        "mount -t tmpfs tmpfs /mnt && cp {} /mnt/contained && mount --move /mnt /tmp && \
         exec /tmp/contained {arguments}",
        text(program)
    );
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script]);
    command
}

#[test]
fn programs_of_a_container_have_names() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let mut command = contained(shares.program(), "500");
    let line: Vec<_> = command.get_args().map(|a| a.to_str().expect("a text")).collect();
    let arguments = [&["-F", "499", "--", "unshare"], line.as_slice()].concat();
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    let own = seen.only(|stack| stack.comm == "contained");
    assert_named(&own);

    command = contained(shares.program(), "600000");
    let unshare = Guarded::spawn(command.stdout(std::process::Stdio::null()));
    wait_for("the program", || {
        let inner = flame_tests::process::children(unshare.pid());
        inner.first().is_some_and(|&pid| {
            flame_tests::process::comm(pid) == "contained"
                && flame_tests::process::cpu_ns(pid) > 10_000_000
        })
    });
    let arguments = ["-F", "499", "-d", "0.5", &unshare.pid().to_string()];
    assert_named(&Flame::attach(&arguments).run().with_code(0).seen());
}

#[test]
fn the_perf_map_of_a_process_in_a_container_is_found() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    let command = contained(generated.program(), "600 jitted_inside");
    let line: Vec<_> = command.get_args().map(|a| a.to_str().expect("a text")).collect();
    let arguments = [&["-F", "499", "--", "unshare"], line.as_slice()].concat();
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    let own = seen.only(|stack| stack.comm == "contained");
    let share = own.share_ending(&["main", "run", "jitted_inside"]);
    assert!(share > 90.0, "{share:.1} %:\n{}", own.shown());
}

#[test]
fn a_perf_map_of_another_user_is_not_believed() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    let arguments = ["-F", "499", "--", generated.path(), "300", "a_lie", "65534"];
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    remove_perf_maps(&seen);
    assert_eq!(seen.total_of("a_lie"), 0, "{}", seen.shown());
    assert!(seen.share_ending(&["main", "run", ""]) > 90.0, "{}", seen.shown());
}

#[test]
fn generated_code_without_names_is_told_with_its_share() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    let outcome = Flame::record(&["-F", "499", "--", generated.path(), "300"]).run().with_code(0);
    let seen = outcome.seen();
    assert!(seen.share_ending(&["main", "run", ""]) > 90.0, "{}", seen.shown());
    assert!(seen.frames().any(|f| f.name.is_empty() && f.mapping == "[generated code]"));
    let told = |line: &String| line.contains("generated code") && line.contains("perf-PID.map");
    assert!(seen.comments.iter().any(told), "{:?}", seen.comments);
}

#[test]
fn a_perf_map_of_garbage_gives_no_names_and_does_no_harm() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    let target = Guarded::spawn(&mut generated.command(&["60000"]));
    let path = format!("/tmp/perf-{}.map", target.pid());
    let garbage: Vec<u8> =
        (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    fs::write(&path, garbage).expect("write a perf map");
    let arguments = ["-F", "499", "-d", "0.5", &target.pid().to_string()];
    let outcome = Flame::attach(&arguments).run().with_code(0);
    fs::remove_file(&path).expect("remove the perf map");
    let seen = outcome.seen();
    assert!(seen.share_ending(&["main", "run", ""]) > 90.0, "{}", seen.shown());
}

#[test]
fn the_kernels_frames_are_named_and_can_be_left_out() {
    let Some(_machine) = Machine::take() else { return };
    let dd = ["--", "dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=20000", "status=none"];
    let record = |options: &[&str]| {
        Flame::record(&[options, &["-F", "499"], &dd].concat()).run().with_code(0).seen()
    };
    let with = record(&[]);
    let in_kernel = with.only(|stack| stack.has("do_syscall_64"));
    let share = in_kernel.total() as f64 * 100.0 / with.total() as f64;
    assert!(share > 80.0, "{share:.1} %:\n{}", with.shown());
    assert!(with.kernel_frames().all(|frame| !frame.name.is_empty()), "{}", with.shown());
    let without = record(&["--no-kernel"]);
    assert_eq!(without.kernel_frames().count(), 0, "{}", without.shown());
    let off = without.total() as f64 / with.total() as f64;
    assert!((0.5..2.0).contains(&off), "the time in the kernel still counts: {off:.2}");
}

/// Perf maps of processes that a test ran.
fn remove_perf_maps(seen: &Seen) {
    for pid in seen.pids() {
        // Not every process has made one.
        _ = fs::remove_file(format!("/tmp/perf-{pid}.map"));
    }
}
