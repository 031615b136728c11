//! Other profilers beside flame.

use std::process::{Command, Stdio};

use flame_tests::Flame;
use flame_tests::machine::{Machine, skip};

/// The kernel can mix up what one event asks for with what another's records hold.
#[test]
fn what_perf_records_beside_flame_can_be_read() {
    let Some(_machine) = Machine::take() else { return };
    if Command::new("perf").arg("version").stdout(Stdio::null()).status().is_err() {
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
