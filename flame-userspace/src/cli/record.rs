//! `flame record`: start a command and profile it until it exits.

use anyhow::Result;

use super::args::RecordArgs;
use super::child::{Child, GRACE, ended_waiting, exit_status, tell_left_behind};
use super::privilege::Privilege;
use super::recorder::{Outcome, Recorder};
use super::signals::Signals;
use super::talk::tell;
use super::{files, front, status};
use crate::{Error, ErrorKind, Target, Waiting};

/// Runs the command; the exit status.
pub(super) async fn run(args: RecordArgs) -> u8 {
    let privilege = Privilege::of_this_process();
    let done = if privilege == Privilege::Missing {
        front::record(&args).await
    } else {
        record(&args, privilege).await
    };
    done.unwrap_or_else(|error| {
        tell(&error);
        status_of(&error)
    })
}

/// The exit status for an error from before the command ran.
fn status_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::CommandNotFound) => status::NOT_FOUND,
        Some(ErrorKind::CommandNotExecutable) => status::NOT_EXECUTABLE,
        _ => status::FAILED,
    }
}

async fn record(args: &RecordArgs, privilege: Privilege) -> Result<u8> {
    let recorder = Recorder::prepare(&args.recording, privilege)?;
    let waiting = Waiting::spawn(&args.command)?;
    let mut signals = Signals::listen()?;
    files::raise_limit();
    let pid = waiting.pid();
    let program = args.command[0].to_string_lossy();
    let mut child = Child::new(pid)?;
    let session = if args.recording.delay.is_some() {
        waiting.release(&program)?;
        if !recorder.delay(child.exited()).await {
            recorder.talk.error("the command ended before the delay was over: no profile");
            return Ok(child.status().unwrap_or(status::FAILED));
        }
        recorder.start(Target::pid(pid)).await?
    } else {
        let session = match recorder.start(Target::pid(pid)).await {
            Ok(session) => session,
            Err(error) => return ended_waiting(&mut child, &recorder.talk).ok_or(error.into()),
        };
        waiting.release(&program)?;
        session
    };
    let outcome = {
        let end = async {
            child.ended(&mut signals, &recorder.talk, GRACE).await;
            child.seen()
        };
        recorder.record(session, end, |_| {}).await
    };
    let own = finish(&recorder, &outcome, &mut child, &mut signals).await;
    let status = exit_status(own, outcome.failure.is_some(), &child);
    recorder.print_json(&outcome, Some(status));
    Ok(status)
}

/// Waits for a command that outlived its profile; its exit status, unless it is left running.
async fn finish(
    recorder: &Recorder,
    outcome: &Outcome,
    child: &mut Child,
    signals: &mut Signals,
) -> Option<u8> {
    if child.status().is_some() {
        tell_left_behind(&outcome.running, &recorder.talk);
    } else if outcome.timed_out {
        recorder.talk.say("the time is over; waiting for the command to end");
        child.ended(signals, &recorder.talk, GRACE).await;
    }
    child.status()
}
