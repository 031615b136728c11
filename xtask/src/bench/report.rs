//! The tables of a benchmark, as Markdown, and their place in BENCHMARKS.md.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cpu::{Kernel, Measured, REACH, Series, Setting};
use super::interval::{Interval, middle};
use super::profiler::{Cost, Kind};
use crate::{command, workspace};

/// Between these lines the tables stand.
const BEGIN: &str = "<!-- cargo xtask bench cpu: begin -->";
const END: &str = "<!-- cargo xtask bench cpu: end -->";

/// The aims.
const AIM_HZ: u32 = 99;
const AIM_KERNEL_PERCENT: f64 = 0.5;
const AIM_OWN_PERCENT: f64 = 1.0;
const AIM_OWN_MB: f64 = 100.0;
const AIM_START_MS: f64 = 300.0;

/// All that was measured.
#[derive(Debug)]
pub(super) struct Report {
    /// When, where, with what.
    heading: Vec<String>,
    /// Nanoseconds from the command typed to the program started.
    pub(super) starts: Vec<(Kind, Vec<f64>)>,
    pub(super) rows: Vec<Row>,
    pub(super) machine: Vec<Machine>,
}

/// A program's part.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) version: String,
    pub(super) kernel: Vec<Kernel>,
    pub(super) series: Series,
}

/// A session of the whole machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) setting: Setting,
    pub(super) cost: Cost,
    pub(super) time: Duration,
    /// What kept the machine busy.
    pub(super) program: &'static str,
}

impl Report {
    /// With nothing measured yet; `told` is the command's arguments.
    pub(super) fn begin(flame: &Path, told: &str) -> Result<Self> {
        let mut heading = machine(flame, told)?;
        heading.push(format!(
            "- perf: {}, as `perf record -g -B -e cpu-clock`: without its search for build \
                 IDs at the end, in which some versions die",
            first_line(Path::new("perf"), "--version")
        ));
        Ok(Self { heading, starts: Vec::new(), rows: Vec::new(), machine: Vec::new() })
    }

    /// Puts the tables into their place in a file, or at its end.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let old = fs::read_to_string(path).unwrap_or_default();
        let new = splice_between(&old, BEGIN, END, &self.to_string());
        fs::write(path, new).with_context(|| format!("write {}", path.display()))?;
        println!("{} tells what was measured", path.display());
        Ok(())
    }

    /// The costs of flame at a frequency: each program's and the machine's.
    fn own_percents(&self, hz: u32) -> impl Iterator<Item = f64> {
        let setting = (Kind::Flame, hz);
        let programs = self.rows.iter().map(move |row| row.series.of(setting).own_percent());
        let machine = self.machine.iter().filter(move |session| session.setting == setting);
        programs.chain(machine.map(|session| own_percent(&session.cost, session.time)))
    }
}

impl Series {
    pub(super) fn of(&self, setting: Setting) -> &Measured {
        let found = self.measured.iter().find(|measured| measured.setting == setting);
        found.expect("a series measures every setting")
    }
}

impl Measured {
    /// The profiler's own CPU time while it sampled, in percent of one CPU.
    fn own_percent(&self) -> f64 {
        middle(self.costs.iter().map(|(cost, wall)| own_percent(cost, *wall)))
    }

    fn of(&self, value: impl Fn(&Cost) -> f64) -> f64 {
        middle(self.costs.iter().map(|(cost, _)| value(cost)))
    }
}

fn own_percent(cost: &Cost, wall: Duration) -> f64 {
    cost.cpu_sampling.as_secs_f64() * 100.0 / wall.as_secs_f64()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn processors() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let models: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, model)| model.trim())
        .collect();
    let model = models.first().copied().unwrap_or("unknown");
    let virtual_machine = if text.contains(" hypervisor") { " of a virtual machine" } else { "" };
    Ok(format!("{} CPUs{virtual_machine}, {model}", models.len()))
}

/// When, where and with what `cargo xtask {told}` measured.
pub(super) fn machine(flame: &Path, told: &str) -> Result<Vec<String>> {
    let date = first_line(Path::new("date"), "--utc");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("read uname")?;
    let commit = command::output(
        Command::new("git")
            .args(["describe", "--always", "--dirty"])
            .current_dir(workspace::root()),
    );
    Ok(vec![
        format!("Measured {date} by `cargo xtask {told}`."),
        format!("- machine: {}, kernel {}", processors()?, release.trim()),
        format!(
            "- flame: {}, commit {}, built with {}",
            first_line(flame, "--version"),
            commit.unwrap_or_else(|_| "unknown".to_owned()),
            first_line(Path::new("rustc"), "--version"),
        ),
    ])
}

