//! The privileged part of a `record` that an ordinary user typed: profiles a process that waits
//! or runs, for a flame at the other end of its stdin and stdout.
//!
//! It is told to stop, or finds its stdin closed when the other end has gone; it says lines, which
//! [`Said`] makes and reads. What it says to people goes to stderr.

use std::io::Write as _;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::args::CollectArgs;
use super::privilege::Privilege;
use super::recorder::{Recorder, Seen};
use super::signals::Signals;
use super::talk::tell;
use super::{files, status};
use crate::{Progress, Target};

/// The order to stop: the command ran to its end.
pub(super) const STOP_WHOLE: &str = "stop whole";
/// The order to stop before that.
pub(super) const STOP: &str = "stop";

/// A line that the collector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It samples: the command may start.
    Armed,
    /// How far it is.
    Progress { samples: u64, lost: u64, processes: u64 },
    /// A process of the session that still runs at its end.
    Running(String, u32),
    /// The JSON summary.
    Json(String),
    /// It ended because the time asked for was over.
    TimedOut,
    /// The files are written, or their failure told.
    Done,
}

impl Said {
    fn line(&self) -> String {
        match self {
            Self::Armed => "armed".to_owned(),
            Self::Progress { samples, lost, processes } => {
                format!("progress {samples} {lost} {processes}")
            }
            Self::Running(comm, pid) => format!("running {pid} {}", comm.replace('\n', "?")),
            Self::Json(json) => format!("json {json}"),
            Self::TimedOut => "timed-out".to_owned(),
            Self::Done => "done".to_owned(),
        }
    }

    /// Reads a line; `None` if it is none of these.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "armed" => Self::Armed,
            "progress" => {
                let mut numbers = rest.split(' ').map(|number| number.parse().ok());
                Self::Progress {
                    samples: numbers.next()??,
                    lost: numbers.next()??,
                    processes: numbers.next()??,
                }
            }
            "running" => {
                let (pid, comm) = rest.split_once(' ')?;
                Self::Running(comm.to_owned(), pid.parse().ok()?)
            }
            "json" => Self::Json(rest.to_owned()),
            "timed-out" => Self::TimedOut,
            "done" => Self::Done,
            _ => return None,
        })
    }

    fn say(&self) {
        // Nobody listens any more: the closed stdin ends the session.
        _ = writeln!(std::io::stdout(), "{}", self.line());
    }
}

/// Runs the collector; the exit status.
pub(super) async fn run(args: CollectArgs) -> u8 {
    match collect(args).await {
        Ok(status) => status,
        Err(error) => {
            tell(&error);
            status::FAILED
        }
    }
}

async fn collect(args: CollectArgs) -> Result<u8> {
    files::raise_limit();
    let privilege = Privilege::of_this_process();
    if privilege == Privilege::Missing {
        anyhow::bail!(Privilege::advice(&args.command_line));
    }
    // The terminal's Ctrl-C is for the command; the other end tells when to stop.
    let mut signals = Signals::listen()?;
    let recorder = Recorder::prepare(&args.recording, privilege)?.told_as(args.command_line);
    let session = recorder.start(Target::pid(args.pid)).await?;
    Said::Armed.say();
    let end = async {
        let orders = wait_for_orders();
        tokio::pin!(orders);
        loop {
            tokio::select! {
                seen = &mut orders => return seen,
                asked = signals.next() => {
                    if asked == super::signals::Asked::Terminate {
                        return Seen::Part;
                    }
                }
            }
        }
    };
    let tell = |progress: &Progress| {
        let Progress { samples, lost, processes, .. } = *progress;
        Said::Progress { samples, lost, processes }.say();
    };
    let outcome = recorder.record(session, end, tell).await;
    if outcome.timed_out {
        Said::TimedOut.say();
    }
    for (comm, pid) in &outcome.running {
        Said::Running(comm.clone(), *pid).say();
    }
    if let Some(json) = recorder.json(&outcome, None) {
        Said::Json(json.to_string()).say();
    }
    Said::Done.say();
    Ok(if outcome.failure.is_some() { status::FAILED } else { 0 })
}

/// Waits for an order to stop or for the end of stdin.
async fn wait_for_orders() -> Seen {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.as_str() {
            STOP_WHOLE => return Seen::Whole,
            STOP => return Seen::Part,
            _ => {}
        }
    }
    Seen::Part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let all = [
            Said::Armed,
            Said::Progress { samples: 1, lost: 2, processes: 3 },
            Said::Running("a b".into(), 7),
            Said::Json("{\"a\": 1}".into()),
            Said::TimedOut,
            Said::Done,
        ];
        for said in all {
            assert_eq!(Said::parse(&said.line()), Some(said));
        }
        for nonsense in ["", "progress 1 2", "running x y", "hello"] {
            assert_eq!(Said::parse(nonsense), None, "{nonsense}");
        }
    }
}
