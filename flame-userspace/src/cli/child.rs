//! The command that `record` started: waiting for it, and what signals mean meanwhile.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::recorder::Seen;
use super::signals::{Asked, Signals};
use super::status;
use super::talk::{Talk, shown};

/// How long a command may take to end after SIGTERM was passed on to it.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A child process of flame.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    changed: Signal,
    /// Its exit status as a shell tells it, once it has ended.
    status: Option<u8>,
    interrupts: u32,
    /// Whether it was asked to end before it did by itself.
    hurried: bool,
    /// The signal for which it was left running.
    abandoned_for: Option<Asked>,
}

impl Child {
    /// The child of this pid.
    pub(super) fn new(pid: u32) -> Result<Self> {
        let changed = signal(SignalKind::child()).context("listen for the command's end")?;
        Ok(Self { pid, changed, status: None, interrupts: 0, hurried: false, abandoned_for: None })
    }

    /// Its exit status: its own, or 128+N if signal N ended it; `None` while it runs.
    pub(super) fn status(&mut self) -> Option<u8> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: the call fills in a number.
            let ended = unsafe { libc::waitpid(self.pid as i32, &raw mut status, libc::WNOHANG) };
            if ended == self.pid as i32 {
                self.status = Some(if libc::WIFSIGNALED(status) {
                    128 + libc::WTERMSIG(status) as u8
                } else {
                    libc::WEXITSTATUS(status) as u8
                });
            }
        }
        self.status
    }

    /// What its session saw of it, once it has [`ended`](Self::ended).
    pub(super) fn seen(&mut self) -> Seen {
        if self.status().is_some() && !self.hurried { Seen::Whole } else { Seen::Part }
    }

    /// The exit status of a flame that left it running: that of a process ended by the signal.
    pub(super) fn abandoned_status(&self) -> u8 {
        128 + match self.abandoned_for {
            Some(Asked::HangUp) => libc::SIGHUP as u8,
            Some(Asked::Terminate) => libc::SIGTERM as u8,
            Some(Asked::Interrupt) | None => libc::SIGINT as u8,
        }
    }

    /// Waits until it has ended.
    pub(super) async fn exited(&mut self) {
        while self.status().is_none() {
            // A stream of signals that has ended cannot wake anybody: look again in a while.
            if self.changed.recv().await.is_none() {
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits until it has ended or is to be left running: after a third Ctrl-C, when the terminal
    /// has gone, or when it does not end within `grace` of a SIGTERM.
    pub(super) async fn ended(&mut self, signals: &mut Signals, talk: &Talk, grace: Duration) {
        loop {
            let asked = tokio::select! {
                () = self.exited() => return,
                asked = signals.next() => asked,
            };
            self.hurried = true;
            match asked {
                Asked::Interrupt => {
                    self.interrupts += 1;
                    match self.interrupts {
                        1 => talk.say("waiting for the command to end; Ctrl-C again asks it to"),
                        2 => {
                            talk.say("asked the command to end; Ctrl-C again leaves it running");
                            self.terminate();
                        }
                        _ => break self.abandoned_for = Some(asked),
                    }
                }
                Asked::Terminate => {
                    self.terminate();
                    tokio::select! {
                        () = self.exited() => return,
                        () = sleep(grace) => {}
                    }
                    break self.abandoned_for = Some(asked);
                }
                Asked::HangUp => break self.abandoned_for = Some(asked),
            }
        }
        talk.error(&format!("the command is left running: pid {}", self.pid));
    }

    fn terminate(&mut self) {
        if self.status().is_none() {
            // SAFETY: the child has not been waited for, so that the pid is still its own.
            unsafe { libc::kill(self.pid as i32, libc::SIGTERM) };
        }
    }
}

/// Tells which processes that the command started still run, and how to profile them.
pub(super) fn tell_left_behind(running: &[(String, u32)], talk: &Talk) {
    if running.is_empty() {
        return;
    }
    let names: Vec<String> =
        running.iter().map(|(comm, pid)| format!("{} ({pid})", shown(comm))).collect();
    let pids: Vec<String> = running.iter().map(|(_, pid)| format!("--pid {pid}")).collect();
    talk.say(&format!(
        "still running: {}; profile on with\n  sudo flame attach {}",
        names.join(", "),
        pids.join(" "),
    ));
}

/// The command's own exit status; flame's failure shows where the command did not fail.
pub(super) fn exit_status(own: Option<u8>, failed: bool, child: &Child) -> u8 {
    match own {
        Some(0) if failed => status::FAILED,
        Some(own) => own,
        None => child.abandoned_status(),
    }
}

/// The exit status of a command that was ended before it started, by Ctrl-C as a rule.
pub(super) fn ended_waiting(child: &mut Child, talk: &Talk) -> Option<u8> {
    let status = child.status()?;
    talk.error("the command was ended before it started: no profile");
    Some(status)
}
