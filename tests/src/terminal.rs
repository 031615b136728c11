//! A terminal of a test's own: what Ctrl-C does depends on one.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::process::{Guarded, signal, wait_for};

/// A command on a terminal of its own, as its session's leader.
#[derive(Debug)]
pub struct Terminal {
    /// The command.
    pub process: Guarded,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

/// A new terminal: the end that a person sits at, and the end for a command.
pub fn pair() -> (File, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: the call fills in two descriptors; a name and attributes are not wanted.
    let opened =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) };
    assert_eq!(opened, 0, "open a terminal: {}", io::Error::last_os_error());
    // SAFETY: the call just returned these descriptors, and nobody else has them.
    let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    // A copy that the command kept would keep the terminal from hanging up.
    // SAFETY: the call takes an open descriptor and numbers.
    unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    (master, slave)
}

impl Terminal {
    /// Starts a command on a new terminal.
    pub fn start(command: &mut Command) -> Self {
        let (master, slave) = pair();
        let end = || Stdio::from(slave.try_clone().expect("copy a descriptor"));
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: the closure makes system calls alone.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let process = Guarded::spawn(command);
        // The command holds copies of the terminal until it is replaced or dropped.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(slave);
        let mut from = master.try_clone().expect("copy a descriptor");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with an error when the last process has closed the terminal.
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                shown.lock().expect("the screen").extend(&bytes[..read]);
            }
        });
        Self { process, keyboard: master, screen }
    }

    /// Types Ctrl-C.
    pub fn ctrl_c(&mut self) {
        self.keyboard.write_all(&[3]).expect("type on a terminal");
    }

    /// Waits for the command's end; its exit status as a shell tells it.
    pub fn wait(&mut self) -> i32 {
        let status = self.process.wait();
        status.code().unwrap_or_else(|| 128 + status.signal().expect("a signal ended it"))
    }

    /// Waits until `word` has been shown: two signals of a kind that come at one time are one.
    pub fn wait_to_show(&self, word: &str) {
        wait_for(word, || {
            String::from_utf8_lossy(&self.screen.lock().expect("the screen")).contains(word)
        });
    }

    /// Sends the command a signal.
    pub fn signal(&self, number: i32) {
        assert!(signal(self.process.pid(), number), "the command has gone");
    }
}
