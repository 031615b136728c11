//! `cargo xtask bench cpu`: what taking CPU profiles costs, flame's beside perf's.
//!
//! In each round a program runs in pairs, once without a profiler (or under one to compare with) and
//! once under one, one right after the other and in random order: noise that lasts longer than a
//! pair is in both. The ratio of their CPU times is the slow-down. A profiler gets further pairs until the interval of the
//! median is narrow. The kernel's own measure of the kernel programs comes from runs of its own,
//! since measuring costs too.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use super::interval::Interval;
use super::process::{BpfStatistics, BpfUse, Process};
use super::profiler::{self, Cost, Kind, Place, Target};
use super::programs::Prepared;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Rounds that a program gets in any case, and at most.
    pub(super) least_rounds: usize,
    pub(super) most_rounds: usize,
    /// How far the interval of a slow-down may reach from its median, in percentage points, for
    /// there to be no further rounds.
    pub(super) reach: f64,
    /// Runs that measure the time to the first sample.
    pub(super) starts: usize,
    /// A session of the whole machine.
    pub(super) machine: Duration,
}

/// [`Effort::reach`] of a slow-down beside no profiler.
pub(super) const REACH: f64 = 2.0;
pub(super) const FREQUENCIES: [u32; 2] = [99, 999];
const KINDS: [Kind; 2] = [Kind::Flame, Kind::Perf];

/// A profiler at a frequency.
pub(super) type Setting = (Kind, u32);

/// Every profiler at every frequency.
pub(super) fn settings() -> impl Iterator<Item = Setting> {
    each_frequency(&KINDS)
}

/// These profilers at every frequency.
pub(super) fn each_frequency(kinds: &[Kind]) -> impl Iterator<Item = Setting> {
    kinds.iter().copied().flat_map(|kind| FREQUENCIES.map(|hz| (kind, hz)))
}

/// What was measured of a program under a profiler.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) setting: Setting,
    /// Ratios to the other run of the same pair.
    cpu: Vec<f64>,
    wall: Vec<f64>,
    pub(super) costs: Vec<(Cost, Duration)>,
}

/// All of a program.
#[derive(Debug)]
pub(super) struct Series {
    /// Seconds of the runs that the others are compared with.
    pub(super) bare_cpu: Vec<f64>,
    pub(super) bare_wall: Vec<f64>,
    pub(super) measured: Vec<Measured>,
}

/// What the kernel measured of flame's programs while a program kept the CPUs busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) hz: u32,
    pub(super) used: BpfUse,
    pub(super) samples: u64,
    pub(super) target_cpu: Duration,
    /// Mean of a run that finds nothing to sample.
    pub(super) idle_ns: f64,
}

/// One run of a program.
struct Run {
    cpu: Duration,
    wall: Duration,
    cost: Option<Cost>,
}

impl Measured {
    /// Pairs that were run.
    pub(super) fn pairs(&self) -> usize {
        self.cpu.len()
    }

    /// The slow-down in CPU time, in percent.
    pub(super) fn cpu_percent(&self) -> Option<Interval> {
        percent(&self.cpu)
    }

    /// The slow-down in elapsed time, in percent.
    pub(super) fn wall_percent(&self) -> Option<Interval> {
        percent(&self.wall)
    }

    /// Whether the interval of the slow-down is as narrow as asked for.
    pub(super) fn settled(&self, reach: f64) -> bool {
        self.cpu_percent().is_some_and(|interval| interval.holds() && interval.reach() <= reach)
    }
}

fn percent(ratios: &[f64]) -> Option<Interval> {
    let percents: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0) * 100.0).collect();
    Interval::of(&percents)
}

impl Kernel {
    /// Nanoseconds of a run that takes a sample, those of runs that take none left aside.
    pub(super) fn ns_a_sample(&self) -> f64 {
        let others = self.used.sampling_runs.saturating_sub(self.samples);
        let taken = self.used.sampling_ns as f64 - others as f64 * self.idle_ns;
        taken.max(0.0) / self.samples.max(1) as f64
    }

