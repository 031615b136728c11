//! `cargo xtask bench unwind`: what whole stacks without frame pointers cost, beside the profilers
//! that get them by copying stacks, and whether flame's are those that perf finds.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::cpu::{self, Effort, FREQUENCIES, Kernel, Series};
use super::depth;
use super::profiler::{self, Kind, Place, Target, Unparanoid};
use super::programs::Prepared;
use super::report::shown;
use crate::{command, workspace};

/// The profilers that are compared.
const KINDS: [Kind; 4] = [Kind::Flame, Kind::Perf, Kind::PerfDwarf, Kind::Samply];
/// Samples a second for what is not a matter of cost.
const HZ: u32 = 199;
/// Pairs of a shallow and a deep stack: half a minute.
const PAIRS_OF_DEPTHS: usize = 32;
/// The test of the stacks themselves.
const SAME_STACKS: &str = "beside::whole_stacks_are_distributed_as_perf_finds_them_in_copies";
/// The aim for a whole sample, on the workload of known stacks at the higher frequency.
const AIM_SAMPLE_NS: f64 = 1600.0;

/// What a program's samples cost in the kernel.
fn kernel_rows(program: &Prepared, place: &Place, text: &mut String) -> Result<()> {
    let frames = mean_frames(program, place)?;
    for hz in FREQUENCIES {
        let kernel: Kernel = cpu::kernel(program, place, hz)?;
        let (sample, idle) = (kernel.ns_a_sample(), kernel.idle_ns);
        let met = program.is_known_chain() && hz == FREQUENCIES[1];
        let frame = (sample - idle).max(0.0) / frames;
        let mark = match met {
            true if sample <= AIM_SAMPLE_NS => format!(" (aim {AIM_SAMPLE_NS:.0}: met)"),
            true => format!(" (aim {AIM_SAMPLE_NS:.0}: **missed**)"),
            false => String::new(),
        };
        writeln!(
            text,
            "| {} | {hz} | {} | {frames:.1} | {sample:.0} ns{mark} | {idle:.0} ns | {frame:.0} ns |",
            program.program.name, kernel.samples,
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
    Ok(mean_depth(&stacks))
}

/// Frames of folded stacks, on average.
fn mean_depth(folded: &str) -> f64 {
    let stacks = folded.lines().filter_map(|line| line.rsplit_once(' '));
    let (frames, samples) = stacks.fold((0.0, 0.0), |(frames, samples), (path, count)| {
        let count: f64 = count.parse().unwrap_or(0.0);
        (frames + count * path.split(';').count() as f64, samples + count)
    });
    frames / samples
}

/// What flame is told here: CPU profiles alone, as those of the others are.
pub(super) const ARGUMENTS: &[&str] = &["-t", "cpu"];

/// The place for sessions whose stacks are read here: of user code, as the linker knows it.
fn folding(place: &Place) -> Place {
    let arguments = &["-t", "cpu", "--no-kernel", "--no-inline", "--format", "folded"];
    Place { arguments, ..place.clone() }
}

/// The stacks that flame wrote.
fn folded(place: &Place) -> Result<String> {
    let folder = place.folder.join("flame");
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let path = paths.find(|path| path.extension().is_some_and(|e| e == "folded"));
    let path = path.context("flame wrote no folded stacks")?;
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// The part on the known workload: are the stacks those that perf finds? An end-to-end test asks
/// that, and says what it measured.
pub(super) fn known(place: &Place, quick: bool) -> Result<String> {
    let rounds = if quick { 1 } else { 3 };
    let mut text =
        "\n### The same stacks\n\nThe workload of known stacks under flame and two perfs \
         at once: the total variation distance of the whole stacks' distributions, by function \
         names, the kernel's frames and inlined functions left aside. perf copies 65,528 bytes of \
         each stack.\n\n"
            .to_owned();
    let mut all_met = true;
    for _ in 0..rounds {
        let mut test = Command::new(workspace::cargo());
        test.args([
            "test",
            "--quiet",
            "--locked",
            "--package",
            "flame-tests",
            "--test",
            "cpu",
            "--",
        ]);
        test.args(["--exact", SAME_STACKS, "--nocapture"]).env("FLAME", &place.flame);
        let output = test.current_dir(workspace::root()).output().context("run a test")?;
        all_met &= output.status.success();
        let said = String::from_utf8_lossy(&output.stderr);
        let start = format!("measured: {SAME_STACKS}: ");
        let measured = said.lines().find_map(|line| line.strip_prefix(&start));
        writeln!(text, "- {}", measured.with_context(|| format!("nothing was measured: {said}"))?)?;
    }
    let met = if all_met { "met" } else { "**missed**" };
    writeln!(text, "\nAim: at most a point beyond what the perfs are apart: {met}.")?;
    Ok(text)
}

/// The part on the cost in the kernel.
pub(super) fn kernel(programs: &[Prepared], place: &Place, quick: bool) -> Result<String> {
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
    eprintln!("one more frame: the kernel's measure");
    text.push_str(&depth::one_more_frame(place, if quick { 6 } else { PAIRS_OF_DEPTHS })?);
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
        let series = cpu::series(program, place, effort, cpu::each_frequency(&kinds), None)?;
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
        "\n### Tables of large files\n\nOn demand, a slice of 16 KiB of text is compiled for the \
         fourth stack that goes through it; those before have their rules from the functions' \
         own entries. The time to the first stack is at most that of reading the file's unwind \
         information and compiling one slice, the file in the page cache, which is what is \
         measured: the first sample waits for it in user space, and is whole.\n\n{said}\n"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_by_samples() {
        assert!((mean_depth("_start;main;f 3\n_start;main 1\n") - 2.75).abs() < 1e-9);
    }
}
