//! The arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::values::{
    event, file_format, frequency, heap_mode, kernel, limit, normalize, percent, profile_type,
    rows, time,
};
use crate::analyze::check::Limit;
use crate::analyze::normalize::Normalize;
use crate::symbolize;
use crate::{
    Event, Frequency, HeapMode, HeapOptions, OwnFunction, ProfileType, Target, format::Format,
};

/// What `flame` alone prints.
pub(super) const INTRODUCTION: &str = "\
flame profiles programs as they run, without changing or restarting them.

  flame record -- ./server --port 80    run a command and profile it until it exits
  sudo flame attach --pid 1234          profile a running process until Ctrl-C
  flame generate cpu-profile-*.pb       make a flamegraph page of a pprof file

`flame help` tells the rest.
";

#[derive(Debug, Parser)]
#[command(name = "flame", version, about, max_term_width = 100, disable_help_subcommand = false)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start CMD and profile it and its children until it exits.
    ///
    /// The exit status is CMD's own (128+N if signal N ended it); 125 if flame failed, 126 if CMD
    /// cannot be executed, 127 if it was not found. Ctrl-C goes to CMD as always; flame waits for
    /// it and writes the profile. A second Ctrl-C asks CMD to end (SIGTERM), a third leaves it
    /// running. SIGTERM to flame is passed on to CMD, which is left running if it does not end within
    /// 5 seconds.
    Record(RecordArgs),
    /// Profile running processes: those of given pids until Ctrl-C, --duration, or their end;
    /// --name, --cgroup and --all until Ctrl-C or --duration.
    ///
    /// Processes that the given ones have started, before or after, are profiled as well, unless
    /// --no-children is given.
    Attach(AttachArgs),
    /// Make a flamegraph page and a report from a profile of flame's or another tool's.
    ///
    /// Reads pprof files, folded stacks, and the text of `perf script`, compressed or not.
    Generate(GenerateArgs),
    /// Print the report on a profile: Markdown, or JSON for programs.
    Report(ReportArgs),
    /// Tell what has changed from one profile to another.
    ///
    /// The table goes to stdout: functions by the change of their self values. A page and the table
    /// as Markdown are written beside NEW; -f pb writes a pprof file with values below zero, as
    /// `go tool pprof -diff_base` reads them.
    Diff(DiffArgs),
    /// Fail (exit status 3) when a profile has grown beyond a limit.
    ///
    /// A limit is METRIC[:FUNCTION] > LIMIT. METRIC is a sample type, with `.self` for self values;
    /// FUNCTION a pattern for names (`*`, `?`), or module=PATTERN; LIMIT growth (+5%, +3pp, +1MiB,
    /// +200ms) or an amount (20%, 64MiB). Growth within the error of sampling (95 %) does not fail.
    Check(CheckArgs),
    /// Tell what this kernel and user can do, what is missing, and the command that mends it.
    Doctor(DoctorArgs),
    /// The privileged part of `record`; not for people.
    #[command(hide = true)]
    Collect(CollectArgs),
    /// Reads the symbols of the file that is standard input; not for people.
    #[command(hide = true, name = symbolize::COMMAND)]
    Symbolize,
}

#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    pub(super) recording: RecordingArgs,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// Processes to profile.
    #[arg(value_name = "PID")]
    pub(super) pids: Vec<u32>,
    /// Processes to profile.
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
    pub(super) pid: Vec<u32>,
    /// Profile the whole machine.
    #[arg(long, conflicts_with_all = ["pids", "pid", "name", "cgroup"])]
    pub(super) all: bool,
    /// Profile the processes of this name (as `ps -o comm` shows it), those to come as well.
    #[arg(long, value_name = "COMM")]
    pub(super) name: Vec<String>,
    /// Profile the processes of this cgroup (version 2) and of those below it.
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) recording: RecordingArgs,
}

