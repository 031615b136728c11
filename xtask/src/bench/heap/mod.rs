//! `cargo xtask bench heap`: what heap profiles cost the program that is profiled, in its CPU time:
//! flame within its budget and flame exact, beside heaptrack and memleak.
//!
//! In each round a program runs bare and under flame within its budget, one right after the other in
//! random order, so that noise which lasts longer than both is in both; then under each other tool,
//! in random order. A run's CPU time over that of the same round's bare run is its slow-down. Rounds
//! go on until the interval of flame's median is narrow; flame exact and the other tools, which take
//! many times as long, take part in the first of them.

mod memleak;
pub(super) mod out;
mod table;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub(super) use self::table::Table;
use super::cpu::{REACH, seed, shuffle};
use super::interval::Interval;
use super::process::Usage;
use super::profiler::{self, Place, Target};
use super::programs::Prepared;

/// Where the tables lie in BENCHMARKS.md.
pub(super) const BEGIN: &str = "<!-- cargo xtask bench heap: begin -->";
pub(super) const END: &str = "<!-- cargo xtask bench heap: end -->";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Rounds that a program gets in any case, and at most.
    pub(super) least: usize,
    pub(super) most: usize,
    /// Rounds in which the other tools take part.
    pub(super) others: usize,
}

/// What profiles the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    /// flame as it comes: within its budget.
    Governed,
    /// flame, every allocation's probe armed all the time.
    Exact,
    Heaptrack,
    Memleak,
}

const TOOLS: [Tool; 4] = [Tool::Governed, Tool::Exact, Tool::Heaptrack, Tool::Memleak];
/// Where heaptrack's library lies on Debian and Ubuntu, and where others put it.
const HEAPTRACK: [&str; 3] = [
    "/usr/lib/heaptrack/libheaptrack_preload.so",
    "/usr/lib64/heaptrack/libheaptrack_preload.so",
    "/usr/local/lib/heaptrack/libheaptrack_preload.so",
];
/// Rounds in which flame exact takes part at least.
const EXACT: usize = 3;

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Governed => "flame",
            Self::Exact => "flame, exact",
            Self::Heaptrack => "heaptrack",
            Self::Memleak => "memleak",
        }
    }

    const fn is_flame(self) -> bool {
        matches!(self, Self::Governed | Self::Exact)
    }

    /// Why it cannot be measured here.
    fn missing(self) -> Option<&'static str> {
        match self {
            Self::Governed | Self::Exact => None,
            Self::Heaptrack => heaptrack().is_none().then_some("heaptrack is not installed"),
            Self::Memleak => memleak::find().is_none().then_some("there is none here"),
        }
    }

    /// Why it cannot be measured on a program.
    fn cannot(self, program: &Prepared) -> Option<&'static str> {
        let of_one = matches!(self, Self::Heaptrack | Self::Memleak);
        (of_one && program.has_children()).then_some("it looks at one process")
    }
}

fn heaptrack() -> Option<&'static str> {
    HEAPTRACK.into_iter().find(|path| Path::new(path).exists())
}

/// A tool's slow-downs of a program.
#[derive(Debug)]
struct Measured {
    tool: Tool,
    /// CPU time, as ratios to the bare run of the same round.
    cpu: Vec<f64>,
    /// From the command to the first probe armed, in milliseconds; flame's alone.
    armed_ms: Vec<f64>,
    /// What flame itself says that its probes cost, as the program's CPU time is told.
    said: Vec<f64>,
    /// And what a hit costs, in nanoseconds.
    price_ns: Vec<f64>,
    /// The CPU time that flame says its probes took (traps times price), over what the run took
    /// more than the bare one.
    explained: Vec<f64>,
    /// The longest that putting probes in, and taking them out, took in each run, in milliseconds;
    /// flame's alone.
    attach_ms: Vec<f64>,
    detach_ms: Vec<f64>,
    /// Why it was not measured, or no longer.
    left_out: Option<String>,
}

