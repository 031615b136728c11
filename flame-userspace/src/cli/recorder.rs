//! A session from its start to its last file, for every command that records.

use std::future::Future;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::age::process_age;
use super::args::RecordingArgs;
use super::output::Output;
use super::print::print;
use super::privilege::Privilege;
use super::stamp::stamp;
use super::summary::Summary;
use super::talk::Talk;
use crate::analyze::normalize::{PART_OF_RUN, WHOLE_RUN};
use crate::session::{Progress, Session, SessionBuilder, Target};
use crate::{Error, Recording};

/// How often the live line is renewed.
const LIVE: Duration = Duration::from_millis(250);

/// Records with these arguments.
#[derive(Debug)]
pub(super) struct Recorder {
    args: RecordingArgs,
    pub(super) talk: Talk,
    output: Output,
    only_user: Option<u32>,
    /// The command line that the profile tells.
    command_line: String,
}

/// How much of what it profiled a session saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A command from its start to its own end.
    Whole,
    /// What its time allowed.
    Part,
}

/// What became of a session.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// From the start of this process to sampling.
    pub(super) armed: Option<Duration>,
    pub(super) summaries: Vec<Summary>,
    /// Why a file could not be written.
    pub(super) failure: Option<anyhow::Error>,
    /// Whether the time that was asked for is over.
    pub(super) timed_out: bool,
    /// Processes of the session that run on.
    pub(super) running: Vec<(String, u32)>,
}

impl Recorder {
    /// Checks everything that can be checked before a target is touched.
    pub(super) fn prepare(args: &RecordingArgs, privilege: Privilege) -> Result<Self> {
        Ok(Self {
            args: args.clone(),
            talk: Talk::new(args),
            output: Output::prepare(args)?,
            only_user: privilege.only_user(),
            command_line: command_line(std::env::args_os().skip(1)),
        })
    }

    /// The profile tells another command line than flame's own.
    pub(super) fn told_as(mut self, command_line: String) -> Self {
        self.command_line = command_line;
        self
    }

    /// How a session of `target` is to be.
    fn builder(&self, target: Target) -> SessionBuilder {
        let profiles = self.args.profiles(&target);
        let mut builder = Session::builder(target)
            .frequency(self.args.frequency)
            .event(self.args.event)
            .kernel_stacks(!self.args.no_kernel && self.only_user.is_none())
            .inlined_functions(!self.args.no_inline)
            .children(!self.args.no_children)
            .verbose(self.args.verbose > 1)
            .per_process(self.args.per_process)
            .profiles(profiles)
            .heap(self.args.heap())
            .give_way(true)
            .comment(format!("command: flame {}", self.command_line));
        if let Some(uid) = self.only_user {
            builder = builder.only_user(uid);
        }
        builder
    }

    /// Starts sampling.
    pub(super) async fn start(&self, target: Target) -> Result<Session, Error> {
        let session = self.builder(target).start().await?;
        for warning in session.warnings() {
            self.talk.error(warning);
        }
        Ok(session)
    }

    /// Waits as `--delay` says, unless `end` comes first; whether it did not.
    pub(super) async fn delay(&self, end: impl Future<Output = ()>) -> bool {
        let Some(delay) = self.args.delay else { return true };
        self.talk.say(&format!("waiting {:.1} s before sampling", delay.as_secs_f64()));
        tokio::select! {
            () = sleep(delay) => true,
            () = end => false,
        }
    }