pub(super) fn first_line(program: &Path, argument: &str) -> String {
    let said = command::output(Command::new(program).arg(argument)).unwrap_or_default();
    said.lines().next().unwrap_or("unknown").to_owned()
}

/// The file's text with the tables in their place.
pub(super) fn splice_between(old: &str, begin: &str, end: &str, tables: &str) -> String {
    let (before, after) = match (old.split_once(begin), old.split_once(end)) {
        (Some((before, _)), Some((_, after))) => (before.to_owned(), after),
        _ => (format!("{}\n\n", old.trim_end()), "\n"),
    };
    format!("{before}{begin}\n\n{tables}\n{end}{after}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.heading {
            writeln!(f, "{line}{}", if line.starts_with('-') { "" } else { "\n" })?;
        }
        for row in &self.rows {
            writeln!(f, "- {}: {} ({})", row.name, row.what, row.version)?;
        }
        self.aims(f)?;
        self.kernel(f)?;
        self.slow_down(f)?;
        self.own(f)?;
        self.start(f)
    }
}

impl Report {
    fn aims(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.rows.iter().flat_map(|row| &row.kernel);
        let kernel = greatest(all.filter(|kernel| kernel.hz == AIM_HZ).map(Kernel::percent));
        let own = greatest(self.own_percents(AIM_HZ));
        let costs = self
            .rows
            .iter()
            .flat_map(|row| &row.series.measured)
            .filter(|measured| measured.setting.0 == Kind::Flame)
            .flat_map(|measured| measured.costs.iter().map(|(cost, _)| cost));
        let machine = self.machine.iter().filter(|session| session.setting.0 == Kind::Flame);
        let costs = costs.chain(machine.map(|session| &session.cost));
        let memory = greatest(costs.map(|cost| mb(cost.peak_rss_bytes)));
        let start = self.starts.iter().find(|(kind, _)| *kind == Kind::Flame);
        let start = start.map_or(f64::NAN, |(_, times)| middle(times.iter().copied())) / 1e6;
        let row = |what: &str, measured: f64, aim: f64, unit: &str| {
            let met = if measured < aim { "yes" } else { "**no**" };
            format!("| {what} | under {aim} {unit} | {measured:.2} {unit} | {met} |")
        };
        writeln!(f, "\n### Aims\n\n| what | aim | measured, the worst | met |\n|---|---|---|---|")?;
        let hz = format!("at {AIM_HZ} Hz");
        let kernel_row = format!("kernel time of a target's CPU time, {hz}");
        let own_row = format!("flame's own CPU time while it samples, of one CPU, {hz}");
        writeln!(f, "{}", row(&kernel_row, kernel, AIM_KERNEL_PERCENT, "%"))?;
        writeln!(f, "{}", row(&own_row, own, AIM_OWN_PERCENT, "%"))?;
        writeln!(f, "{}", row("flame's peak memory, any session", memory, AIM_OWN_MB, "MB"))?;
        writeln!(f, "{}", row("from the command to sampling, median", start, AIM_START_MS, "ms"))
    }