/// A program's row.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    what: &'static str,
    version: String,
    bare: Vec<f64>,
    measured: Vec<Measured>,
}

/// Runs a program in rounds.
pub(super) fn measure(program: &Prepared, place: &Place, effort: Effort) -> Result<Row> {
    let name = program.program.name;
    let measured = |tool: Tool| Measured {
        tool,
        cpu: Vec::new(),
        armed_ms: Vec::new(),
        said: Vec::new(),
        price_ns: Vec::new(),
        explained: Vec::new(),
        attach_ms: Vec::new(),
        detach_ms: Vec::new(),
        left_out: tool.missing().or(tool.cannot(program)).map(str::to_owned),
    };
    let mut row = Row {
        name,
        what: program.program.what,
        version: program.version.clone(),
        bare: Vec::new(),
        measured: TOOLS.map(measured).into(),
    };
    let mut order: Vec<Option<usize>> =
        std::iter::once(None).chain((0..TOOLS.len()).map(Some)).collect();
    let mut random = seed();
    // The files are read and the caches filled before the first measurement.
    run(program, place, None)?;
    loop {
        shuffle(&mut order, &mut random);
        order.sort_by_key(|which| which.is_some_and(|tool| TOOLS[tool] != Tool::Governed));
        row.round(program, place, &order, effort)?;
        let rounds = row.bare.len();
        eprint!("\r{name}: {rounds} rounds");
        let governed = |measured: &&Measured| measured.tool == Tool::Governed;
        let settled = row.measured.iter().filter(governed).all(Measured::settled);
        if rounds >= effort.least && (settled || rounds >= effort.most) {
            eprintln!();
            return Ok(row);
        }
    }
}

impl Row {
    fn round(
        &mut self,
        program: &Prepared,
        place: &Place,
        order: &[Option<usize>],
        effort: Effort,
    ) -> Result<()> {
        let done = self.bare.len();
        let mut bare = None;
        let mut ratios: Vec<(usize, f64, Option<f64>)> = Vec::new();
        for &which in order {
            let tool = which.map(|index| TOOLS[index]);
            let takes_part = match which {
                Some(index) => {
                    let rounds = match TOOLS[index] {
                        Tool::Governed => usize::MAX,
                        Tool::Exact => effort.others.max(EXACT),
                        Tool::Heaptrack | Tool::Memleak => effort.others,
                    };
                    self.measured[index].left_out.is_none() && done < rounds
                }
                None => true,
            };
            if !takes_part {
                continue;
            }
            let ran = run(program, place, tool);
            profiler::tidy(&place.folder);
            match (which, ran) {
                (None, ran) => bare = Some(ran?.0.cpu.as_secs_f64()),
                (Some(index), Ok((used, told))) => {
                    let cpu = used.cpu.as_secs_f64();
                    let in_probes = told.as_ref().and_then(|told| told.in_probes(cpu));
                    ratios.push((index, cpu, in_probes));
                    if let Some(told) = told {
                        self.measured[index].take_in(&told);
                    }
                }
                // Another tool's failure is its own, and is told in the table.
                (Some(index), Err(error)) if !TOOLS[index].is_flame() => {
                    self.measured[index].left_out = Some(format!("{error:#}"));
                }
                (Some(_), Err(error)) => return Err(error),
            }
        }
        let bare = bare.context("each round has a bare run")?;
        for (index, cpu, in_probes) in ratios {
            let measured = &mut self.measured[index];
            measured.cpu.push(cpu / bare);
            measured.explained.extend(in_probes.map(|in_probes| in_probes / (cpu - bare)));
        }
        self.bare.push(bare);
        Ok(())
    }
}

impl Measured {
    fn interval(&self) -> Option<Interval> {
        Interval::of(&self.cpu)
    }

    fn take_in(&mut self, told: &Told) {
        self.armed_ms.push(told.armed.as_secs_f64() * 1e3);
        if let Some(Probes { percent, price_ns, attach_ns, detach_ns }) = told.probes {
            self.said.push(1.0 + percent / 100.0);
            self.price_ns.push(price_ns);
            self.attach_ms.push(attach_ns / 1e6);
            self.detach_ms.push(detach_ns / 1e6);
        }
    }

