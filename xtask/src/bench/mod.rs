//! `cargo xtask bench`: what flame costs, measured on real programs, and its pages. Not a part of
//! the tests: it takes minutes and wants a quiet machine.

mod beside;
mod cpu;
mod depth;
mod heap;
mod interval;
mod latency;
mod process;
mod profiler;
mod programs;
mod report;
mod roots;
mod unwind;
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
use self::programs::Prepared;
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
    /// Whole stacks without frame pointers: nanoseconds a frame, the slow-down beside perf's and
    /// samply's, the tables of large files, and whether the stacks are perf's; writes its tables to
    /// BENCHMARKS.md
    Unwind(UnwindArgs),
    /// Pages of up to 1,000,000 call-tree nodes in Chromium, beside other viewers; writes its
    /// tables to BENCHMARKS.md (some minutes)
    Viewer(viewer::ViewerArgs),
    /// How many stacks reach their root on real programs; writes its table to BENCHMARKS.md (a few
    /// minutes)
    Roots(RootsArgs),
    /// Heap profiles within their budget and exact, beside heaptrack and memleak, and what
    /// redis's clients feel; writes its tables to BENCHMARKS.md (half an hour and more)
    Heap(HeapArgs),
}

#[derive(Debug, Args)]
struct UnwindArgs {
    /// Little work and few rounds, to see that it works; prints the tables instead
    #[arg(long)]
    quick: bool,
    /// A part alone, which takes the place of that part in BENCHMARKS.md: stacks, kernel,
    /// slow-down, beside or tables
    #[arg(long, value_name = "PART")]
    part: Option<String>,
    /// A program to measure alone, may be given more than once; prints the tables instead
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// The most pairs for a program whose intervals stay wide. With more it takes longer than a
    /// quarter of an hour
    #[arg(long, value_name = "N", default_value_t = 8)]
    rounds: usize,
}

#[derive(Debug, Args)]
struct HeapArgs {
    /// Little work and few rounds, to see that it works
    #[arg(long)]
    quick: bool,
    /// A program to measure alone, may be given more than once; prints the tables instead
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
        What::Unwind(args) => whole_stacks(&args),
        What::Viewer(args) => viewer::run(&args),
        What::Roots(args) => roots::run(&args),
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
    // Seconds of work: flame lets the first 25 ms of cost pass.
    let scale = if args.quick { 0.2 } else { 4.0 };
    let programs = programs::prepare(programs::HEAP, &folder.0, &args.programs, scale)?;
    let mut table = heap::Table::default();
    let mut latency = None;
    for program in &programs {
        match heap::measure(program, &place, effort) {
            Ok(row) => table.rows.push(row),
            // What was measured of others took half an hour.
            Err(error) => {
                eprintln!("{}: left out: {error:#}", program.program.name);
                continue;
            }
        }
        if program.is_server() {
            let effort = if args.quick {
                latency::Effort { pairs: 1, run: Duration::from_secs(2) }
            } else {
                latency::Effort { pairs: 5, run: Duration::from_secs(10) }
            };
            latency = Some(latency::measure(program, &place, effort)?);
        }
    }
    let latency = latency.map(|latency| latency.to_string()).unwrap_or_default();
    let out = out_of_perl(&folder.0, &place, args)?.map(|out| out.to_string()).unwrap_or_default();
    let tables = format!("{table}\n{latency}\n{out}");
    if args.quick || !args.programs.is_empty() {
        println!("{tables}");
        return Ok(());
    }
    let heading = report::machine(&place.flame, &told())?.join("\n");
    let path = workspace::root().join("BENCHMARKS.md");
    let old = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let text = format!("{heading}\n\n{tables}");
    let new = report::splice_between(&old, heap::BEGIN, heap::END, &text);
    fs::write(&path, new).with_context(|| format!("write {}", path.display()))
}

