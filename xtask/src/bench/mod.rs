//! `cargo xtask bench`: what flame costs, measured on real programs. Not a part of the tests: it
//! takes minutes and wants a quiet machine.

mod cpu;
mod heap;
mod interval;
mod process;
mod profiler;
mod programs;
mod report;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use self::cpu::Effort;
use self::profiler::{Kind, Place};
use self::report::{Machine, Report, Row};
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
    /// Heap profiles within their budget and exact, beside heaptrack and bcc's memleak; prints a
    /// table (half an hour and more)
    Heap(HeapArgs),
}

#[derive(Debug, Args)]
struct HeapArgs {
    /// Little work and few rounds, to see that it works
    #[arg(long)]
    quick: bool,
    /// A program to measure alone, may be given more than once
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// The most rounds for a program whose intervals stay wide
    #[arg(long, value_name = "N", default_value_t = 40)]
    rounds: usize,
    /// Rounds in which the other tools run too: they are slow
    #[arg(long, value_name = "N", default_value_t = 9)]
    others: usize,
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
        What::Heap(args) => heap(&args),
    }
}

fn heap(args: &HeapArgs) -> Result<()> {
    ensure!(command::is_root(), "run it as root: it reads what the kernel measures");
    let (folder, place) = place()?;
    let effort = if args.quick {
        heap::Effort { least: 2, most: 2, others: 1 }
    } else {
        heap::Effort { least: 9, most: args.rounds.max(9), others: args.others }
    };
    let scale = if args.quick { 0.2 } else { 1.0 };
    let programs = programs::prepare(programs::HEAP, &folder.0, &args.programs, scale)?;
    let mut table = heap::Table::default();
    for program in &programs {
        table.rows.push(heap::measure(program, &place, effort)?);
    }
    println!("{table}");
    Ok(())
}

/// Builds flame, and makes a folder for what is written.
fn place() -> Result<(Folder, Place)> {
    command::run(
        Command::new(workspace::cargo())
            .args(["build", "--release", "--locked", "--package", "flame"])
            .current_dir(workspace::root()),
    )?;
    let folder = Folder::make()?;
    let flame = workspace::target_dir().join("release/flame");
    let place = Place { flame, folder: folder.0.clone() };
    Ok((folder, place))
}

fn cpu(args: &CpuArgs) -> Result<()> {
    ensure!(command::is_root(), "run it as root: it reads what the kernel measures");
    for (program, package) in [("perf", "linux-perf"), ("mkfifo", "coreutils")] {
        if !command::exists(program) {
            bail!("there is no {program} here:\n\n    sudo apt-get install {package}\n");
        }
    }
    let (_folder, place) = place()?;
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
    let programs = programs::prepare(programs::CPU, &place.folder, &args.programs, scale)?;
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
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: it lies under cargo's own folder.
        drop(fs::remove_dir_all(&self.0));
    }
}
