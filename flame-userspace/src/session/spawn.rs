//! Starting a command that waits, just before its first instruction, until the sampling is armed.
//!
//! The child waits on a pipe and not by a stop signal: when flame dies in whatever way, the pipe
//! closes and the child ends.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;

use anyhow::{Context as _, anyhow};

use crate::error::{Error, ErrorKind};

/// A child process that waits for its start.
#[derive(Debug)]
pub struct Waiting {
    pid: u32,
    gate: File,
    failure: File,
}

impl Waiting {
    /// Forks a child that will run `command` (a program, looked for in `PATH`, and its
    /// arguments) once it is [released](Self::release). Dropping it ends the child.
    ///
    /// To be called before the caller handles signals: the child then takes them as the command
    /// will, those that end it while it waits and those that it is to ignore.
    pub fn spawn(command: &[OsString]) -> Result<Self, Error> {
        let program = command.first().context("no command was given")?;
        let shown = program.to_string_lossy().into_owned();
        let arguments: Vec<CString> = command
            .iter()
            .map(|argument| CString::new(argument.clone().into_vec()))
            .collect::<Result<_, _>>()
            .with_context(|| format!("run {shown:?}: an argument holds a NUL byte"))?;
        let (gate_read, gate_write) = pipe().context("make a pipe")?;
        let (failure_read, failure_write) = pipe().context("make a pipe")?;
        let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
        pointers.push(std::ptr::null());

        // SAFETY: the child calls only functions that are safe after a fork, allocates nothing,
        // and ends in exec or _exit.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            let error = anyhow::Error::from(io::Error::last_os_error());
            return Err(error.context("start a process").into());
        }
        if pid == 0 {
            let gate = gate_read.into_raw_fd();
            let failure = failure_write.into_raw_fd();
            // SAFETY: as above; the arguments were made before the fork and end in null.
            unsafe { child(gate, gate_write.into_raw_fd(), failure, &pointers) }
        }
        Ok(Self { pid: pid as u32, gate: gate_write.into(), failure: failure_read.into() })
    }

    /// The child's pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the command start. Returns when it runs, or why it does not. A child that a signal
    /// has ended meanwhile is no error: its exit status tells.
    pub fn release(mut self, program: &str) -> Result<(), Error> {
        match self.gate.write_all(&[1]) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("let the command start")?,
        }
        let mut errno = [0; 4];
        match self.failure.read_exact(&mut errno) {
            // The pipe closed on exec.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(anyhow::Error::from(error).context("wait for the command").into()),
            Ok(()) => {
                let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
                let kind = match error.raw_os_error() {
                    Some(libc::ENOENT) => ErrorKind::CommandNotFound,
                    _ => ErrorKind::CommandNotExecutable,
                };
                Err(Error::new(kind, anyhow!(error).context(format!("run {program:?}"))))
            }
        }
    }
}

/// A pipe: its reading and its writing end, both closed on exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the call fills in two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call just returned these descriptors, and nobody else has them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// The child's side: waits for the gate, then runs the command.
///
/// # Safety
/// Only to be called in a fork's child, with open descriptors and pointers to NUL-ended texts,
/// the last of them null.
unsafe fn child(
    gate: RawFd,
    gate_write: RawFd,
    failure: RawFd,
    arguments: &[*const libc::c_char],
) -> ! {
    // SAFETY: every call here is safe after a fork, on descriptors and texts that the caller
    // vouches for.
    unsafe {
        libc::close(gate_write);
        let mut go = 0u8;
        let read = loop {
            let read = libc::read(gate, (&raw mut go).cast(), 1);
            if read >= 0 || *libc::__errno_location() != libc::EINTR {
                break read;
            }
        };
        if read != 1 {
            libc::_exit(125);
        }
        // Rust's runtime ignores this signal; a command expects the default.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::execvp(arguments[0], arguments.as_ptr());
        let errno = (*libc::__errno_location()).to_ne_bytes();
        libc::write(failure, errno.as_ptr().cast(), errno.len());
        libc::_exit(127);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pid: u32) -> i32 {
        let mut status = 0;
        // SAFETY: the call fills in a number.
        unsafe { libc::waitpid(pid as i32, &raw mut status, 0) };
        status
    }

    #[test]
    fn a_child_waits_for_its_release() {
        let waiting = Waiting::spawn(&["sh".into(), "-c".into(), "exit 7".into()]).expect("fork");
        let pid = waiting.pid();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it waits");
        assert_ne!(comm.trim(), "sh");
        waiting.release("sh").expect("it runs");
        assert_eq!(libc::WEXITSTATUS(status(pid)), 7);
    }

    #[test]
    fn a_child_that_is_not_released_ends() {
        let waiting = Waiting::spawn(&["true".into()]).expect("fork");
        let pid = waiting.pid();
        drop(waiting);
        assert_eq!(libc::WEXITSTATUS(status(pid)), 125);
    }

    #[test]
    fn what_cannot_run_is_told_apart() {
        let kind = |command: &str| {
            let waiting = Waiting::spawn(&[command.into()]).expect("fork");
            let pid = waiting.pid();
            let error = waiting.release(command).expect_err("it cannot run");
            status(pid);
            error.kind()
        };
        assert_eq!(kind("/no/such/command"), ErrorKind::CommandNotFound);
        assert_eq!(kind("/etc/passwd"), ErrorKind::CommandNotExecutable);
        assert_eq!(Waiting::spawn(&[]).expect_err("no command").kind(), ErrorKind::Other);
    }
}