    fn kernel(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n### Time in the kernel\n\nMeasured by the kernel while copies of the program keep \
             every CPU busy. The last column is the cost to quote.\n\n\
             | program | Hz | samples | a sample | a run without one | kernel memory | kernel time of CPU time |\n\
             |---|---|---|---|---|---|---|"
        )?;
        for (row, kernel) in
            self.rows.iter().flat_map(|row| row.kernel.iter().map(move |k| (row, k)))
        {
            writeln!(
                f,
                "| {} | {} | {} | {:.0} ns | {:.0} ns | {:.1} MB | {:.3} % |",
                row.name,
                kernel.hz,
                kernel.samples,
                kernel.ns_a_sample(),
                kernel.idle_ns,
                mb(kernel.used.memory_bytes),
                kernel.percent(),
            )?;
        }
        Ok(())
    }

    fn slow_down(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n### Slow-down, in pairs\n\nThe target's CPU time and elapsed time beside a run \
             without a profiler: medians, and the intervals that hold them in 95 of 100 cases. \
             Pairs are added until the interval of CPU time reaches at most {REACH} points from \
             the median.\n\n\
             | program | Hz | flame: CPU time | perf: CPU time | flame: elapsed | perf: elapsed | pairs: flame, perf |\n\
             |---|---|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            for hz in super::cpu::FREQUENCIES {
                let [flame, perf] = [Kind::Flame, Kind::Perf].map(|kind| row.series.of((kind, hz)));
                let wide = |of: &Measured| if of.settled(REACH) { "" } else { " (still wide)" };
                writeln!(
                    f,
                    "| {} | {hz} | {} | {} | {} | {} | {}{}, {}{} |",
                    row.name,
                    shown(flame.cpu_percent()),
                    shown(perf.cpu_percent()),
                    shown(flame.wall_percent()),
                    shown(perf.wall_percent()),
                    flame.pairs(),
                    wide(flame),
                    perf.pairs(),
                    wide(perf),
                )?;
            }
        }
        writeln!(f, "\nWithout a profiler:\n\n| program | CPU time | elapsed |\n|---|---|---|")?;
        for Row { name, series, .. } in &self.rows {
            let seconds = |values: &[f64]| middle(values.iter().copied());
            let (cpu, wall) = (seconds(&series.bare_cpu), seconds(&series.bare_wall));
            writeln!(f, "| {name} | {cpu:.2} s | {wall:.2} s |")?;
        }
        Ok(())
    }

    fn own(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n### The profiler itself\n\nMedians. What flame does after the target's end names \
             every function and writes the profile and the page; perf writes addresses, and reads \
             names in `perf report`.\n\n\
             | program | Hz | profiler | CPU to sampling | CPU while sampling | CPU after | elapsed after | peak memory | without file pages |\n\
             |---|---|---|---|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            for measured in &row.series.measured {
                let (kind, hz) = measured.setting;
                let of = |value: fn(&Cost) -> f64| measured.of(value);
                writeln!(
                    f,
                    "| {} | {hz} | {} | {:.0} ms | {:.2} % of one | {:.0} ms | {:.0} ms | {:.1} MB | {:.1} MB |",
                    row.name,
                    kind.name(),
                    of(|cost| ms(cost.cpu_start)),
                    measured.own_percent(),
                    of(|cost| ms(cost.cpu_finish)),
                    of(|cost| ms(cost.finish)),
                    of(|cost| mb(cost.peak_rss_bytes)),
                    of(|cost| mb(cost.own_bytes)),
                )?;
            }
        }
        for Machine { setting: (kind, hz), cost, time, program } in &self.machine {
            writeln!(
                f,
                "| {:.0} s of the whole machine, {program} on every CPU | {hz} | {} | {:.0} ms | \
                 {:.2} % of one | {:.0} ms | {:.0} ms | {:.1} MB | {:.1} MB |",
                time.as_secs_f64(),
                kind.name(),
                ms(cost.cpu_start),
                own_percent(cost, *time),
                ms(cost.cpu_finish),
                ms(cost.finish),
                mb(cost.peak_rss_bytes),
                mb(cost.own_bytes),
            )?;
        }
        Ok(())
    }

    fn start(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n### From the command to sampling\n\n`record`: to the first instruction of the \
             command. `attach`: to the profiler's word that it samples.\n\n\
             | profiler | record | attach |\n|---|---|---|"
        )?;
        for (kind, times) in &self.starts {
            let of_kind = self
                .rows
                .iter()
                .flat_map(|row| &row.series.measured)
                .filter(|measured| measured.setting.0 == *kind);
            let attach: Vec<f64> = of_kind
                .flat_map(|measured| measured.costs.iter().map(|(cost, _)| ms(cost.armed)))
                .collect();
            let record: Vec<f64> = times.iter().map(|time| time / 1e6).collect();
            let text = |values: &[f64]| {
                Interval::of(values).map_or_else(String::new, |interval| {
                    let Interval { median, low, high, .. } = interval;
                    format!("{median:.0} ms [{low:.0}, {high:.0}]")
                })
            };
            writeln!(f, "| {} | {} | {} |", kind.name(), text(&record), text(&attach))?;
        }
        Ok(())
    }
}

/// An interval of percentages.
pub(super) fn shown(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |interval| {
        let Interval { median, low, high, .. } = interval;
        let doubt = if interval.holds() { "" } else { " (least, greatest)" };
        format!("{median:+.2} % [{low:+.2}, {high:+.2}]{doubt}")
    })
}

/// The greatest; not a number where there is none.
fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_those_before_and_nothing_else() {
        let first = splice_between("# Title\n\nText.\n", BEGIN, END, "one\n");
        assert_eq!(first, format!("# Title\n\nText.\n\n{BEGIN}\n\none\n\n{END}\n"));
        let second = splice_between(&format!("{first}More.\n"), BEGIN, END, "two\n");
        assert_eq!(second, format!("# Title\n\nText.\n\n{BEGIN}\n\ntwo\n\n{END}\nMore.\n"));
    }

    #[test]
    fn the_greatest_of_none_is_no_number() {
        assert!(greatest(std::iter::empty()).is_nan());
        assert!((greatest([1.0, 3.0, 2.0].into_iter()) - 3.0).abs() < 1e-9);
    }
}
