//! What one more frame costs in the kernel: a program whose stacks are now shallow and now deep.
//!
//! What a sample costs beside its frames (the ring, the registers, the look-up of the process) is
//! in both and goes out of their difference.

use std::fmt::Write as _;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::cpu::{self, cpus, idle_run};
use super::interval::{Interval, middle};
use super::process::{BpfStatistics, BpfUse, Process};
use super::profiler::{self, Kind, Place, Target};
use crate::{command, workspace};

/// Samples a second of each CPU.
const HZ: u32 = 999;
/// Functions on the stacks, those of the thread's start and the innermost left aside: as
/// `tests/workloads/c/depth.c` has them.
const SHALLOW: u32 = 16;
const DEEP: u32 = 80;
/// How long a stack's depth is measured, and how long after its change that begins.
const WINDOW: Duration = Duration::from_millis(400);
const SETTLED: Duration = Duration::from_millis(30);

/// How long the program runs at most, by whole seconds of which each signal may take one.
const SECONDS: &str = "600";
/// What one more frame is to cost at most, in nanoseconds.
const AIM_NS: f64 = 40.0;

/// What was measured at one depth.
#[derive(Clone, Copy, Debug)]
struct Window {
    used: BpfUse,
    /// The share of all CPUs' time in which the target ran: of the runs that found a sample.
    share: f64,
}

/// The part on one more frame: so many pairs of windows.
pub(super) fn one_more_frame(place: &Place, pairs: usize) -> Result<String> {
    let _measuring = BpfStatistics::enable()?;
    let idle_ns = idle_run(place, HZ)?;
    let mut process = start(place)?;
    let attached = place.attach(Kind::Flame, HZ, &Target::Pids(vec![process.pid()]))?;
    process.release()?;
    // Before it listens to signals they would end it.
    sleep(WINDOW);
    let mut random = cpu::seed();
    let (mut shallow, mut deep) = (Vec::new(), Vec::new());
    // Once for the tables.
    for signal in [libc::SIGUSR1, libc::SIGUSR2] {
        window(&process, &attached.process, signal)?;
    }
    for _ in 0..pairs {
        let mut order = [(libc::SIGUSR1, &mut shallow), (libc::SIGUSR2, &mut deep)];
        cpu::shuffle(&mut order, &mut random);
        for (signal, samples) in order {
            samples.push(window(&process, &attached.process, signal)?.ns_a_sample(idle_ns));
        }
    }
    drop(process);
    attached.target_ended()?.wait()?;
    profiler::tidy(&place.folder);
    told(&shallow, &deep)
}

/// The program at its gate, with a thread for each CPU.
fn start(place: &Place) -> Result<Process> {
    let path = place.folder.join("depth");
    let source = workspace::root().join("tests/workloads/c/depth.c");
    let flags = ["-O2", "-fomit-frame-pointer", "-pthread", "-o"];
    command::run(Command::new("gcc").args(flags).arg(&path).arg(source))?;
    let words = [path.to_string_lossy().into_owned(), cpus().to_string(), SECONDS.to_owned()];
    Process::gated(&words, 1)
}

/// Has the program's stacks be as `signal` says, and measures for a while.
fn window(process: &Process, flame: &Process, signal: libc::c_int) -> Result<Window> {
    process.signal(signal)?;
    sleep(SETTLED);
    let (before, cpu_before, began) = (BpfUse::of(flame)?, process.cpu_so_far()?, Instant::now());
    sleep(WINDOW);
    let (after, cpu_after, took) = (BpfUse::of(flame)?, process.cpu_so_far()?, began.elapsed());
    let cpu = cpu_after.saturating_sub(cpu_before).as_secs_f64();
    let share = (cpu / took.as_secs_f64() / cpus() as f64).min(1.0);
    ensure!(share > 0.2, "the program had {:.0} % of the CPUs' time", share * 100.0);
    Ok(Window { used: after.since(&before), share })
}

impl Window {
    /// Nanoseconds of a run that takes a sample, where one that takes none takes `idle_ns`.
    fn ns_a_sample(&self, idle_ns: f64) -> f64 {
        let mean = self.used.sampling_ns as f64 / self.used.sampling_runs.max(1) as f64;
        (mean - (1.0 - self.share) * idle_ns) / self.share
    }
}

/// The measurements as text.
fn told(shallow: &[f64], deep: &[f64]) -> Result<String> {
    let slopes: Vec<f64> = shallow.iter().zip(deep).map(|(s, d)| slope(*s, *d)).collect();
    let slope = Interval::of(&slopes).context("nothing was measured")?;
    let mut text = format!(
        "\n### One more frame\n\nA thread on each CPU works on stacks that are {SHALLOW} or {DEEP} \
         functions deep (`tests/workloads/c/depth.c`: eight functions in turn, without frame \
         pointers), in windows of {} ms, two a pair, in random order, in one session at {HZ} Hz. \
         The kernel measures flame's program; the runs that find another task are taken off by \
         the share of time that the threads had. One more frame is what a deep sample takes \
         beyond a shallow one, over the {} frames between: what a sample costs beside its frames \
         is in neither. The tables are in the kernel, and its caches have seen these stacks. The \
         median of the pairs, and the interval that holds it in 95 of 100 cases.\n\n\
         | pairs | a sample, {SHALLOW} deep | a sample, {DEEP} deep | one more frame |\n\
         |---|---|---|---|\n",
        WINDOW.as_millis(),
        DEEP - SHALLOW,
    );
    writeln!(
        text,
        "| {} | {:.0} ns | {:.0} ns | {:.1} ns [{:.1}, {:.1}] (aim {AIM_NS:.0}: {}) |\n",
        slope.count,
        middle(shallow.iter().copied()),
        middle(deep.iter().copied()),
        slope.median,
        slope.low,
        slope.high,
        if slope.high <= AIM_NS { "met" } else { "**missed**" },
    )?;
    Ok(text)
}

/// Nanoseconds a frame, of samples at the two depths.
fn slope(shallow: f64, deep: f64) -> f64 {
    (deep - shallow) / f64::from(DEEP - SHALLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_find_another_task_are_taken_off() {
        let used = BpfUse { sampling_ns: 75_000, sampling_runs: 100, ..BpfUse::default() };
        // Half of the runs take 100 ns: the others take 1400.
        let window = Window { used, share: 0.5 };
        assert!((window.ns_a_sample(100.0) - 1400.0).abs() < 1e-9);
    }

    #[test]
    fn what_both_depths_cost_is_in_no_frame() {
        assert!((slope(1000.0, 1640.0) - 10.0).abs() < 1e-9);
        let text = told(&[1000.0; 6], &[1640.0; 6]).expect("a table");
        assert!(
            text.contains("| 6 | 1000 ns | 1640 ns | 10.0 ns [10.0, 10.0] (aim 40: met) |\n"),
            "{text}"
        );
    }
}