#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Profiles: pprof files, folded stacks, or the text of `perf script`.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// The file or folder to write; beside each FILE if left out.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
    /// What to write: pb, html, md, svg, folded, firefox. Left out: what OUT ends in, else html,md.
    #[arg(short, long, value_delimiter = ',', value_name = "LIST", value_parser = file_format)]
    pub(super) format: Vec<Format>,
    /// Inlined functions as locations of their own in pb files, for readers that lose them.
    #[arg(long)]
    pub(super) flat_inlines: bool,
    /// Overwrite what is there.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A profile.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// JSON instead of Markdown.
    #[arg(long)]
    pub(super) json: bool,
    /// The most rows of a table of functions, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = rows)]
    pub(super) top: usize,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The profile to compare with.
    #[arg(value_name = "BASE")]
    pub(super) base: PathBuf,
    /// The profile to compare.
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,
    /// The file to write, whose ending tells what (html, md, pb), or a folder; beside NEW if left
    /// out.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
    /// What to write: html, md, pb. Left out: what OUT ends in, else html,md.
    #[arg(short, long, value_delimiter = ',', value_name = "LIST", value_parser = file_format)]
    pub(super) format: Vec<Format>,
    /// The sample type to compare; the new profile's default if left out.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    pub(super) sample_type: Option<String>,
    /// How to make the base comparable: totals, rate (by second), share. Left out: rate where a
    /// session was cut by time.
    #[arg(long, value_name = "HOW", value_parser = normalize)]
    pub(super) normalize: Option<Normalize>,
    /// The most functions in the table, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = rows)]
    pub(super) top: usize,
    /// Overwrite what is there.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The profile to compare with.
    #[arg(value_name = "BASE")]
    pub(super) base: PathBuf,
    /// The profile to compare.
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,
    /// A limit; may be given more than once.
    #[arg(long, required = true, value_name = "EXPR", value_parser = limit)]
    pub(super) fail_if: Vec<Limit>,
    /// How to make the base comparable: totals, rate (by second), share. Left out: rate where a
    /// session was cut by time.
    #[arg(long, value_name = "HOW", value_parser = normalize)]
    pub(super) normalize: Option<Normalize>,
    /// Fail also by what lies within the error of sampling.
    #[arg(long)]
    pub(super) strict: bool,
    /// Print Markdown instead of a table.
    #[arg(long)]
    pub(super) markdown: bool,
    /// Write XML as of `JUnit` to this file, over what is there.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Tell also of this process: which of its files have names.
    #[arg(short, long, value_name = "PID")]
    pub(super) pid: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct CollectArgs {
    #[command(flatten)]
    pub(super) recording: RecordingArgs,
    /// The process to profile.
    #[arg(long)]
    pub(super) pid: u32,
    /// The command line that the profile tells.
    #[arg(long)]
    pub(super) command_line: String,
}

