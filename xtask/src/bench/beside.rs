//! The slow-down under flame beside that under perf with frame pointers, directly: each run of a
//! program under flame is compared with one under perf right before or after it. That takes half
//! the runs and half the noise of two slow-downs beside bare runs, where the question is which of
//! the two is the greater.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use super::cpu::{self, Effort, FREQUENCIES};
use super::profiler::{Kind, Place};
use super::programs::Prepared;
use super::report::shown;

/// Samples a second: as many as show a difference most.
const HZ: u32 = FREQUENCIES[1];
/// How far the interval may reach from its median, in percentage points.
const REACH: f64 = 0.7;

/// How much is measured.
pub(super) fn effort(quick: bool) -> Effort {
    let (least_rounds, most_rounds) = if quick { (1, 1) } else { (12, 50) };
    Effort { least_rounds, most_rounds, reach: REACH, starts: 0, machine: Duration::ZERO }
}

/// The table.
pub(super) fn perf(programs: &[Prepared], place: &Place, effort: Effort) -> Result<String> {
    let mut text = format!(
        "\n### The target's CPU time under flame, beside that under perf with frame pointers\n\n\
         At {HZ} Hz. Of runs of the program right after one another, one under each, in random order: how much \
         more it takes under flame. Medians, and the intervals that hold them in 95 of 100 cases; \
         pairs are added until the interval reaches at most {REACH} points from the median.\n\n\
         | program | flame beside perf | pairs | no more than perf's |\n|---|---|---|---|\n"
    );
    for program in programs.iter().filter(|program| !program.is_known_chain()) {
        let settings = [(Kind::Flame, HZ)].into_iter();
        let series = cpu::series(program, place, effort, settings, Some(Kind::Perf))?;
        let measured = series.of((Kind::Flame, HZ));
        let interval = measured.cpu_percent();
        let verdict = match interval {
            Some(interval) if interval.low > 0.0 => "**no**",
            Some(interval) if interval.high <= 0.0 => "yes",
            _ => "no difference seen",
        };
        let (name, pairs) = (program.program.name, measured.pairs());
        writeln!(text, "| {name} | {} | {pairs} | {verdict} |", shown(interval))?;
    }
    Ok(text)
}