    /// Records until `end`, or as long as `--duration` says, and writes the files.
    pub(super) async fn record(
        &self,
        session: Session,
        end: impl Future<Output = Seen>,
        mut on_progress: impl FnMut(&Progress),
    ) -> Outcome {
        let started = Instant::now();
        let mut began = SystemTime::now();
        let mut outcome = Outcome { armed: process_age(), ..Outcome::default() };
        let far = started + Duration::from_secs(100 * 365 * 86_400);
        let until = self.args.duration.map_or(far, |duration| started + duration);
        let every = self.args.rotate.unwrap_or(far - started);
        let mut rotation = interval_at(started + every, every);
        rotation.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut live = interval_at(started + LIVE, LIVE);
        live.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(end);
        let mut seen = Seen::Part;
        loop {
            tokio::select! {
                // In this order: parts that take longer to write than --rotate says are always
                // due, and must not keep the session from its end.
                biased;
                ended = &mut end => {
                    seen = ended;
                    break;
                }
                () = sleep_until(until) => {
                    outcome.timed_out = true;
                    break;
                }
                _ = rotation.tick() => {
                    let part = session.rotate().await;
                    let stamp = stamp(std::mem::replace(&mut began, SystemTime::now()));
                    self.finish(part, Seen::Part, &stamp, &mut outcome);
                }
                _ = live.tick() => {
                    let progress = session.progress();
                    on_progress(&progress);
                    self.show(&progress, started);
                }
            }
        }
        if self.talk.is_live() {
            self.talk.live("reading symbols and writing the profile ...");
        }
        let rest = session.stop().await;
        let whole = self.args.rotate.is_none() && self.args.delay.is_none();
        let seen = if whole { seen } else { Seen::Part };
        self.finish(rest, seen, &stamp(began), &mut outcome);
        outcome
    }

    fn show(&self, progress: &Progress, started: Instant) {
        if self.talk.is_live() {
            self.talk.live(&live_line(progress, started.elapsed().as_secs_f64()));
        }
    }

    /// Writes and tells a part of a session.
    fn finish(
        &self,
        recording: Result<Recording, Error>,
        seen: Seen,
        stamp: &str,
        outcome: &mut Outcome,
    ) {
        let mut recording = match recording {
            Ok(recording) => recording,
            Err(error) => return self.fail(error.into(), outcome),
        };
        recording.add_comment(match seen {
            Seen::Whole => WHOLE_RUN,
            Seen::Part => PART_OF_RUN,
        });
        outcome.running.clone_from(&recording.running);
        for (of, why) in &recording.missing {
            self.talk.error(&format!("no {} profile: {why}", of.name()));
        }
        for recorded in &recording.profiles {
            let files = self.output.write(recorded, stamp, &self.command_line);
            if files.refused.is_none() || !files.written.is_empty() {
                let summary = Summary::new(recorded, files.written);
                summary.tell(&self.talk);
                outcome.summaries.push(summary);
            }
            if let Some(error) = files.refused {
                self.fail(error, outcome);
            }
        }
    }

    fn fail(&self, error: anyhow::Error, outcome: &mut Outcome) {
        self.talk.error(&format!("{error:#}"));
        outcome.failure = Some(error);
    }

    /// Prints the JSON summary, if it was asked for.
    pub(super) fn print_json(&self, outcome: &Outcome, exit_status: Option<u8>) {
        if let Some(json) = self.json(outcome, exit_status)
            && let Err(error) = print(&format!("{json}\n"))
        {
            self.talk.error(&format!("{error:#}"));
        }
    }

    /// The JSON summary, if it was asked for.
    pub(super) fn json(&self, outcome: &Outcome, exit_status: Option<u8>) -> Option<Value> {
        let parts: Vec<Value> = outcome.summaries.iter().map(Summary::json).collect();
        self.args.json.then(|| {
            json!({
                "flame": env!("CARGO_PKG_VERSION"),
                "command_line": self.command_line,
                "exit_status": exit_status,
                "armed_ms": outcome.armed.map(milliseconds),
                "profiles": parts,
                "failure": outcome.failure.as_ref().map(|error| format!("{error:#}")),
            })
        })
    }
}

/// As the JSON summary tells a time.
pub(super) fn milliseconds(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// The live line.
pub(super) fn live_line(progress: &Progress, seconds: f64) -> String {
    let Progress { samples, lost, processes, .. } = progress;
    format!("{seconds:6.1} s  {samples} samples  {lost} lost  {processes} processes  (Ctrl-C ends)")
}

/// Arguments as a shell would want them.
pub(super) fn command_line(arguments: impl Iterator<Item = std::ffi::OsString>) -> String {
    let quoted = arguments.map(|argument| {
        let text = argument.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,:/@%^".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_can_be_pasted() {
        let line = ["record", "--", "sh", "-c", "echo it's", ""].map(Into::into);
        assert_eq!(command_line(line.into_iter()), r"record -- sh -c 'echo it'\''s' ''");
    }
}
