//! How many stacks reach their root, on real programs: samples at 499 Hz from each program's first
//! instruction on, judged from the ELF files. Started by `cargo xtask bench roots`.

mod programs;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};

use flame_tests::machine::Machine;
use flame_tests::roots::{Judge, Outermost};
use flame_tests::seen::percent;
use flame_tests::{Flame, Folder, Seen};

use self::programs::{Prepared, Program};

/// What was seen of a program.
struct Count {
    samples: i64,
    rooted: i64,
    /// Samples without a user stack.
    without: i64,
    /// Where the others end, most first.
    cut: Vec<(String, i64)>,
    /// Frames outside the kernel, on average.
    depth: f64,
}

fn main() -> ExitCode {
    let mut only: Vec<String> = std::env::args().skip(1).collect();
    let explain = only.iter().position(|word| word == "--explain");
    if let Some(at) = explain {
        only.remove(at);
    }
    let Some(_machine) = Machine::take() else { return ExitCode::FAILURE };
    let folder = Folder::new();
    let mut table = String::from(
        "| program | samples | at the root | without user memory | at the root, of the others | \
         frames on average | version |\n|---|---|---|---|---|---|---|\n",
    );
    for program in programs::all() {
        if !only.is_empty() && !only.iter().any(|name| name == program.name) {
            continue;
        }
        let prepared = match program.prepare(folder.path()) {
            Ok(prepared) => prepared,
            Err(missing) => {
                eprintln!("{}: left out: {missing}", program.name);
                continue;
            }
        };
        let seen = record(&program, &prepared);
        let count = judge(&seen);
        report(&program, &count, explain.is_some(), &seen);
        let rest = count.samples - count.without;
        _ = writeln!(
            table,
            "| {} | {} | {:.2} % | {} | {:.2} % | {:.1} | {} |",
            program.name,
            count.samples,
            percent(count.rooted, count.samples),
            count.without,
            percent(count.rooted, rest),
            count.depth,
            prepared.version,
        );
    }
    println!("{table}");
    ExitCode::SUCCESS
}

/// Records a program from its first instruction to its end.
fn record(program: &Program, prepared: &Prepared) -> Seen {
    let mut words = vec!["-F".to_owned(), "499".into(), "-f".into(), "pb".into(), "--".into()];
    words.extend(prepared.command.iter().cloned());
    let running = Flame::record(&words).start();
    if let Some(load) = &prepared.load {
        let mut shell = Command::new("sh");
        shell.args(["-c", load]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut shell = shell.spawn().expect("start the load");
        let said = BufReader::new(shell.stderr.take().expect("a pipe"));
        let said: Vec<String> = said.lines().map_while(Result::ok).collect();
        let status = shell.wait().expect("wait for the load");
        if !status.success() {
            eprintln!("{}: the load ended with {status}: {}", program.name, said.join("\n"));
        }
    }
    running.finish().seen()
}

fn judge(seen: &Seen) -> Count {
    let mut judge = Judge::default();
    let mut count = Count { samples: 0, rooted: 0, without: 0, cut: Vec::new(), depth: 0.0 };
    let mut cut: HashMap<String, i64> = HashMap::new();
    let mut frames = 0;
    for stack in &seen.stacks {
        count.samples += stack.count;
        frames += stack.count * stack.frames.iter().filter(|f| !f.inlined).count() as i64;
        match judge.outermost(stack) {
            Outermost::Root => count.rooted += stack.count,
            Outermost::NoUserStack => count.without += stack.count,
            Outermost::Cut(frame) => {
                let place = format!("{} {:#x} {}", frame.mapping, frame.address, frame.name);
                *cut.entry(place).or_default() += stack.count;
            }
        }
    }
    count.depth = frames as f64 / count.samples.max(1) as f64;
    count.cut = cut.into_iter().collect();
    count.cut.sort_by_key(|(place, samples)| (-samples, place.clone()));
    count
}

fn report(program: &Program, count: &Count, explain: bool, seen: &Seen) {
    let rest = count.samples - count.without;
    eprintln!(
        "{}: {} samples, {:.2} % at the root; {} without user memory, {:.2} % of the others",
        program.name,
        count.samples,
        percent(count.rooted, count.samples),
        count.without,
        percent(count.rooted, rest),
    );
    for (place, samples) in count.cut.iter().take(12) {
        eprintln!("  {samples:5} end in {place}");
    }
    for line in seen.comments.iter().filter(|line| line.contains("ended") || explain) {
        eprintln!("  {line}");
    }
    if explain {
        let mut judge = Judge::default();
        let cut = seen.only(|_| true);
        for stack in cut.stacks.iter().filter(|stack| judge.outermost(stack) != Outermost::Root) {
            let names = stack.frames.iter().map(|f| format!("{}@{:x}", f.name, f.address));
            let names: Vec<String> = names.collect();
            eprintln!("  {:4} {} {}", stack.count, stack.comm, names.join(" < "));
        }
    }
}