/// How long probes stay in perl, where that is among the programs.
fn out_of_perl(folder: &Path, place: &Place, args: &HeapArgs) -> Result<Option<heap::out::Out>> {
    const PERL: &str = "perl";
    if !args.programs.is_empty() && !args.programs.iter().any(|name| name == PERL) {
        return Ok(None);
    }
    // Work for longer than it is looked at.
    let perl = programs::prepare(programs::HEAP, folder, &[PERL.to_owned()], 80.0)?;
    let rounds = if args.quick { 2 } else { 9 };
    perl.first().map(|perl| heap::out::measure(perl, place, rounds)).transpose()
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
    let place = Place { flame, folder: folder.0.clone(), arguments: &[] };
    Ok((folder, place))
}

/// Checks what all benchmarks need, and builds flame.
fn begin() -> Result<(Folder, Place)> {
    ensure!(command::is_root(), "run it as root: it reads what the kernel measures");
    for (program, package) in [("perf", "linux-perf"), ("mkfifo", "coreutils")] {
        if !command::exists(program) {
            bail!("there is no {program} here:\n\n    sudo apt-get install {package}\n");
        }
    }
    place()
}

fn told() -> String {
    let told: Vec<OsString> = std::env::args_os().skip(1).collect();
    let told: Vec<_> = told.iter().map(|word| word.to_string_lossy()).collect();
    told.join(" ")
}

fn whole_stacks(args: &UnwindArgs) -> Result<()> {
    let (_folder, place) = begin()?;
    let place = Place { arguments: unwind::ARGUMENTS, ..place };
    let scale = if args.quick { 0.2 } else { 0.5 };
    let rounds = if args.quick { 1..=1 } else { 6..=args.rounds.max(6) };
    let effort = Effort {
        least_rounds: *rounds.start(),
        most_rounds: *rounds.end(),
        reach: cpu::REACH,
        starts: 0,
        machine: Duration::ZERO,
    };
    let seconds = if args.quick { 2 } else { 5 };
    let known = Prepared::known_chain(&place.folder, seconds)?;
    let mut all = vec![known];
    all.extend(programs::prepare(programs::CPU, &place.folder, &args.programs, scale)?);
    let mut heading = report::machine(&place.flame, &told())?;
    for other in ["perf", "samply"].into_iter().filter(|other| command::exists(other)) {
        heading.push(format!("- {other}: {}", report::first_line(Path::new(other), "--version")));
    }
    let about: Vec<String> = all.iter().map(Prepared::described).collect();
    let parts: [(&str, &dyn Fn() -> Result<String>); 5] = [
        ("stacks", &|| unwind::known(&place, args.quick)),
        ("kernel", &|| unwind::kernel(&all, &place, args.quick)),
        ("slow-down", &|| unwind::slow_down(&all, &place, effort)),
        ("beside", &|| beside::perf(&all, &place, beside::effort(args.quick))),
        ("tables", &|| unwind::tables(&place)),
    ];
    for (name, part) in parts {
        if args.part.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let text = format!("{}{}\n{}", part()?, heading.join("\n"), about.join("\n"));
        if args.quick || !args.programs.is_empty() {
            println!("{text}");
        } else {
            let path = workspace::root().join("BENCHMARKS.md");
            let old = fs::read_to_string(&path).unwrap_or_default();
            let mark = |edge: &str| format!("<!-- cargo xtask bench unwind, {name}: {edge} -->");
            let new = report::splice_between(&old, &mark("begin"), &mark("end"), &text);
            fs::write(&path, new).with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

fn cpu(args: &CpuArgs) -> Result<()> {
    let (_folder, place) = begin()?;
    let effort = if args.quick {
        Effort {
            least_rounds: 2,
            most_rounds: 2,
            reach: cpu::REACH,
            starts: 3,
            machine: Duration::from_secs(2),
        }
    } else {
        Effort {
            least_rounds: 8,
            most_rounds: args.rounds.max(8),
            reach: cpu::REACH,
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
    let mut report = Report::begin(&place.flame, &told())?;
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
        let series = cpu::series(program, place, effort, cpu::settings(), None)?;
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
