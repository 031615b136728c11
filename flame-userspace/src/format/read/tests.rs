//! Texts of other tools, as they are and as nobody should write them.

use super::*;
use crate::format::folded as writer;

fn read_text(text: &str) -> Profile {
    read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn folded(profile: &Profile) -> String {
    let mut out = Vec::new();
    writer::write(profile, 0, false, &mut out).expect("a Vec takes every write");
    String::from_utf8(out).expect("names are UTF-8")
}

#[test]
fn folded_stacks_come_back_as_they_were() {
    let text = "main 7\nmain;parse 30\nmain;parse;helper 5\n";
    let profile = read_text(text);
    assert_eq!(folded(&profile), text);
    assert_eq!((profile.total(0), profile.sample_types()[0].kind.as_str()), (42, "samples"));
    let crlf = read_text("# made by a script\r\n\r\na b;c (x) \t 3\r\n");
    assert_eq!(folded(&crlf), "a b;c (x) 3\n");
}

#[test]
fn marks_of_folded_stacks_tell_the_kernel() {
    let profile = read_text("main;read_[i];sys_read_[k] 3\n;f 1");
    assert_eq!(folded(&profile), "main;read;sys_read 3\n[unknown];f 1\n");
    assert_eq!(profile.string(profile.mappings()[0].path), "[kernel.kallsyms]");
}

#[test]
fn samples_of_perf_script_are_added_up() {
    let text = "\
# captured on: a machine
bash 12/13 [001]  1.000000:    1001001 cpu-clock:pppH: 
\tffffffff8162faba kmem_cache_free+0x2a ([kernel.kallsyms])
\t           fd001 __open64+0x41 (/usr/lib/libc.so.6)
\t           32f72 inner (inlined)
\t           32f72 outer(int)+0x712 (/usr/bin/bash (deleted))
\t  bash.c:17

bash 12/13 [001]  3.500000:    1001001 cpu-clock:pppH: 
\tffffffff8162faba kmem_cache_free+0x2a ([kernel.kallsyms])
\t           fd001 __open64+0x41 (/usr/lib/libc.so.6)
\t           32f72 inner (inlined)
\t           32f72 outer(int)+0x712 (/usr/bin/bash (deleted))

bash 12/13 [001]  2.000000:    5 cycles:u: 
\t               1 [unknown] ([unknown])
";
    let profile = read_text(text);
    let types: Vec<_> =
        profile.sample_types().iter().map(|t| (&t.kind[..], t.unit.name())).collect();
    assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds"), ("cycles", "count")]);
    assert_eq!([0, 1, 2].map(|column| profile.total(column)), [3, 2_002_002, 5]);
    assert_eq!(profile.default_sample_type(), 1);
    assert_eq!(folded(&profile), "outer(int);inner;__open64;kmem_cache_free 2\n[0x1] 1\n");
    assert_eq!(profile.duration_ns(), 2_500_000_000);
    let sample = profile.samples().next().expect("two stacks");
    assert_eq!(profile.number_label(sample.labels, "pid"), Some(12));
    assert_eq!(profile.text_label(sample.labels, "comm"), Some("bash"));
    assert_eq!(profile.text_label(sample.labels, "thread"), Some("bash"));
}

#[test]
fn compressed_texts_are_read_and_other_texts_are_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, b"a;b 3\n").expect("a Vec takes every write");
    let packed = gzip.finish().expect("a Vec takes every write");
    assert_eq!(read(&packed).expect("folded stacks").total(0), 3);
    for (text, message) in [
        (
            "hello world\n",
            "read as folded stacks: line 1: expected a stack and a whole number, found \"hello world\"",
        ),
        ("a;b 1\nc;d x\n", "read as folded stacks: line 2"),
        ("a;b 99999999999999999999\n", "line 1"),
        ("{\"nodes\": []}", "found JSON"),
        ("bash 1 1.000000: cycles: \n\nmain;f 1\n", "read as the output of perf script: line 3"),
    ] {
        let error = read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn stacks_whose_first_line_begins_as_other_files_do_are_read() {
    for text in [
        "[perl+0x10];main 5\n",
        "[unknown] 3\nmain 1\n",
        "<module> (app.py:10);main (app.py:5) 33\n",
        "{closure};main 2\n",
        "# a comment\n\n<f> 1\n",
        "\u{feff}[x] 1\n",
        "[app] 1/1 1.500000: 7 cycles: \n\t1 f (/bin/x)\n",
    ] {
        assert!(read_text(text).total(0) > 0, "{text}");
    }
    for (text, kind) in [
        ("[1, 2]\n", "JSON"),
        ("{\n \"nodes\": 5\n}\n", "JSON"),
        ("<html>\nmain 5\n", "HTML or XML"),
        ("goroutine profile: total 7\n", "a Go profile as text"),
    ] {
        let error = read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(kind), "{text:?}: {error}");
    }
}

#[test]
fn hostile_texts_do_no_harm() {
    let deep = format!("{} 1\n", vec!["f"; 100_000].join(";"));
    assert_eq!(
        read_text(&deep).frames(read_text(&deep).samples().next().expect("one").stack).count(),
        100_000
    );
    assert_eq!(read_text("a 9223372036854775807\na 9223372036854775807").total(0), i64::MAX);
    assert_eq!(read_text("a -5").total(0), -5);
    let event = |event| format!("a 1 1.{event:06}: e{event}x: 7f f (/x)\n");
    let events: Vec<String> = (0..40).map(event).collect();
    let events = events.concat();
    let error = read(events.as_bytes()).expect_err("40 events").to_string();
    assert!(error.contains("more than 32 events"), "{error}");
    let text = "a 1 1.000000: 99999999999999999999999 cycles: \n";
    assert!(read(text.as_bytes()).is_err());
    assert_eq!(read_text("\u{feff}a;b 1").total(0), 1);
}
