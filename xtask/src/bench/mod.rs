//! `cargo xtask bench`: what flame costs, measured on real programs, and its pages. Not a part of
//! the tests: it takes minutes and wants a quiet machine.

mod cpu;
mod interval;
mod process;
mod profiler;
mod programs;
mod report;
mod roots;
mod viewer;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use self::cpu::Effort;
use self::profiler::{Kind, Place};
use self::report::{Machine, Report, Row};
use self::roots::RootsArgs;
use crate::{command, workspace};

/// What flame costs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// CPU profiles at 99 and 999 Hz, beside `perf record -g`; writes its tables to BENCHMARKS.md
    /// (about half an hour)
    Cpu(CpuArgs),
    /// Pages of up to 1,000,000 call-tree nodes in Chromium, beside other viewers; writes its
    /// tables to BENCHMARKS.md (some minutes)
    Viewer(viewer::ViewerArgs),
    /// How many stacks reach their root on real programs; writes its table to BENCHMARKS.md (a few
    /// minutes)
    Roots(RootsArgs),
}

#[derive(Debug, Args)]
struct CpuArgs {
    /// Little work and few rounds, to see that it works; prints the tables instead
    #[arg(long)]
    quick: bool,
    /// A program to measure alone, may be given more than once; prints the tables instead
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// The most rounds for a program whose intervals stay wide
    #[arg(long, value_name = "N", default_value_t = 40)]
    rounds: usize,
}

/// Runs the benchmark that the arguments name.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let bench = Bench::parse_from(std::iter::once("bench").chain(args.iter().map(String::as_str)));
    match bench.what {
        What::Cpu(args) => cpu(&args),
        What::Viewer(args) => viewer::run(&args),
        What::Roots(args) => roots::run(&args),
    }
}

fn cpu(args: &CpuArgs) -> Result<()> {
    ensure!(command::is_root(), "run it as root: it reads what the kernel measures");
    for (program, package) in [("perf", "linux-perf"), ("mkfifo", "coreutils")] {
        if !command::exists(program) {
            bail!("there is no {program} here:\n\n    sudo apt-get install {package}\n");
        }
    }
    command::run(
        Command::new(workspace::cargo())
            .args(["build", "--release", "--locked", "--package", "flame"])
            .current_dir(workspace::root()),
    )?;
    let folder = Folder::make()?;
    let place =
        Place { flame: workspace::target_dir().join("release/flame"), folder: folder.0.clone() };
    let effort = if args.quick {
        Effort { least_rounds: 2, most_rounds: 2, starts: 3, machine: Duration::from_secs(2) }
    } else {
        Effort {
            least_rounds: 8,
            most_rounds: args.rounds.max(8),
            starts: 20,
            machine: Duration::from_mins(1),
        }
    };
    let scale = if args.quick { 0.2 } else { 1.0 };
    let report = measure(&place, args, effort, scale)?;
    if args.quick || !args.programs.is_empty() {
        println!("{report}");
        return Ok(());
    }
    report.write(&workspace::root().join("BENCHMARKS.md"))
}

fn measure(place: &Place, args: &CpuArgs, effort: Effort, scale: f64) -> Result<Report> {
    let programs = programs::prepare(&place.folder, &args.programs, scale)?;
    let first = programs.first().context("none of the programs is here")?;
    let told: Vec<OsString> = std::env::args_os().skip(1).collect();
    let told: Vec<_> = told.iter().map(|word| word.to_string_lossy()).collect();
    let mut report = Report::begin(&place.flame, &told.join(" "))?;
    for kind in [Kind::Flame, Kind::Perf] {
        report.starts.push((kind, profiler::command_to_start(place, kind, effort.starts)?));
        profiler::tidy(&place.folder);
    }
    for program in &programs {
        let name = program.program.name;
        eprintln!("{name}: the kernel's measure");
        let kernel = cpu::FREQUENCIES
            .into_iter()
            .map(|hz| cpu::kernel(program, place, hz))
            .collect::<Result<_>>()?;
        let series = cpu::series(program, place, effort)?;
        let (what, version) = (program.program.what, program.version.clone());
        report.rows.push(Row { name, what, version, kernel, series });
    }
    for setting in cpu::settings() {
        eprintln!("the whole machine: {} at {} Hz", setting.0.name(), setting.1);
        let (cost, time) = cpu::machine(first, place, setting, effort.machine)?;
        report.machine.push(Machine { setting, cost, time, program: first.program.name });
    }
    Ok(report)
}

/// A folder for inputs and profiles, which goes away with this value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let path = workspace::target_dir().join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: it lies under cargo's own folder.
        drop(fs::remove_dir_all(&self.0));
    }
}
