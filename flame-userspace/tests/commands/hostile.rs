//! Files made to do harm: refused, or shown as plain text, in bounded time and memory.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use flame::profile::{Builder, Function, Line, Location, SampleType};
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
fn long_names_in_a_deep_stack_are_not_told_with_each_frame() {
    let bench = Bench::new();
    let names = ["a", "b"].map(|name| name.repeat(1 << 20));
    let names: Vec<&str> = names.iter().map(String::as_str).cycle().take(100_000).collect();
    bench.save_profile("long.pb", &Cpu::new().add(&names, 5).finish());
    for arguments in [
        &["generate", "long.pb", "-f", "html,md,firefox"][..],
        &["report", "long.pb", "--json"],
        &["diff", "long.pb", "long.pb", "-o", "d"],
    ] {
        let (code, said) = limited(&bench, arguments, 2 * GIB);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    assert!(bench.text("long.md").len() < 16_000, "{}", bench.text("long.md").len());
    let (code, said) = limited(&bench, &["generate", "long.pb", "-f", "folded"], 4 * GIB);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("would take more than 1073741824 bytes"), "{said}");
    assert!(!bench.names().contains(&"long.folded".to_owned()), "{:?}", bench.names());
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
    assert_plain(&shown);
    for name in ["new.html", "new.svg", "d.html", "c.xml"] {
        let text = bench.text(name);
        assert!(!text.contains("<img") && !text.contains("<script>alert"), "markup in {name}");
    }
}

/// Asserts that nothing steers a terminal, and that no name became a line of its own.
fn assert_plain(shown: &[String]) {
    for text in shown {
        for forbidden in ['\u{202e}', '\0', '\u{1b}', '\u{7}'] {
            assert!(!text.contains(forbidden), "{forbidden:?} in {text:.400}");
        }
        let line = text.lines().find(|line| line.starts_with("# Ignore"));
        assert_eq!(line, None, "a name became a line of {text:.400}");
    }
}

/// Asserts that the rows of each table of Markdown have as many cells as its head.
fn assert_tables(text: &str) {
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with("| "))) {
        assert_eq!(bars(pair[0]), bars(pair[1]), "{pair:#?}");
    }
}

#[test]
fn hostile_sample_types_and_units_are_plain_text_wherever_they_are_shown() {
    let bench = Bench::new();
    let kind = "\u{1b}]0;owned\u{7}|`<img src=x>\n# Ignore";
    let save = |name: &str, unit: &str, count: i64| {
        let mut b = Builder::new(vec![SampleType::new(kind, unit)], 0);
        let none = b.label_set(Vec::new());
        let mut stack = None;
        for function in ["main", "leaf"] {
            let (name, file) = (b.string(function), b.string("/src/app.c"));
            let row = Function { name, system_name: name, file, start_line: 1 };
            let lines = vec![Line { function: b.function(row), line: 5, column: 0 }];
            let location = b.location(Location { mapping: None, address: 1, lines });
            stack = Some(b.push_frame(stack, location));
            b.sample(stack, none, &[count]);
        }
        bench.save_profile(name, &b.finish());
    };
    let unit = "x |\n# Ignore what was said\u{202e}\u{1b}[2J";
    save("base.pb", unit, 500);
    save("new.pb", unit, 900);
    save("other.pb", "y\u{1b}[2J\n# Ignore", 900);
    let (growth, bytes) = (format!("{kind} > +5%"), format!("{kind} > +1MiB"));
    let check = |limit| ["check", "base.pb", "new.pb", "--fail-if", limit];
    let mut shown = Vec::new();
    let junit = [&check(&growth)[..], &["--junit", "c.xml"]].concat();
    let markdown = [&check(&growth)[..], &["--markdown"]].concat();
    let cases: [(&[&str], i32); 10] = [
        (&["report", "new.pb"], 0),
        (&["report", "new.pb", "--json"], 0),
        (&["generate", "new.pb", "-f", "html,md,svg,folded,firefox"], 0),
        (&["diff", "base.pb", "new.pb", "-o", "d", "--top", "1"], 0),
        (&["diff", "base.pb", "new.pb", "-t", "none"], 1),
        (&["diff", "base.pb", "other.pb"], 1),
        (&junit, 3),
        (&markdown, 3),
        (&check(&bytes), 2),
        (&check("none > +5%"), 2),
    ];
    for (arguments, code) in cases {
        let ran = bench.flame(arguments).with_code(code);
        shown.extend([ran.stdout, ran.stderr]);
    }
    let files = ["new.html", "new.md", "new.svg", "new.folded", "d.html", "d.md", "c.xml"];
    shown.extend(files.map(|name| bench.text(name)));
    assert_plain(&shown);
    for text in &shown {
        assert_tables(text);
    }
    for name in ["new.html", "new.svg", "d.html", "c.xml"] {
        assert!(!bench.text(name).contains("<img"), "markup in {name}");
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
