//! `cargo xtask bench unwind`: what whole stacks without frame pointers cost, beside the profilers
//! that get them by copying stacks, and whether flame's are those that perf finds.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::cpu::{self, Effort, FREQUENCIES, Kernel, Series};
use super::profiler::{self, Kind, Place, Target, Unparanoid};
use super::programs::Prepared;
use super::report::shown;
use super::stacks::Stacks;
use crate::{command, workspace};

/// The profilers that are compared.
const KINDS: [Kind; 4] = [Kind::Flame, Kind::Perf, Kind::PerfDwarf, Kind::Samply];
/// Samples a second for what is not a matter of cost.
const HZ: u32 = 199;
/// perf's largest copies of a stack.
const WHOLE: &str = "dwarf,65528";
/// The aims, on the workload of known stacks at the higher frequency.
const AIM_SAMPLE_NS: f64 = 1600.0;
const AIM_FRAME_NS: f64 = 40.0;
const AIM_DISTANCE: f64 = 1.0;

/// What a program's samples cost in the kernel.
fn kernel_rows(program: &Prepared, place: &Place, text: &mut String) -> Result<()> {
    let frames = mean_frames(program, place)?;
    for hz in FREQUENCIES {
        let kernel: Kernel = cpu::kernel(program, place, hz)?;
        let (sample, idle) = (kernel.ns_a_sample(), kernel.idle_ns);
        let met = program.is_known_chain() && hz == FREQUENCIES[1];
        let frame = (sample - idle).max(0.0) / frames;
        let mark = |value: f64, aim: f64| match met {
            true if value <= aim => format!(" (aim {aim:.0}: met)"),
            true => format!(" (aim {aim:.0}: **missed**)"),
            false => String::new(),
        };
        writeln!(
            text,
            "| {} | {hz} | {} | {frames:.1} | {sample:.0} ns{} | {idle:.0} ns | {frame:.0} ns{} |",
            program.program.name,
            kernel.samples,
            mark(sample, AIM_SAMPLE_NS),
            mark(frame, AIM_FRAME_NS),
        )?;
    }
    Ok(())
}

/// User frames of a program's stacks, on average.
fn mean_frames(program: &Prepared, place: &Place) -> Result<f64> {
    let mut process = program.start(1)?;
    let attached = folding(place).attach(Kind::Flame, HZ, &Target::Pids(vec![process.pid()]))?;
    program.drive(&mut process)?;
    process.wait()?;
    attached.target_ended()?.wait()?;
    let stacks = folded(place)?;
    profiler::tidy(&place.folder);
    Ok(stacks.mean_depth())
}

/// What flame is told here: CPU profiles alone, as those of the others are.
pub(super) const ARGUMENTS: &[&str] = &["-t", "cpu"];

/// The place for sessions whose stacks are read here: of user code, as the linker knows it.
fn folding(place: &Place) -> Place {
    let arguments = &["-t", "cpu", "--no-kernel", "--no-inline", "--format", "folded"];
    Place { arguments, ..place.clone() }
}

/// The stacks that flame wrote.
fn folded(place: &Place) -> Result<Stacks> {
    let folder = place.folder.join("flame");
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let path = paths.find(|path| path.extension().is_some_and(|e| e == "folded"));
    let path = path.context("flame wrote no folded stacks")?;
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(Stacks::of_folded(&text))
}

/// The distances of two profilers' stacks of one run, of which the second is perf's.
fn distance(
    program: &Prepared,
    place: &Place,
    first: Kind,
    time: Duration,
) -> Result<(f64, String)> {
    let mut process = program.start(1)?;
    let target = Target::Pids(vec![process.pid()]);
    let beside = Place { folder: place.folder.join("beside"), ..place.clone() };
    fs::create_dir_all(&beside.folder).context("make a folder")?;
    let one = match first {
        Kind::Flame => folding(place).attach(Kind::Flame, HZ, &target)?,
        _ => place.attach_perf(WHOLE, HZ, &target)?,
    };
    let other = beside.attach_perf(WHOLE, HZ, &target)?;
    process.release()?;
    sleep(time);
    // perf looks at its target's files when it writes its own.
    for attached in [&other, &one] {
        attached.process.interrupt()?;
    }
    other.target_ended()?.wait()?;
    one.target_ended()?.wait()?;
    drop(process);
    let one = if first == Kind::Flame { folded(place)? } else { scripted(&place.folder)? };
    let other = scripted(&beside.folder)?;
    profiler::tidy(&place.folder);
    profiler::tidy(&beside.folder);
    let farthest: Vec<String> = one
        .farthest(&other)
        .into_iter()
        .map(|(points, path)| format!("{points:+.2} {}", ending(&path)))
        .collect();
    Ok((one.distance(&other), farthest.join("\n    ")))
}

/// The inner frames of a path, enough to know it by.
fn ending(path: &str) -> String {
    let names: Vec<&str> = path.split(';').collect();
    let inner = &names[names.len().saturating_sub(6)..];
    format!("({} frames) {}", names.len(), inner.join(";"))
}

/// The stacks of perf's file.
fn scripted(folder: &Path) -> Result<Stacks> {
    let text = command::output(
        Command::new("perf")
            .args(["script", "--no-inline", "-F", "ip,sym,dso", "-i"])
            .arg(folder.join("perf.data")),
    )?;
    Ok(Stacks::of_perf_script(&format!("{text}\n")))
}

