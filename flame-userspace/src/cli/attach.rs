//! `flame attach`: profile running processes.

use super::args::AttachArgs;
use super::privilege::Privilege;
use super::recorder::{Recorder, Seen, command_line};
use super::signals::Signals;
use super::talk::tell;
use super::{files, status};
use crate::{ErrorKind, Target};

/// Runs the command; the exit status.
pub(super) async fn run(args: AttachArgs) -> u8 {
    match attach(&args).await {
        Ok(status) => status,
        Err(error) => {
            tell(&error);
            match error.downcast_ref::<crate::Error>().map(crate::Error::kind) {
                Some(ErrorKind::NoTarget) => status::NOTHING,
                _ => status::FAILED,
            }
        }
    }
}

async fn attach(args: &AttachArgs) -> anyhow::Result<u8> {
    let target = target(args);
    if target.is_empty() {
        use clap::CommandFactory as _;
        let message = "which processes? Give pids, --name COMM, --cgroup PATH, or --all";
        let kind = clap::error::ErrorKind::MissingRequiredArgument;
        super::args::Cli::command().error(kind, message).exit();
    }
    let privilege = Privilege::of_this_process();
    if privilege == Privilege::Missing {
        anyhow::bail!(Privilege::advice(&command_line(std::env::args_os().skip(1))));
    }
    if privilege.only_user().is_some() && (args.all || !args.cgroup.is_empty()) {
        anyhow::bail!(
            "this flame got its rights from its file's capabilities, and so profiles only your \
             own processes; run it by sudo for --all and --cgroup"
        );
    }
    files::raise_limit();
    let mut signals = Signals::listen()?;
    let recorder = Recorder::prepare(&args.recording, privilege)?;
    if !recorder.delay(async { _ = signals.next().await }).await {
        return Ok(0);
    }
    let session = recorder.start(target).await?;
    recorder.talk.say("sampling; Ctrl-C ends and writes the profile");
    let ended = session.ended();
    let end = async {
        tokio::select! {
            _ = signals.next() => {}
            () = ended => {}
        }
        Seen::Part
    };
    let outcome = recorder.record(session, end, |_| {}).await;
    let status = if outcome.failure.is_some() { status::FAILED } else { 0 };
    recorder.print_json(&outcome, None);
    Ok(status)
}

fn target(args: &AttachArgs) -> Target {
    let mut target = if args.all { Target::all() } else { Target::default() };
    for &pid in args.pids.iter().chain(&args.pid) {
        target = target.and_pid(pid);
    }
    for name in &args.name {
        target = target.and_name(name);
    }
    for path in &args.cgroup {
        target = target.and_cgroup(path);
    }
    target
}
