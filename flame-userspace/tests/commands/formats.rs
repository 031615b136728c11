//! What `flame generate` reads of other tools, and the formats that it writes.

use std::path::Path;
use std::process::{Command, Stdio};

use flame::format::pprof;
use serde_json::Value;

use crate::Bench;
use crate::bench::{Cpu, go_top};

/// The self value and the total of a function by the report on a file, and the file's total.
fn worth(bench: &Bench, file: &str, function: &str) -> [i64; 3] {
    let json = bench.flame(&["report", file, "--json", "--top", "1000"]).with_code(0).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let view = &json["views"][0];
    let functions = view["functions"].as_array().expect("functions");
    let row = functions.iter().find(|row| row["name"] == function).expect("the function");
    [&row["self"], &row["total"], &view["total"]].map(|value| value.as_i64().expect("a number"))
}

/// Whether a command is here; says so where it is not.
fn has(command: &str, argument: &str) -> bool {
    let ran = Command::new(command)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !ran {
        eprintln!("skipped: needs `{command}`, which is not here");
    }
    ran
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|e| panic!("run {command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

#[test]
fn folded_stacks_are_read_and_written_the_same() {
    let bench = Bench::new();
    let text = "main 7\nmain;parse 30\nmain;parse;helper 5\n";
    bench.save("stacks.folded", text.as_bytes());
    bench.flame(&["generate", "stacks.folded", "-f", "pb,html,md,svg,firefox"]).with_code(0);
    bench.flame(&["generate", "stacks.pb", "-o", "again.folded"]).with_code(0);
    assert_eq!(bench.text("again.folded"), text);
    assert_eq!(worth(&bench, "stacks.pb", "parse"), [30, 35, 42]);
    assert!(bench.names().contains(&"stacks.firefox.json.gz".to_owned()), "{:?}", bench.names());
}

#[test]
fn the_text_of_perf_script_is_read() {
    if !has("perf", "--version") {
        return;
    }
    let bench = Bench::new();
    let data = bench.path("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "-e", "cpu-clock:u", "-F", "999", "-g", "-o"]).arg(&data);
    record.args(["--", "perl", "-e", "$n += $_ * $_ for 1..4e6"]);
    if !record.output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `perf record` is not permitted here, or there is no perl");
        return;
    }
    let script = run(Command::new("perf").args(["script", "-i"]).arg(&data));
    let text = String::from_utf8_lossy(&script).into_owned();
    let samples = text.lines().filter(|line| line.contains("cpu-clock")).count();
    bench.save("script.txt", &script);
    let json = bench.flame(&["report", "script.txt", "--json"]).with_code(0).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["samples"], samples);
    assert_eq!(
        json["views"][0]["total"].as_i64().map(|total| total / samples as i64),
        Some(1_001_001)
    );
    let modules = json["views"][0]["modules"].to_string();
    assert!(modules.contains("perl"), "{modules}");
}

/// Checks that flame reads a pprof file as `go tool pprof` does: self value and total
/// of a function, which has most of it.
fn assert_as_go(bench: &Bench, file: &str, function: &str, unit: &str) {
    let unit = format!("-unit={unit}");
    let rows = go_top(&[&unit, &bench.path(file).display().to_string()]);
    let row = rows.iter().find(|row| row.split(' ').nth(5) == Some(function));
    let row = row.unwrap_or_else(|| panic!("no {function} in {rows:#?}"));
    let number = |column: usize| -> String {
        let word = row.split(' ').nth(column).unwrap_or_default();
        word.chars().take_while(char::is_ascii_digit).collect()
    };
    let [own, total, all] = worth(bench, file, function);
    assert_eq!([own.to_string(), total.to_string()], [number(0), number(3)], "{row}");
    assert!(total * 2 > all, "{total} of {all}");
}

#[test]
fn profiles_of_node_are_read_as_go_reads_them() {
    let Some(module) = std::env::var_os("FLAME_DATADOG_PPROF") else {
        eprintln!("skipped: FLAME_DATADOG_PPROF names no folder of @datadog/pprof");
        return;
    };
    let bench = Bench::new();
    let script = "const pprof = require(process.argv[2]); const fs = require('fs');\n\
        function hot(ms) { const end = Date.now() + ms; let n = 0; while (Date.now() < end) \
        for (let i = 0; i < 1e5; i++) n += i * i; return n; }\n\
        pprof.time.start({ intervalMicros: 1000, durationMillis: 1000 }); hot(700);\n\
        pprof.encode(pprof.time.stop()).then(b => fs.writeFileSync('time.pb', b));\n\
        pprof.heap.start(512 * 1024, 64); globalThis.kept = [];\n\
        function keep() { for (let i = 0; i < 3e5; i++) kept.push({ i, s: 'x' + i }); } keep();\n\
        pprof.encode(pprof.heap.profile()).then(b => fs.writeFileSync('heap.pb', b));\n";
    bench.save("run.js", script.as_bytes());
    run(Command::new("node").arg("run.js").arg(module).current_dir(bench.path("")));
    for file in ["time.pb", "heap.pb"] {
        bench.flame(&["generate", file]).with_code(0);
    }
    assert_as_go(&bench, "time.pb", "hot", "ns");
    assert_as_go(&bench, "heap.pb", "keep", "B");
}

/// A C program that keeps memory that `keep` allocated.
const KEEP: &str = "#include <stdlib.h>\n#include <string.h>\nvoid *kept[4096];\n\
    __attribute__((noinline)) void *keep(void) { return memset(malloc(65536), 1, 65536); }\n\
    int main(void) { for (int i = 0; i < 4096; i++) kept[i] = keep(); return 0; }\n";

/// A C program that calls `hot` for 0.6 s of CPU time, and does nothing else.
const HOT: &str = "#include <time.h>\nvolatile unsigned long sink;\n\
    __attribute__((noinline)) void hot(void) { for (int i = 0; i < 1000000; i++) sink += i; }\n\
    int main(void) { clock_t end = clock() + 6 * CLOCKS_PER_SEC / 10;\n\
    while (clock() < end) hot(); return 0; }\n";

/// Compiles a program with this library; whether that could be done.
fn compile(bench: &Bench, program: &str, library: &str) -> bool {
    bench.save("program.c", program.as_bytes());
    let mut gcc = Command::new("gcc");
    gcc.args(["-g", "-O1", "program.c", "-o", "program", "-Wl,--no-as-needed", library]);
    let done = gcc.current_dir(bench.path("")).output().is_ok_and(|o| o.status.success());
    if !done {
        eprintln!("skipped: cannot compile with {library}");
    }
    done
}

/// Has `go tool pprof` convert a file of another tool.
fn convert(bench: &Bench, file: &Path, to: &str) {
    let mut go = Command::new("go");
    go.args(["tool", "pprof", "-proto"]).arg(format!("-output={}", bench.path(to).display()));
    run(go.arg(bench.path("program")).arg(file).current_dir(bench.path("")));
}

#[test]
fn profiles_of_gperftools_are_read_through_pprof() {
    let bench = Bench::new();
    if !has("go", "version") || !compile(&bench, HOT, "-lprofiler") {
        return;
    }
    run(Command::new(bench.path("program"))
        .env("CPUPROFILE", bench.path("cpu.prof"))
        .current_dir(bench.path("")));
    let refused = bench.flame(&["report", "cpu.prof"]).with_code(1).stderr;
    assert!(refused.contains("go tool pprof -proto"), "{refused}");
    convert(&bench, &bench.path("cpu.prof"), "cpu.pb");
    assert_as_go(&bench, "cpu.pb", "hot", "ns");
}

/// A heap profile of jemalloc as its first versions wrote it, and as pprof reads it: the sums of
/// all threads (`t*`) behind their stack's addresses become a line with them.
fn legacy(text: &str) -> String {
    let mut lines = text.lines();
    let rate = lines.next().and_then(|head| head.strip_prefix("heap_v2/")).expect("heap_v2");
    let mut out = String::new();
    let mut addresses = String::new();
    for line in lines {
        if let Some(counts) = line.trim().strip_prefix("t*: ") {
            let counts = if counts.ends_with("[0: 0]") {
                counts.replace("[0: 0]", &format!("[{}]", counts.trim_end_matches(" [0: 0]")))
            } else {
                counts.to_owned()
            };
            let line = if addresses.is_empty() {
                format!("heap profile: {counts} @ heap_v2/{rate}\n")
            } else {
                format!("{counts} @{addresses}\n")
            };
            out.push_str(&line);
        } else if let Some(stack) = line.strip_prefix('@') {
            stack.clone_into(&mut addresses);
        } else if !line.trim_start().starts_with('t') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[test]
fn heap_profiles_of_jemalloc_are_read_through_pprof() {
    let bench = Bench::new();
    if !has("go", "version") || !compile(&bench, KEEP, "-ljemalloc") {
        return;
    }
    let options = "prof:true,prof_final:true,lg_prof_sample:16,prof_prefix:jeprof";
    run(Command::new(bench.path("program"))
        .env("MALLOC_CONF", options)
        .current_dir(bench.path("")));
    let Some(file) = bench.names().into_iter().find(|name| name.starts_with("jeprof.")) else {
        eprintln!("skipped: this jemalloc was built without profiling");
        return;
    };
    bench.save("old.heap", legacy(&bench.text(&file)).as_bytes());
    convert(&bench, &bench.path("old.heap"), "heap.pb");
    assert_as_go(&bench, "heap.pb", "keep", "B");
}

#[test]
fn flat_inlines_keep_every_function_and_its_value() {
    let bench = Bench::new();
    let mut cpu = Cpu::new();
    cpu.add(&["main", "work"], 700).add(&["main"], 300);
    bench.save_profile("app.pb", &cpu.finish());
    bench.flame(&["generate", "app.pb", "-o", "flat.pb", "--flat-inlines"]).with_code(0);
    let flat = pprof::read(&std::fs::read(bench.path("flat.pb")).expect("read it")).expect("pprof");
    assert!(flat.locations().iter().all(|location| location.lines.len() < 2));
    assert_eq!(worth(&bench, "flat.pb", "work"), worth(&bench, "app.pb", "work"));
}