/// The part on the known workload: are the stacks those that perf finds?
pub(super) fn known(program: &Prepared, place: &Place, quick: bool) -> Result<String> {
    let time = Duration::from_secs(if quick { 2 } else { 10 });
    let rounds = if quick { 1 } else { 3 };
    let mut text = format!(
        "\n### The same stacks\n\nThe workload of known stacks for {} s at {HZ} Hz under two \
         profilers at once: the total variation distance of the whole stacks' distributions, by \
         function names, the kernel's frames and inlined functions left aside. perf copies 65,528 \
         bytes of each stack.\n\n| pair | distance, each of {rounds} runs |\n|---|---|\n",
        time.as_secs()
    );
    let mut middles = Vec::new();
    for (kind, pair) in [(Kind::Flame, "flame and perf"), (Kind::PerfDwarf, "perf and perf")] {
        let mut distances = Vec::new();
        for _ in 0..rounds {
            let (distance, farthest) = distance(program, place, kind, time)?;
            eprintln!("{pair}: {distance:.2} points\n    {farthest}");
            distances.push(distance);
        }
        let all: Vec<String> = distances.iter().map(|d| format!("{d:.2}")).collect();
        writeln!(text, "| {pair} | {} points |", all.join(", "))?;
        middles.push(super::interval::middle(distances));
    }
    let (ours, theirs) = (middles[0], middles[1]);
    let met = if ours <= theirs + AIM_DISTANCE { "met" } else { "**missed**" };
    writeln!(text, "\nAim: at most {AIM_DISTANCE:.0} point beyond perf's own: {met}.")?;
    Ok(text)
}

/// The part on the cost in the kernel.
pub(super) fn kernel(programs: &[Prepared], place: &Place) -> Result<String> {
    let mut text = "\n### In the kernel\n\nMeasured by the kernel while copies of the program keep \
                    every CPU busy. Frames are the mean of user frames; a frame is what a sample \
                    takes beyond a run without one, over its frames, all else of a sample included.\n\n\
                    | program | Hz | samples | frames | a sample | a run without one | a frame |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for program in programs {
        eprintln!("{}: the kernel's measure", program.program.name);
        kernel_rows(program, place, &mut text)?;
    }
    Ok(text)
}

/// The part on slow-down.
pub(super) fn slow_down(programs: &[Prepared], place: &Place, effort: Effort) -> Result<String> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    let mut text = format!(
        "\n### Slow-down, in pairs\n\nThe target's CPU time beside a run without a profiler right \
         before or after it: medians, and the intervals that hold them in 95 of 100 cases.\n\n\
         | program | Hz | {} | pairs |\n|---|---|{}---|\n",
        names.join(" | "),
        "---|".repeat(KINDS.len())
    );
    for program in programs.iter().filter(|program| !program.is_known_chain()) {
        // samply starts its target, and so cannot be driven as a server's load is.
        let kinds = KINDS.iter().copied().filter(|kind| {
            *kind != Kind::Samply || !program.is_server() && command::exists("samply")
        });
        let kinds: Vec<Kind> = kinds.collect();
        let unparanoid = kinds.contains(&Kind::Samply).then(Unparanoid::set).transpose()?;
        let series = cpu::series(program, place, effort, cpu::each_frequency(&kinds))?;
        drop(unparanoid);
        for hz in FREQUENCIES {
            let cell = |kind: &Kind| {
                if !kinds.contains(kind) {
                    return "-".to_owned();
                }
                shown(series.of((*kind, hz)).cpu_percent())
            };
            let cells: Vec<String> = KINDS.iter().map(cell).collect();
            let pairs = pairs(&series, hz);
            writeln!(
                text,
                "| {} | {hz} | {} | {pairs} |",
                program.program.name,
                cells.join(" | ")
            )?;
        }
    }
    Ok(text)
}

/// The fewest and the most pairs of a profiler.
fn pairs(series: &Series, hz: u32) -> String {
    let counts = series.measured.iter().filter(|measured| measured.setting.1 == hz);
    let counts: Vec<usize> =
        counts.map(|measured| measured.cpu_percent().map_or(0, |i| i.count)).collect();
    let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
    format!("{} to {}", least.unwrap_or(0), most.unwrap_or(0))
}

/// The part on large files: what their tables take.
pub(super) fn tables(place: &Place) -> Result<String> {
    let files = large_files();
    ensure!(!files.is_empty(), "neither node nor a rustc's libraries are here");
    let said = command::output(
        Command::new(workspace::cargo())
            .args(["run", "--quiet", "--release", "--locked", "--package", "flame"])
            .args(["--example", "unwind_tables", "--"])
            .args(&files)
            .current_dir(workspace::root())
            .env("TMPDIR", &place.folder),
    )?;
    Ok(format!(
        "\n### Tables of large files\n\nOn demand, a slice of 16 KiB of text is compiled when a \
         stack first goes through it. The time to the first stack is that of reading the file's \
         unwind information and compiling one slice, the file in the page cache: the first sample \
         waits for it in user space, and is whole.\n\n{said}\n"
    ))
}

/// Files with much unwind information, those that are here.
fn large_files() -> Vec<String> {
    let node = command::find_all("node").into_iter().next();
    let mut files: Vec<String> = node.iter().map(|path| path.display().to_string()).collect();
    let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]));
    if let Ok(entries) = sysroot.and_then(|root| Ok(fs::read_dir(format!("{root}/lib"))?)) {
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_large = entry.metadata().is_ok_and(|metadata| metadata.len() > 50 << 20);
            if is_large && (name.starts_with("librustc_driver") || name.starts_with("libLLVM")) {
                files.push(entry.path().display().to_string());
            }
        }
    }
    files
}
