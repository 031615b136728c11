//! `flame record` typed by an ordinary user: CMD runs as that user, from here; the part that
//! needs rights runs through sudo as `flame collect` (see `collect`), and the two talk by pipes.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{self, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep};

use super::age::process_age;
use super::args::RecordArgs;
use super::child::{Child, GRACE, ended_waiting, exit_status, tell_left_behind};
use super::collect::{STOP, STOP_WHOLE, Said};
use super::print::print;
use super::privilege::{Privilege, program};
use super::recorder::{Seen, command_line, live_line, milliseconds};
use super::signals::Signals;
use super::status;
use super::talk::Talk;
use crate::{Progress, Waiting};

/// Runs the command and its collector; the exit status.
pub(super) async fn record(args: &RecordArgs) -> Result<u8> {
    let own_line = command_line(std::env::args_os().skip(1));
    let Some(sudo) = find_sudo() else { bail!(Privilege::advice(&own_line)) };
    let talk = Talk::new(&args.recording);
    let waiting = Waiting::spawn(&args.command)?;
    let mut signals = Signals::listen()?;
    let pid = waiting.pid();
    let shown = args.command[0].to_string_lossy();
    let mut child = Child::new(pid)?;
    let collector = if let Some(delay) = args.recording.delay {
        waiting.release(&shown)?;
        tokio::select! {
            () = sleep(delay) => {}
            () = child.exited() => {
                talk.error("the command ended before the delay was over: no profile");
                return Ok(child.status().unwrap_or(status::FAILED));
            }
        }
        Collector::start(&sudo, args, pid, &own_line).await?
    } else {
        let collector = match Collector::start(&sudo, args, pid, &own_line).await {
            Ok(collector) => collector,
            Err(error) => return ended_waiting(&mut child, &talk).ok_or(error),
        };
        waiting.release(&shown)?;
        collector
    };
    let armed = process_age();
    let done = {
        let end = async {
            child.ended(&mut signals, &talk, GRACE).await;
            if args.recording.delay.is_none() { child.seen() } else { Seen::Part }
        };
        collector.collect(end, &talk).await
    };
    if child.status().is_some() {
        tell_left_behind(&done.running, &talk);
    } else if done.timed_out {
        talk.say("the time is over; waiting for the command to end");
        child.ended(&mut signals, &talk, GRACE).await;
    }
    let own = child.status();
    let status = exit_status(own, done.failed, &child);
    if let Some(mut json) = done.json {
        json["exit_status"] = status.into();
        // The command typed was this process, and not the collector.
        json["armed_ms"] = armed.map(milliseconds).into();
        if let Err(error) = print(&format!("{json}\n")) {
            talk.error(&format!("{error:#}"));
        }
    }
    Ok(status)
}

fn find_sudo() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("sudo")).find(|file| file.is_file())
}

/// The privileged process.
struct Collector {
    process: process::Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

/// What became of it.
#[derive(Default)]
struct Collected {
    json: Option<serde_json::Value>,
    running: Vec<(String, u32)>,
    timed_out: bool,
    failed: bool,
}

impl Collector {
    /// Starts it through sudo, which asks for a password on the terminal if it needs one, and
    /// waits until it samples.
    async fn start(sudo: &PathBuf, args: &RecordArgs, pid: u32, told_as: &str) -> Result<Self> {
        let mut process = process::Command::new(sudo)
            .arg("--")
            .arg(program())
            .arg("collect")
            .args(["--pid", &pid.to_string(), "--command-line", told_as])
            .args(args.recording.to_arguments())
            .stdin(Stdio::piped())
            // Pipes and not the terminal: a sudo that owns the terminal would keep Ctrl-C from CMD.
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {}", sudo.display()))?;
        let orders = process.stdin.take().context("talk to sudo")?;
        let said = process.stdout.take().context("listen to sudo")?;
        if let Some(talk) = process.stderr.take() {
            tokio::spawn(pass_on(talk));
        }
        let mut collector = Self { process, orders, said: BufReader::new(said).lines() };
        while let Some(said) = collector.next().await {
            if said == Said::Armed {
                return Ok(collector);
            }
        }
        // It has told why, through `pass_on`.
        _ = collector.process.wait().await;
        let advice = Privilege::advice(told_as);
        bail!("the privileged part of flame did not start through sudo.\n{advice}")
    }

    async fn next(&mut self) -> Option<Said> {
        loop {
            let line = self.said.next_line().await.ok()??;
            if let Some(said) = Said::parse(&line) {
                return Some(said);
            }
        }
    }

    /// Lets it collect until `end` or until it ends by itself, and hears what became of it.
    async fn collect(mut self, end: impl Future<Output = Seen>, talk: &Talk) -> Collected {
        let started = Instant::now();
        let mut collected = Collected::default();
        let mut stopping = false;
        let mut finished = false;
        tokio::pin!(end);
        loop {
            let said = tokio::select! {
                seen = &mut end, if !stopping => {
                    stopping = true;
                    let order = if seen == Seen::Whole { STOP_WHOLE } else { STOP };
                    // If it has ended already, what it says tells so.
                    _ = self.orders.write_all(format!("{order}\n").as_bytes()).await;
                    continue;
                }
                said = self.next() => said,
            };
            match said {
                Some(Said::Progress { samples, lost, processes }) => {
                    let progress = Progress { samples, lost, processes, ..Progress::default() };
                    talk.live(&live_line(&progress, started.elapsed().as_secs_f64()));
                }
                Some(Said::Running(comm, pid)) => collected.running.push((comm, pid)),
                Some(Said::Json(json)) => collected.json = serde_json::from_str(&json).ok(),
                Some(Said::TimedOut) => collected.timed_out = true,
                Some(Said::Done) => finished = true,
                Some(Said::Armed) => {}
                None => break,
            }
        }
        let ended = self.process.wait().await;
        collected.failed = !finished || !ended.is_ok_and(|status| status.success());
        if !finished {
            talk.error("the privileged part of flame ended before its time: no whole profile");
        }
        if !stopping && !collected.timed_out {
            end.await;
        }
        collected
    }
}

/// Passes on what the collector says to people.
async fn pass_on(talk: ChildStderr) {
    let mut lines = BufReader::new(talk).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        super::talk::relay(&line);
    }
}
