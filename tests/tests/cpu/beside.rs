//! Other profilers beside flame.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use flame_tests::machine::{Machine, measured, skip};
use flame_tests::process::{cpu_ns, signal};
use flame_tests::{Distribution, Flame, Folder, Guarded, Perf, Workload};

/// Samples a second of flame. Its clock is the CPU's and not the program's, as perf's is here: beside
/// other load chance has more to do with what it hits, and many samples make up for that.
const HZ: &str = "1999";
/// Of the two perfs, which copy 64 KiB for each, to a file. Two events of one rate that begin at once
/// sample the same moments, and would leave nothing to chance.
const PERF_HZ: [u32; 2] = [193, 211];
/// The CPU time that is sampled, and how long it may take.
const CPU_NS: u64 = 10_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// Points that flame may be farther from perf than perf is from itself.
const FARTHER: f64 = 1.0;

/// The kernel can mix up what one event asks for with what another's records hold.
#[test]
fn what_perf_records_beside_flame_can_be_read() {
    let Some(_machine) = Machine::take() else { return };
    if !Perf::is_there() {
        skip("needs perf");
        return;
    }
    let flame = Flame::attach(&["--all"]).start_sampling();
    let file = flame.folder().join("perf.data");
    let recorded = Command::new("perf")
        .args(["record", "-q", "-B", "-e", "cpu-clock", "-o"])
        .arg(&file)
        .args(["--", "sh", "-c", "for i in 1 2 3; do /bin/true; done"])
        .status()
        .expect("run perf");
    assert!(recorded.success());
    let told = Command::new("perf")
        .args(["script", "--show-mmap-events", "-i"])
        .arg(&file)
        .output()
        .expect("run perf");
    assert_eq!(flame.interrupt().code(), 0);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8_lossy(&told.stdout);
    let of_programs = |line: &&str| line.contains("PERF_RECORD_MMAP2") && line.contains("/true");
    let records: Vec<&str> = told.lines().filter(of_programs).collect();
    assert!(!records.is_empty(), "{told}");
    // As perf shows a build ID, which it did not ask for.
    assert!(records.iter().all(|record| !record.contains(" <")), "{records:?}");
}

/// flame and two perfs at once, over the same run. How far the two perfs are apart is what chance
/// does. It is little, since each piece of the program's work is longer than the time between
/// samples.
#[test]
fn whole_stacks_are_distributed_as_perf_finds_them_in_copies() {
    let Some(_machine) = Machine::take() else { return };
    if !Perf::is_there() {
        skip("needs perf");
        return;
    }
    let flags = ["-O2", "-g", "-fomit-frame-pointer", "-DSCALE=40"];
    let workload = Workload::c_with("known_chain", &flags);
    let mut target = Guarded::spawn(&mut workload.command(&[]));
    let pid = target.pid();
    // It has loaded its libraries, and stands still until all three sample: perf does not walk
    // through a library rightly that a process had mapped elsewhere before an exec.
    thread::sleep(Duration::from_millis(200));
    assert!(signal(pid, libc::SIGSTOP), "the workload has gone");
    let options = ["-F", HZ, "-f", "pb", "--no-kernel", "--no-inline", "--pid", &pid.to_string()];
    let flame = Flame::attach(&options).start_sampling();
    let folders = [Folder::new(), Folder::new()];
    let perfs = [0, 1].map(|at| Perf::attach(pid, PERF_HZ[at], folders[at].path()));
    let (began, before_ns) = (Instant::now(), cpu_ns(pid));
    assert!(signal(pid, libc::SIGCONT), "the workload has gone");
    while cpu_ns(pid) < before_ns + CPU_NS && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    target.kill();
    let seen = flame.finish().with_code(0).seen();
    // Each takes seconds to walk through its copies.
    let perfs = perfs.map(|perf| thread::spawn(move || perf.finish()));
    let [one, other] = perfs
        .map(|perf| perf.join().expect("perf's stacks"))
        .map(|seen| seen.only(|stack| stack.pid == pid));
    let [own, one, other] = Distribution::of_all([&seen, &one, &other]);
    let counts = [own.count(), one.count(), other.count()];
    let apart = one.distance(&other);
    let distances = [own.distance(&one), own.distance(&other)];
    measured(&format!(
        "flame is {:.2} and {:.2} points from two perfs, which are {apart:.2} apart; of {counts:?} \
         samples",
        distances[0], distances[1],
    ));
    assert!(counts.iter().all(|&count| count > 500), "{counts:?}");
    let distance = distances.iter().sum::<f64>() / 2.0;
    assert!(
        distance <= apart + FARTHER,
        "{distance:.2} and {apart:.2} points; flame and perf:\n{}perf and perf:\n{}",
        own.farthest(&one),
        one.farthest(&other),
    );
}