    /// The time in flame's kernel programs as a share of the target's CPU time, in percent.
    pub(super) fn percent(&self) -> f64 {
        let target = self.target_cpu.as_nanos().max(1) as f64;
        self.used.run_time_ns as f64 * 100.0 / target
    }
}

/// Runs a program in rounds, each setting beside `other` at its frequency, or beside no profiler.
pub(super) fn series(
    program: &Prepared,
    place: &Place,
    effort: Effort,
    settings: impl Iterator<Item = Setting>,
    other: Option<Kind>,
) -> Result<Series> {
    let name = program.program.name;
    let measured = |setting| Measured { setting, cpu: vec![], wall: vec![], costs: vec![] };
    let mut series = Series {
        bare_cpu: Vec::new(),
        bare_wall: Vec::new(),
        measured: settings.map(measured).collect(),
    };
    let mut order: Vec<usize> = (0..series.measured.len()).collect();
    let mut random = seed();
    // The files are read and the caches filled before the first measurement.
    run(program, place, None)?;
    for round in 1..=effort.most_rounds {
        shuffle(&mut order, &mut random);
        for &index in &order {
            if round > effort.least_rounds && series.measured[index].settled(effort.reach) {
                continue;
            }
            let setting = series.measured[index].setting;
            let other = other.map(|kind| (kind, setting.1));
            let mut pair = [other, Some(setting)];
            shuffle(&mut pair, &mut random);
            let mut runs = Vec::new();
            for setting in pair {
                runs.push(run(program, place, setting)?);
                profiler::tidy(&place.folder);
            }
            if pair[0] != other {
                runs.reverse();
            }
            series.take_in(index, &runs);
        }
        let open =
            series.measured.iter().filter(|measured| !measured.settled(effort.reach)).count();
        eprint!("\r{name}: {round} rounds, {open} intervals wide ");
        if open == 0 && round >= effort.least_rounds {
            break;
        }
    }
    eprintln!();
    Ok(series)
}

impl Series {
    /// Takes in a pair: the run that is compared with, and the one under the setting.
    fn take_in(&mut self, index: usize, pair: &[Run]) {
        let [other, under] = pair else { return };
        let measured = &mut self.measured[index];
        measured.cpu.push(under.cpu.as_secs_f64() / other.cpu.as_secs_f64());
        measured.wall.push(under.wall.as_secs_f64() / other.wall.as_secs_f64());
        measured.costs.extend(under.cost.map(|cost| (cost, under.wall)));
        self.bare_cpu.push(other.cpu.as_secs_f64());
        self.bare_wall.push(other.wall.as_secs_f64());
    }
}

/// Runs a program to its end, under a profiler or none.
fn run(program: &Prepared, place: &Place, setting: Option<Setting>) -> Result<Run> {
    if let Some((Kind::Samply, hz)) = setting {
        let start = Instant::now();
        let (cpu, used) = profiler::under_samply(place, hz, program.words())?;
        let cost = Cost { peak_rss_bytes: used.peak_rss_bytes, ..Cost::default() };
        return Ok(Run { cpu, wall: start.elapsed(), cost: Some(cost) });
    }
    let mut process = program.start(1)?;
    let pids = Target::Pids(vec![process.pid()]);
    let attached = setting.map(|(kind, hz)| place.attach(kind, hz, &pids)).transpose()?;
    let start = Instant::now();
    let took = program.drive(&mut process)?;
    let used = process.wait()?;
    let wall = took.unwrap_or_else(|| start.elapsed());
    ensure!(used.succeeded, "{} failed", program.program.name);
    let cost = match attached {
        Some(attached) => Some(attached.target_ended()?.wait()?.0),
        None => None,
    };
    Ok(Run { cpu: used.cpu, wall, cost })
}

