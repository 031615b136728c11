//! What heap profiling leaves in processes: nothing in others than the targets, and nothing in them
//! when it is over, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use flame_tests::machine::Machine;
use flame_tests::process::{signal, wait_for};
use flame_tests::{Flame, Guarded, Workload};

/// How many bytes of a process's C library differ from the file's.
fn changed_bytes(pid: u32) -> usize {
    changed_bytes_of(pid, "/libc.so.6")
}

/// How many bytes of a library's code differ in a process from the file's.
pub(crate) fn changed_bytes_of(pid: u32, library: &str) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its mappings");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let line = maps
        .lines()
        .find(|line| line.contains("r-xp") && line.contains(library))
        .unwrap_or_else(|| panic!("no {library} in {maps}"));
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (start, end) = fields[0].split_once('-').expect("a range");
    let number = |text: &str| u64::from_str_radix(text, 16).expect("a number");
    let (start, end, offset) = (number(start), number(end), number(fields[2]));
    let (mut now, mut file) = (vec![0; (end - start) as usize], vec![0; (end - start) as usize]);
    memory.read_exact_at(&mut now, start).expect("its code");
    let read = File::open(PathBuf::from(fields[5])).expect("the library");
    let length = read.read_at(&mut file, offset).expect("the library's code");
    now[..length].iter().zip(&file[..length]).filter(|(a, b)| a != b).count()
}

fn busy(sites: &Workload) -> Guarded {
    Guarded::spawn(
        std::process::Command::new(sites.path()).args(["1000000", "100"]).stdout(Stdio::null()),
    )
}

#[test]
fn the_targets_code_alone_is_changed_and_restored_even_if_flame_is_killed() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::c("heap_sites");
    let (mut target, mut other) = (busy(&sites), busy(&sites));
    for way in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let pid = target.pid().to_string();
        let options = ["--heap-mode", "exact", "--pid", &pid];
        let flame = Flame::attach(&options).start_sampling();
        wait_for("probes in the target", || changed_bytes(target.pid()) > 0);
        assert_eq!(changed_bytes(other.pid()), 0, "another process is probed");
        assert!(signal(flame.pid(), way), "flame has gone");
        if way == libc::SIGKILL {
            drop(flame);
        } else {
            assert!(flame.finish().with_code(0).heap().samples().count() > 0);
        }
        wait_for("the target's own code", || changed_bytes(target.pid()) == 0);
        assert!(target.is_alive() && other.is_alive(), "signal {way}");
    }
}

/// What the kernel says from now on.
struct KernelLog(File);

impl KernelLog {
    fn open() -> Self {
        let options = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).clone();
        let mut log = options.open("/dev/kmsg").expect("the kernel's log");
        log.seek(SeekFrom::End(0)).expect("its end");
        Self(log)
    }

    /// The lines in which it tells of probes that it did not take out.
    fn left(&mut self) -> Vec<String> {
        let mut record = [0; 8192];
        // A record at a time; an error where there is none.
        let records = std::iter::from_fn(|| {
            let length = self.0.read(&mut record).ok()?;
            Some(String::from_utf8_lossy(&record[..length]).into_owned())
        });
        records.filter(|line| line.contains("leaking uprobe")).collect()
    }
}

#[test]
fn killed_while_its_probes_go_flame_leaves_none() {
    let Some(_machine) = Machine::take() else { return };
    let target = busy(&Workload::c("heap_sites"));
    let pid = target.pid().to_string();
    let mut log = KernelLog::open();
    for round in 0..24 {
        let options = ["-t", "heap", "--heap-mode", "exact", "--pid", &pid];
        let flame = Flame::attach(&options).start_sampling();
        wait_for("probes in the target", || changed_bytes(target.pid()) > 0);
        assert!(signal(flame.pid(), libc::SIGINT), "flame has gone");
        sleep(Duration::from_micros(700 * round));
        // It may have ended.
        _ = signal(flame.pid(), libc::SIGKILL);
        drop(flame);
        let what = format!("the target's own code, round {round}");
        wait_for(&what, || changed_bytes(target.pid()) == 0);
    }
    assert_eq!(log.left(), [""; 0]);
}

#[test]
fn windows_leave_nothing_between_and_behind_them() {
    let Some(_machine) = Machine::take() else { return };
    let mut target = busy(&Workload::c("heap_sites"));
    let pid = target.pid().to_string();
    let options = ["--heap-mode", "governed", "--heap-interval", "65536", "--pid", &pid];
    let flame = Flame::attach(&options).start_sampling();
    sleep(Duration::from_secs(5));
    wait_for("a closed window", || changed_bytes(target.pid()) == 0);
    let outcome = flame.interrupt().with_code(0);
    assert_eq!(changed_bytes(target.pid()), 0);
    assert!(target.is_alive());
    let profile = outcome.heap();
    assert!(profile.total(1) > 0);
    assert_eq!(profile.sample_type_index("inuse_space"), None, "windows do not know it");
    // Errors by the distance between samples alone would be too small.
    assert_eq!(profile.period(), 0);
    let summary = outcome.json();
    let summaries = summary["profiles"].as_array().expect("profiles");
    let heap = summaries.iter().find(|profile| profile["profile"] == "heap").expect("a heap");
    assert!(heap["standard_error"].as_f64().is_some_and(|error| error > 0.0), "{heap}");
}

#[test]
fn probes_in_flames_own_code_go_when_it_does() {
    let Some(_machine) = Machine::take() else { return };
    // It calls the allocator so often that flame measures on itself what that costs.
    let program = Workload::c("alloc_shares");
    let target = Guarded::spawn(program.command(&["600000", "20"]).stdout(Stdio::null()));
    let pid = target.pid().to_string();
    let mut log = KernelLog::open();
    let options = ["-t", "heap", "-f", "pb", "--heap-mode", "governed", "-d", "3", "--pid", &pid];
    drop(Flame::attach(&options).run().with_code(0));
    assert_eq!(log.left(), [""; 0]);
}