    /// Whether the interval is as narrow as asked for, in percentage points.
    fn settled(&self) -> bool {
        self.interval().is_some_and(|i| i.holds() && i.reach() * 100.0 <= REACH)
    }
}

/// What flame tells of a run.
struct Told {
    /// How long it took to arm its probes.
    armed: Duration,
    /// What they cost, if they were hit.
    probes: Option<Probes>,
}

impl Told {
    /// The CPU time in probes of a run that took `cpu`, as flame says.
    fn in_probes(&self, cpu: f64) -> Option<f64> {
        let share = self.probes?.percent / 100.0;
        Some(cpu * share / (1.0 + share))
    }
}

/// What flame says of its probes.
#[derive(Clone, Copy)]
struct Probes {
    /// Their cost in percent of the program's own CPU time, and that of a hit in nanoseconds.
    percent: f64,
    price_ns: f64,
    /// The longest that putting them in, and taking them out, took.
    attach_ns: f64,
    detach_ns: f64,
}

/// Runs a program to its end, under a tool or none: what the program used, and what flame told.
fn run(program: &Prepared, place: &Place, tool: Option<Tool>) -> Result<(Usage, Option<Told>)> {
    let recording = place.folder.join("heaptrack.raw");
    let mut process = match tool {
        Some(Tool::Heaptrack) => {
            let library = heaptrack().context("find heaptrack again")?;
            program.start_with(&[
                format!("LD_PRELOAD={library}"),
                format!("DUMP_HEAPTRACK_OUTPUT={}", recording.display()),
            ])?
        }
        _ => program.start(1)?,
    };
    let target = Target::Pids(vec![process.pid()]);
    let types = program.types();
    let flame = match tool {
        Some(Tool::Governed) => Some(place.attach_flame(&["--type", types], &target)?),
        Some(Tool::Exact) => {
            Some(place.attach_flame(&["--type", types, "--heap-mode", "exact"], &target)?)
        }
        _ => None,
    };
    let other = match tool {
        Some(Tool::Memleak) => Some(memleak::attach(&process, program.allocator())?),
        _ => None,
    };
    program.drive(&mut process)?;
    let used = process.wait()?;
    ensure!(used.succeeded, "{} failed", program.program.name);
    // Best effort: the folder goes away at the end.
    drop(fs::remove_file(recording));
    drop(other);
    let Some(flame) = flame else { return Ok((used, None)) };
    let armed = flame.armed;
    let (_, summary) = flame.target_ended()?.wait()?;
    let summary: Value = serde_json::from_str(&summary).context("read flame's summary")?;
    let heap = summary["profiles"].as_array().into_iter().flatten();
    let heap = heap.into_iter().find(|profile| profile["profile"] == "heap");
    let probes = heap.and_then(|heap| {
        let number = |name: &str| heap["probes"][name].as_f64();
        Some(Probes {
            percent: number("percent")?,
            price_ns: number("price_ns")?,
            attach_ns: number("attach_ns")?,
            detach_ns: number("detach_ns")?,
        })
    });
    Ok((used, Some(Told { armed, probes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn measured(tool: Tool, cpu: &[f64]) -> Measured {
        Measured {
            tool,
            cpu: cpu.to_vec(),
            armed_ms: vec![40.0],
            said: vec![1.03],
            price_ns: vec![640.0],
            explained: vec![0.97],
            attach_ms: vec![9.0],
            detach_ms: vec![17.0],
            left_out: None,
        }
    }

    #[test]
    fn a_narrow_interval_of_enough_rounds_settles() {
        assert!(measured(Tool::Exact, &[1.5; 9]).settled());
        assert!(!measured(Tool::Exact, &[1.5; 3]).settled());
        let wide: Vec<f64> = (0..9).map(|n| 1.5 + f64::from(n) / 50.0).collect();
        assert!(!measured(Tool::Exact, &wide).settled());
    }
}