/// Has the kernel measure flame's programs while copies of a program keep every CPU busy.
pub(super) fn kernel(program: &Prepared, place: &Place, hz: u32) -> Result<Kernel> {
    let _measuring = BpfStatistics::enable()?;
    let idle = idle_run(place, hz)?;
    // With a second target that does nothing, flame goes on until its numbers are read.
    let keeper = Process::gated(&["true".to_owned()], 1)?;
    let mut process = program.start(cpus())?;
    let pids = Target::Pids(vec![process.pid(), keeper.pid()]);
    let attached = place.attach(Kind::Flame, hz, &pids)?;
    let before = BpfUse::of(&attached.process)?;
    program.drive(&mut process)?;
    let target = process.wait()?;
    let after = BpfUse::of(&attached.process)?;
    drop(keeper);
    let (_, said) = attached.target_ended()?.wait()?;
    profiler::tidy(&place.folder);
    Ok(Kernel {
        hz,
        used: after.since(&before),
        samples: samples(&said)?,
        target_cpu: target.cpu,
        idle_ns: idle,
    })
}

/// Mean nanoseconds of a run of the sampling program that finds nothing to sample.
pub(super) fn idle_run(place: &Place, hz: u32) -> Result<f64> {
    let keeper = Process::gated(&["true".to_owned()], 1)?;
    let target = Target::Pids(vec![keeper.pid()]);
    let attached = place.attach(Kind::Flame, hz, &target)?;
    std::thread::sleep(Duration::from_secs(1));
    let used = BpfUse::of(&attached.process)?;
    drop(keeper);
    attached.target_ended()?.wait()?;
    Ok(used.sampling_ns as f64 / used.sampling_runs.max(1) as f64)
}

/// The whole machine for a time, while copies of a program keep every CPU busy: what the profiler
/// used, and for how long it sampled.
pub(super) fn machine(
    program: &Prepared,
    place: &Place,
    (kind, hz): Setting,
    time: Duration,
) -> Result<(Cost, Duration)> {
    let attached = place.attach(kind, hz, &Target::Machine)?;
    let start = Instant::now();
    while start.elapsed() < time {
        let mut process = program.start(cpus())?;
        program.drive(&mut process)?;
        process.wait()?;
    }
    let sampled = start.elapsed();
    let ending = attached.target_ended()?;
    ending.interrupt()?;
    let (cost, _) = ending.wait()?;
    profiler::tidy(&place.folder);
    Ok((cost, sampled))
}

/// Samples in flame's JSON summary.
fn samples(json: &str) -> Result<u64> {
    let value: serde_json::Value = serde_json::from_str(json).context("read flame's summary")?;
    value["profiles"][0]["samples"].as_u64().context("flame's summary tells no samples")
}

pub(super) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 | 1
}

/// Puts a list into random order.
pub(super) fn shuffle<T>(list: &mut [T], state: &mut u64) {
    for last in (1..list.len()).rev() {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let other = *state % (last as u64 + 1);
        list.swap(last, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_keeps_every_element() {
        let mut list: Vec<u32> = (0..50).collect();
        shuffle(&mut list, &mut 7);
        assert_ne!(list, (0..50).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_cost_of_a_sample_leaves_idle_runs_aside() {
        let used =
            BpfUse { run_time_ns: 12_000, sampling_ns: 11_000, sampling_runs: 20, memory_bytes: 0 };
        let target_cpu = Duration::from_micros(1200);
        let kernel = Kernel { hz: 99, used, samples: 10, target_cpu, idle_ns: 100.0 };
        assert!((kernel.ns_a_sample() - 1000.0).abs() < 1e-9);
        assert!((kernel.percent() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_summary_tells_its_samples() -> Result<()> {
        assert_eq!(samples(r#"{"profiles": [{"samples": 12}]}"#)?, 12);
        assert!(samples(r#"{"profiles": []}"#).is_err());
        Ok(())
    }
}
