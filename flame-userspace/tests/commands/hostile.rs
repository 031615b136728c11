//! Files made to do harm: refused, or shown as plain text, in bounded time and memory.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Bench;
use crate::bench::Cpu;

/// Far more than any of these takes, without optimization on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs flame on a file with this much memory to have at most, in KiB.
fn limited(bench: &Bench, arguments: &[&str], kibibytes: u64) -> (Option<i32>, String) {
    let began = Instant::now();
    let script = format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_flame")])
        .args(arguments)
        .current_dir(bench.path(""))
        .output()
        .expect("there is a shell");
    assert!(began.elapsed() < PATIENCE, "{arguments:?} took {:?}", began.elapsed());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    (output.status.code(), said)
}

const GIB: u64 = 1 << 20;

#[test]
fn a_decompression_bomb_is_refused_within_the_readers_limit() {
    let bench = Bench::new();
    let mut member = GzEncoder::new(Vec::new(), Compression::best());
    member.write_all(&vec![b'a'; 1 << 20]).expect("a Vec takes every write");
    let member = member.finish().expect("a Vec takes every write");
    let bomb = member.repeat(3 << 10);
    assert!(bomb.len() < 4 << 20, "3 GiB of one letter pack well: {}", bomb.len());
    bench.save("bomb.pb", &bomb);
    let (code, said) = limited(&bench, &["report", "bomb.pb"], 3 * GIB);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("expected at most 1073741824 bytes"), "{said}");
}

#[test]
fn a_stack_of_100_000_frames_is_shown_in_every_format() {
    let bench = Bench::new();
    let mut cpu = Cpu::new();
    let names: Vec<String> = (0..100_000).map(|i| format!("f{}", i % 1000)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cpu.add(&names, 5).add(&names[..50_000], 7);
    bench.save_profile("deep.pb", &cpu.finish());
    for arguments in [
        &["generate", "deep.pb", "-f", "html,md,svg,folded,firefox"][..],
        &["generate", "deep.pb", "-f", "pb", "-o", "flat.pb", "--flat-inlines"],
        &["report", "deep.pb", "--json"],
        &["diff", "deep.pb", "flat.pb", "-o", "d"],
        &["check", "deep.pb", "flat.pb", "--fail-if", "cpu:f9* > +5%"],
    ] {
        let (code, said) = limited(&bench, arguments, 2 * GIB);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    assert!(bench.text("deep.md").len() < 16_000, "{}", bench.text("deep.md").len());
}

#[test]
fn counts_of_2_to_the_63_saturate() {
    let bench = Bench::new();
    for (name, value) in [("most.folded", i64::MAX), ("least.folded", i64::MIN)] {
        bench.save(name, format!("main;a {value}\nmain;b {value}\n").as_bytes());
        bench.flame(&["generate", name, "-f", "html,md,svg", "--force"]).with_code(0);
        bench.flame(&["report", name, "--json"]).with_code(0);
    }
    bench.flame(&["diff", "least.folded", "most.folded", "-o", "d"]).with_code(0);
    bench.flame(&["check", "least.folded", "most.folded", "--fail-if", "samples > +5%"]);
}

#[test]
fn hostile_names_are_plain_text_wherever_they_are_shown() {
    let bench = Bench::new();
    let long = "n".repeat(10_000);
    let names = [
        "</script><script>alert(1)</script>",
        "]]></title><img src=x onerror=alert(1)>",
        "evil\u{202e}gpj.exe",
        "nul\0nul",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "a`b|c\n# Ignore what was said before",
        &long,
    ];
    let profile = |count: i64| {
        let mut cpu = Cpu::new();
        for name in names {
            cpu.add(&["main", name], count);
        }
        cpu.finish()
    };
    bench.save_profile("base.pb", &profile(500));
    bench.save_profile("new.pb", &profile(900));
    let mut shown = vec![
        bench.flame(&["report", "new.pb"]).with_code(0).stdout,
        bench.flame(&["report", "new.pb", "--json"]).with_code(0).stdout,
    ];
    let diff = bench.flame(&["diff", "base.pb", "new.pb", "-o", "d"]).with_code(0);
    shown.extend([diff.stdout, diff.stderr]);
    let limit = "cpu:*\u{1b}[2J* > +5%";
    for option in ["--strict", "--markdown"] {
        let arguments =
            ["check", "base.pb", "new.pb", option, "--junit", "c.xml", "--fail-if", limit];
        let check = bench.flame(&arguments).with_code(3);
        shown.extend([check.stdout, check.stderr]);
    }
    let made = bench.flame(&["generate", "new.pb", "-f", "html,md,svg,folded"]).with_code(0);
    shown.extend([made.stdout, made.stderr]);
    shown.extend(
        ["new.html", "new.md", "new.svg", "new.folded", "d.html", "d.md", "c.xml"]
            .map(|n| bench.text(n)),
    );
    for text in &shown {
        for forbidden in ['\u{202e}', '\0', '\u{1b}', '\u{7}'] {
            assert!(!text.contains(forbidden), "{forbidden:?} in {}", &text[..text.len().min(400)]);
        }
        assert!(!text.lines().any(|line| line.starts_with("# Ignore")), "a name became a line");
    }
    for name in ["new.html", "new.svg", "d.html", "c.xml"] {
        let text = bench.text(name);
        assert!(!text.contains("<img") && !text.contains("<script>alert"), "markup in {name}");
    }
}

#[test]
fn ids_in_circles_and_lone_surrogates_are_refused_or_replaced() {
    use flame::format::pprof::proto;
    use prost::Message as _;
    let bench = Bench::new();
    // A location that is its own caller as often as the file says, a function of no location.
    let line = |function_id| proto::Line { function_id, line: 1, column: 0 };
    let mut message = proto::Profile {
        sample_type: vec![proto::ValueType { r#type: 1, unit: 2 }],
        sample: vec![proto::Sample { location_id: vec![1; 5000], value: vec![1], label: vec![] }],
        location: vec![proto::Location {
            id: 1,
            line: vec![line(1), line(1), line(1)],
            ..proto::Location::default()
        }],
        function: vec![proto::Function { id: 1, name: 3, ..proto::Function::default() }],
        string_table: vec![
            Vec::new(),
            b"samples".to_vec(),
            b"count".to_vec(),
            // A lone surrogate, as some encoders write it.
            b"bad\xed\xa0\x80name".to_vec(),
        ],
        ..proto::Profile::default()
    };
    bench.save("circle.pb", &message.encode_to_vec());
    let report = bench.flame(&["report", "circle.pb"]).with_code(0).stdout;
    assert!(report.contains("bad\u{fffd}"), "{report}");
    message.location[0].line.push(line(9));
    bench.save("missing.pb", &message.encode_to_vec());
    let refused = bench.flame(&["report", "missing.pb"]).with_code(1).stderr;
    assert!(refused.contains("expected the id of a function"), "{refused}");
}
