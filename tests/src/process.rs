//! Processes: ending what a test started, waiting for what is to come, and looking at /proc.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long anything may take that happens at once on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A child process that ends with the test at the latest.
#[derive(Debug)]
pub struct Guarded(Child);

impl Guarded {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}")))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("wait for a child").is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("a child's end", || {
            status = self.0.try_wait().expect("wait for a child");
            status.is_some()
        });
        status.expect("it was just waited for")
    }

    /// Ends it.
    pub fn kill(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }

    /// The child itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal; whether there was anybody to send it to.
pub fn signal(pid: u32, signal: i32) -> bool {
    // SAFETY: the call takes two numbers.
    unsafe { libc::kill(pid as i32, signal) == 0 }
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every pid.
pub fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("read /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process.
pub fn children(of: u32) -> Vec<u32> {
    pids().into_iter().filter(|&pid| stat_field(pid, 4) == Some(of.into())).collect()
}

/// A process's name; empty if it has gone.
pub fn comm(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end_matches('\n').to_owned()
}

/// The pids of processes that have `word` in their command line.
pub fn with_argument(word: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let mut line = Vec::new();
        let read = fs::File::open(format!("/proc/{pid}/cmdline"))
            .and_then(|mut file| file.read_to_end(&mut line));
        read.is_ok() && String::from_utf8_lossy(&line).contains(word)
    };
    pids().into_iter().filter(has).collect()
}

/// CPU time that the kernel has accounted to a process, from `/proc/PID/schedstat`'s threads, in
/// nanoseconds.
pub fn cpu_ns(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of = |thread: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    threads.flatten().filter_map(of).sum()
}

/// Field `number` of `/proc/PID/stat` from the fourth on, as `proc_pid_stat(5)` counts.
fn stat_field(pid: u32, number: usize) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let after = &text[text.rfind(')')? + 2..];
    after.split(' ').nth(number - 3)?.parse().ok()
}
