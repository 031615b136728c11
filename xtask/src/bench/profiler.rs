//! The profilers that are compared, each attached to a process that waits at its gate.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::process::{Process, Usage};
use crate::command;

/// Which profiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Flame,
    /// By frame pointers.
    Perf,
    /// By copies of the stack.
    PerfDwarf,
    /// By copies of the stack, unwound while it records. It starts its target itself.
    Samply,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flame => "flame",
            Self::Perf => "perf record -g",
            Self::PerfDwarf => "perf record --call-graph dwarf",
            Self::Samply => "samply record",
        }
    }
}

/// What is profiled.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Pids(Vec<u32>),
    Machine,
}

/// Where things are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) flame: PathBuf,
    /// For what the profilers write.
    pub(super) folder: PathBuf,
    /// Further arguments of `flame attach`.
    pub(super) arguments: &'static [&'static str],
}

/// A profiler that samples.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) process: Process,
    pub(super) armed: Duration,
    /// CPU time until it sampled.
    cpu_at_start: Duration,
    /// What it says, to its end.
    said: JoinHandle<String>,
}

/// What a profiler used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// From the command to sampling.
    pub(super) armed: Duration,
    pub(super) cpu_start: Duration,
    pub(super) cpu_sampling: Duration,
    pub(super) cpu_finish: Duration,
    /// From the target's end to its own.
    pub(super) finish: Duration,
    pub(super) peak_rss_bytes: u64,
    /// The most of it after the target's end that is not pages of files, which the kernel can
    /// take back.
    pub(super) own_bytes: u64,
}

/// A profiler whose target has ended: what it had used by then.
#[derive(Debug)]
pub(super) struct Ending {
    attached: Attached,
    cpu: Duration,
    since: Instant,
}

impl Place {
    /// Starts a profiler; when this returns, it samples.
    pub(super) fn attach(&self, kind: Kind, hz: u32, target: &Target) -> Result<Attached> {
        match kind {
            Kind::Flame => {
                let hz = hz.to_string();
                self.attach_flame(&["--type", "cpu", "--frequency", &hz], target)
            }
            Kind::Perf => self.attach_perf("fp", hz, target),
            // The default's copies are of 8 KiB.
            Kind::PerfDwarf => self.attach_perf("dwarf", hz, target),
            Kind::Samply => bail!("it starts its target itself"),
        }
        .with_context(|| format!("start {}", kind.name()))
    }

    /// Starts flame with these options.
    pub(super) fn attach_flame(&self, options: &[&str], target: &Target) -> Result<Attached> {
        let mut flame = Command::new(&self.flame);
        flame.args(["attach", "--json"]).args(options).arg("--output-dir");
        flame.arg(self.folder.join("flame")).args(self.arguments);
        match target {
            Target::Pids(pids) => flame.args(pids.iter().map(u32::to_string)),
            Target::Machine => flame.arg("--all"),
        };
        let start = Instant::now();
        let mut process = Process::start(flame.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let talk = process.child.stderr.take().context("listen to flame")?;
        let mut talk = BufReader::new(talk);
        let mut said = String::new();
        // It says so when it samples.
        while !said.contains("sampling") {
            if talk.read_line(&mut said).context("listen to flame")? == 0 {
                bail!("flame ended: {said}");
            }
        }
        let armed = start.elapsed();
        let cpu_at_start = process.cpu_so_far()?;
        let mut summary = process.child.stdout.take().context("listen to flame")?;
        // Either may be more than a pipe holds.
        let rest = thread::spawn(move || {
            let mut rest = String::new();
            // What cannot be read is missed where it is wanted.
            _ = talk.read_to_string(&mut rest);
            rest
        });
        let said = thread::spawn(move || {
            let mut json = String::new();
            _ = summary.read_to_string(&mut json);
            if json.is_empty() { rest.join().unwrap_or_default() } else { json }
        });
        Ok(Attached { process, armed, cpu_at_start, said })
    }

    pub(super) fn attach_perf(&self, graph: &str, hz: u32, target: &Target) -> Result<Attached> {
        let (orders, answers) = (self.pipe("orders")?, self.pipe("answers")?);
        let mut perf = Command::new("perf");
        // It starts with its events off and says when they are on, as perf itself does not.
        perf.args([
            "record",
            "-q",
            "--call-graph",
            graph,
            "-B",
            "-e",
            "cpu-clock",
            "-F",
            &hz.to_string(),
            "-D",
            "-1",
        ]);
        perf.arg("--control").arg(format!("fifo:{},{}", orders.0.display(), answers.0.display()));
        perf.arg("-o").arg(self.folder.join("perf.data"));
        match target {
            Target::Pids(pids) => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                perf.args(["-p", &pids.join(",")]);
            }
            Target::Machine => _ = perf.arg("-a"),
        }
        let start = Instant::now();
        let mut process = Process::start(perf.stdout(Stdio::null()).stderr(Stdio::null()))?;
        (&orders.1).write_all(b"enable\n").context("tell perf to start")?;
        let mut answer = [0; 16];
        // The pipe has no end while it is open here: perf's own end must be seen otherwise.
        while (&answers.1).read(&mut answer).is_err() {
            if process.child.try_wait().context("look at perf")?.is_some() {
                bail!("perf ended before it sampled");
            }
            thread::sleep(Duration::from_micros(500));
        }
        if !answer.starts_with(b"ack") {
            bail!("perf said {answer:?}");
        }
        let armed = start.elapsed();
        let cpu_at_start = process.cpu_so_far()?;
        Ok(Attached { process, armed, cpu_at_start, said: thread::spawn(String::new) })
    }