/// What `record` and `attach` share.
#[derive(Debug, Clone, Args)]
pub(super) struct RecordingArgs {
    /// The profiles to take: cpu, heap. Both, if left out; with --all or --cgroup cpu alone.
    #[arg(
        short = 't',
        long = "type",
        value_delimiter = ',',
        value_name = "LIST",
        value_parser = profile_type,
    )]
    pub(super) types: Vec<ProfileType>,
    /// Samples per second and CPU, 1 to 10000.
    #[arg(short = 'F', long, value_name = "HZ", default_value = "99", value_parser = frequency)]
    pub(super) frequency: Frequency,
    /// What is sampled by: cpu-clock, or a hardware counter where there is one, which is untested:
    /// cycles, instructions, cache-references, cache-misses, branches, branch-misses.
    #[arg(long, value_name = "NAME", default_value = "cpu-clock", value_parser = event)]
    pub(super) event: Event,
    /// Mean bytes between two samples of the heap; if left out, flame follows what is allocated.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub(super) heap_interval: Option<u64>,
    /// How much heap profiling may slow the targets down, in percent, with --heap-mode auto and
    /// governed. The other modes cost what they cost: exact makes programs that allocate much two
    /// to eight times as slow.
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = percent)]
    pub(super) heap_overhead: f64,
    /// What is recorded of the heap: exact (allocated and in use), alloc (allocated alone),
    /// governed (the same in short windows), growth (who touches memory, without a probe), or auto:
    /// the first three of them in turn, as --heap-overhead allows.
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = heap_mode)]
    pub(super) heap_mode: HeapMode,
    /// Probe as on this older kernel: for tests.
    #[arg(long, value_name = "VERSION", value_parser = kernel, hide = true)]
    pub(super) heap_as_kernel: Option<(u32, u32)>,
    /// A function of the program's own allocator (a pool, an arena), by its name in the symbol
    /// table; more than once for more. `size=arg1*arg2` for a number of blocks of a size, and
    /// `old=arg1` for a block that is given up. What it takes from malloc itself is not counted.
    #[arg(long, value_name = "NAME:size=arg1,ret", value_parser = OwnFunction::alloc)]
    pub(super) alloc_fn: Vec<OwnFunction>,
    /// A function that frees what those made. What an arena gives up as a whole is not seen.
    #[arg(long, value_name = "NAME:arg1", value_parser = OwnFunction::free)]
    pub(super) free_fn: Vec<OwnFunction>,
    /// Stop after this time: 30s, 2m, or bare seconds.
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub(super) duration: Option<Duration>,
    /// Wait this long before sampling starts.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) delay: Option<Duration>,
    /// Write a set of files each TIME.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) rotate: Option<Duration>,
    /// Where the files go; made if absent.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(super) output_dir: PathBuf,
    /// The files to write: pb, html, md, svg, folded, firefox.
    #[arg(
        short,
        long,
        value_delimiter = ',',
        default_value = "pb,html,md",
        value_name = "LIST",
        value_parser = file_format,
    )]
    pub(super) format: Vec<Format>,
    /// One set of files for each process.
    #[arg(long)]
    pub(super) per_process: bool,
    /// Inlined functions as locations of their own in pb files, for readers that lose them.
    #[arg(long)]
    pub(super) flat_inlines: bool,
    /// Leave out kernel frames.
    #[arg(long)]
    pub(super) no_kernel: bool,
    /// Leave out inlined functions.
    #[arg(long)]
    pub(super) no_inline: bool,
    /// Leave out child processes.
    #[arg(long)]
    pub(super) no_children: bool,
    /// Overwrite files that are there.
    #[arg(long)]
    pub(super) force: bool,
    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more; twice: also what the kernel programs do.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Print one JSON summary object on stdout: the last line, behind the command's own output.
    #[arg(long)]
    pub(super) json: bool,
    /// Colours in what flame says.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl RecordingArgs {
    /// The profiles to take of a target.
    pub(super) fn profiles(&self, target: &Target) -> Vec<ProfileType> {
        let mut types = self.types.clone();
        if types.is_empty() {
            types.push(ProfileType::Cpu);
            // Elsewhere it would put probes into processes that nobody named.
            if target.is_chosen() {
                types.push(ProfileType::Heap);
            }
        }
        types.sort_unstable();
        types.dedup();
        types
    }

    /// How the heap is sampled.
    pub(super) fn heap(&self) -> HeapOptions {
        HeapOptions {
            interval: self.heap_interval,
            mode: self.heap_mode,
            overhead: self.heap_overhead,
            own: [&self.alloc_fn[..], &self.free_fn].concat(),
            as_kernel: self.heap_as_kernel,
        }
    }

    /// The same as arguments, for the privileged part of a `record`.
    pub(super) fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        option("--frequency", self.frequency.get().to_string().into());
        option("--event", self.event.name().into());
        let formats: Vec<&str> = self.format.iter().map(|format| format.name()).collect();
        option("--format", formats.join(",").into());
        if !self.types.is_empty() {
            let types: Vec<&str> = self.types.iter().map(|one| one.name()).collect();
            option("--type", types.join(",").into());
        }
        option("--heap-overhead", self.heap_overhead.to_string().into());
        option("--heap-mode", self.heap_mode.name().into());
        if let Some(bytes) = self.heap_interval {
            option("--heap-interval", bytes.to_string().into());
        }
        if let Some((major, minor)) = self.heap_as_kernel {
            option("--heap-as-kernel", format!("{major}.{minor}").into());
        }
        for (name, functions) in [("--alloc-fn", &self.alloc_fn), ("--free-fn", &self.free_fn)] {
            for function in functions {
                option(name, function.text().into());
            }
        }
        option("--output-dir", self.output_dir.clone().into());
        option("--color", self.color.name().into());
        for (name, time) in [("--duration", self.duration), ("--rotate", self.rotate)] {
            if let Some(time) = time {
                option(name, format!("{}ms", time.as_millis()).into());
            }
        }
        let flags = [
            ("--per-process", self.per_process),
            ("--flat-inlines", self.flat_inlines),
            ("--no-kernel", self.no_kernel),
            ("--no-inline", self.no_inline),
            ("--no-children", self.no_children),
            ("--force", self.force),
            ("--quiet", self.quiet),
            ("--json", self.json),
        ];
        arguments.extend(flags.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).into()));
        arguments.extend((0..self.verbose).map(|_| "--verbose".into()));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn recording_arguments_survive_being_passed_on() {
        let line = ["flame", "record", "-F", "499", "--no-kernel", "-d", "1.5", "-vv"];
        let own = ["--alloc-fn", "get:size=arg2,ret", "--free-fn", "put:arg2", "true"];
        let line = [&line[..], &own].concat();
        let parse = |line: &[OsString]| Cli::try_parse_from(line).expect("arguments").command;
        let line: Vec<OsString> = line.iter().map(Into::into).collect();
        let Some(Command::Record(record)) = parse(&line) else { panic!("a record") };
        let mut again: Vec<OsString> = ["flame", "record"].map(Into::into).to_vec();
        again.extend(record.recording.to_arguments());
        again.push("true".into());
        let Some(Command::Record(second)) = parse(&again) else { panic!("a record") };
        assert_eq!(format!("{:?}", record.recording), format!("{:?}", second.recording));
    }
}
