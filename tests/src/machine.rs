//! The machine that the tests run on: one test at a time has it, and what it lacks is said.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

static ALONE: Mutex<()> = Mutex::new(());

/// The machine for one test. Shares of CPU time are measured: two tests at one time would
/// disturb each other, those of other test programs as well.
#[derive(Debug)]
pub struct Machine {
    _thread: MutexGuard<'static, ()>,
    _process: File,
}

impl Machine {
    /// Waits for the machine. `None`, and a line that says so, where the tests cannot run.
    pub fn take() -> Option<Self> {
        // SAFETY: the call takes nothing and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            skip("needs root, to load kernel programs");
            return None;
        }
        // A test that failed has left nothing behind that matters to the next.
        let thread = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = std::env::temp_dir().join("flame-tests.lock");
        let process = File::create(&path).expect("make the lock of the tests");
        // SAFETY: the call takes an open descriptor and a number.
        let locked = unsafe { libc::flock(process.as_raw_fd(), libc::LOCK_EX) };
        assert_eq!(locked, 0, "lock {}", path.display());
        // A shell starts what runs in the background with these ignored, which would be passed on
        // to every program of the tests.
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            // SAFETY: the call takes two numbers.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Some(Self { _thread: thread, _process: process })
    }
}

/// Says why the current test does not run. Written past the test harness, which would hide it.
pub fn skip(why: &str) {
    say("skipped", why);
}

/// Says what the current test measured.
pub fn measured(what: &str) {
    say("measured", what);
}

fn say(kind: &str, what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // A closed stderr is no reason to fail.
    _ = writeln!(std::io::stderr(), "{kind}: {test}: {what}");
}