    /// A named pipe, open at both ends so that nobody waits to open it.
    fn pipe(&self, name: &str) -> Result<(PathBuf, File)> {
        let path = self.folder.join(name);
        if !path.exists() {
            command::run(Command::new("mkfifo").arg(&path))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(&path).context("open a pipe")?;
        Ok((path, file))
    }
}

impl Attached {
    /// To be called as soon as the target has ended.
    pub(super) fn target_ended(self) -> Result<Ending> {
        let cpu = self.process.cpu_so_far()?;
        Ok(Ending { attached: self, cpu, since: Instant::now() })
    }
}

impl Ending {
    /// Ends a profiler whose target does not end.
    pub(super) fn interrupt(&self) -> Result<()> {
        self.attached.process.interrupt()
    }

    /// Waits until it has written what it writes; what it used, and what it said on stdout.
    pub(super) fn wait(self) -> Result<(Cost, String)> {
        let Attached { process, armed, cpu_at_start, said } = self.attached;
        let Usage { cpu, peak_rss_bytes, own_bytes, succeeded } = process.wait_watching()?;
        let finish = self.since.elapsed();
        let said = said.join().ok().context("read what the profiler said")?;
        if !succeeded {
            bail!("the profiler failed: {said}");
        }
        let cost = Cost {
            armed,
            cpu_start: cpu_at_start,
            cpu_sampling: self.cpu.saturating_sub(cpu_at_start),
            cpu_finish: cpu.saturating_sub(self.cpu),
            finish,
            peak_rss_bytes,
            own_bytes,
        };
        Ok((cost, said))
    }
}

/// Runs `words` under samply; the CPU time that they used, by the shell in between.
pub(super) fn under_samply(place: &Place, hz: u32, words: &[String]) -> Result<(Duration, Usage)> {
    let times = place.folder.join("times");
    let mut samply = Command::new("samply");
    samply.args(["record", "--save-only", "--rate", &hz.to_string(), "--output"]);
    samply.arg(place.folder.join("samply.json.gz"));
    samply.args(["--", "bash", "-c", "\"$@\" </dev/null >/dev/null; times >\"$0\""]).arg(&times);
    samply.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let used = Process::start(&mut samply)?.wait()?;
    if !used.succeeded {
        bail!("samply failed: it wants kernel.perf_event_paranoid at 1");
    }
    let said = std::fs::read_to_string(&times).context("read the target's times")?;
    Ok((shell_times(&said).context("understand the target's times")?, used))
}

/// The user and system time of a shell's children, of what `times` says: `0m1.234s 0m0.005s`, the
/// shell's own in the line before.
fn shell_times(said: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for word in said.lines().nth(1)?.split_whitespace() {
        let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
        let seconds = 60.0 * minutes.parse::<f64>().ok()? + seconds.parse::<f64>().ok()?;
        sum += Duration::try_from_secs_f64(seconds).ok()?;
    }
    Some(sum)
}

/// From the command typed to the first instruction of the program that it starts: the median of
/// some runs, each in nanoseconds.
pub(super) fn command_to_start(place: &Place, kind: Kind, runs: usize) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let mut profiler = match kind {
            Kind::Flame => {
                let mut flame = Command::new(&place.flame);
                flame.args(["record", "-q", "-t", "cpu", "-o"]).arg(place.folder.join("flame"));
                flame
            }
            _ => {
                let mut perf = Command::new("perf");
                perf.args(["record", "-q", "-g", "-B", "-e", "cpu-clock", "-F", "99", "-o"]);
                perf.arg(place.folder.join("perf.data"));
                perf
            }
        };
        profiler.args(["--", "date", "+%s%N"]).stderr(Stdio::null());
        let before = nanoseconds_now()?;
        let started: u128 = command::output(&mut profiler)?.parse().context("read date's time")?;
        times.push(started.saturating_sub(before) as f64);
    }
    Ok(times)
}

fn nanoseconds_now() -> Result<u128> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(now.context("the clock stands before 1970")?.as_nanos())
}

/// Lets profilers without flame's or perf's ways sample, as long as it lives.
#[derive(Debug)]
pub(super) struct Unparanoid(String);

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

impl Unparanoid {
    pub(super) fn set() -> Result<Self> {
        let before = std::fs::read_to_string(PARANOID).context("read perf_event_paranoid")?;
        std::fs::write(PARANOID, "1").context("lower perf_event_paranoid")?;
        Ok(Self(before))
    }
}

impl Drop for Unparanoid {
    fn drop(&mut self) {
        // Nothing better can be done where it cannot be set back.
        drop(std::fs::write(PARANOID, &self.0));
    }
}

/// Removes what the profilers wrote.
pub(super) fn tidy(folder: &Path) {
    // Best effort: the folder goes away at the end.
    drop(std::fs::remove_dir_all(folder.join("flame")));
    drop(std::fs::remove_file(folder.join("perf.data")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shells_times_are_read() {
        let said = "0m0.010s 0m0.000s\n1m2.500s 0m0.250s\n";
        assert_eq!(shell_times(said), Some(Duration::from_millis(62_750)));
        assert_eq!(shell_times("0m0.010s 0m0.000s\n"), None);
    }
}
