//! Files as other tools write them.

use flame::format::pprof::{self, proto};
use flame::profile::{LabelValue, Profile};
use prost::Message;

use crate::go_tool::{Go, raw_totals, totals};
use crate::gzip;

fn read(message: &proto::Profile) -> Profile {
    pprof::read(&message.encode_to_vec()).expect("a valid file")
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    let texts = [""].iter().chain(texts);
    texts.map(|text| text.as_bytes().to_vec()).collect()
}

/// Two types, ids far apart, text labels, as JavaScript profilers write them.
fn with_labels() -> proto::Profile {
    let function =
        proto::Function { id: 1 << 40, name: 5, filename: 6, ..proto::Function::default() };
    let location = proto::Location {
        id: u64::MAX,
        line: vec![proto::Line { function_id: 1 << 40, line: 3, column: 0 }],
        is_folded: true,
        ..proto::Location::default()
    };
    let label = |key, str| proto::Label { key, str, ..proto::Label::default() };
    let sample = |location_id: &[u64], value: [i64; 2]| proto::Sample {
        location_id: location_id.to_vec(),
        value: value.to_vec(),
        label: vec![label(7, 8), label(9, 10)],
    };
    proto::Profile {
        sample_type: vec![
            proto::ValueType { r#type: 1, unit: 2 },
            proto::ValueType { r#type: 3, unit: 4 },
        ],
        sample: vec![sample(&[u64::MAX; 3], [1, 10]), sample(&[], [2, 20])],
        location: vec![location],
        function: vec![function],
        string_table: texts(&[
            "sample",
            "count",
            "wall",
            "nanoseconds",
            "handler",
            "file:///app/index.js",
            "span id",
            "4711",
            "thread name",
            "Main Event Loop",
        ]),
        drop_frames: 5,
        ..proto::Profile::default()
    }
}

#[test]
fn text_labels_sparse_ids_and_samples_without_a_location_are_read() {
    let profile = read(&with_labels());
    assert_eq!(totals(&profile), [3, 30]);
    assert_eq!(profile.default_sample_type(), 1, "the last one");
    let samples: Vec<_> = profile.samples().collect();
    assert_eq!(profile.frames(samples[0].stack).count(), 3);
    assert_eq!(samples[1].stack, None);
    let labels = samples[0].labels;
    assert_eq!(profile.text_label(labels, "span id"), Some("4711"));
    assert_eq!(profile.text_label(labels, "thread name"), Some("Main Event Loop"));
    let function = &profile.functions()[0];
    assert_eq!(function.system_name, function.name);
}

#[test]
fn the_default_type_is_found_by_its_name() {
    let mut message = with_labels();
    message.default_sample_type = 1;
    assert_eq!(read(&message).default_sample_type(), 0);
    message.default_sample_type = 6;
    assert_eq!(read(&message).default_sample_type(), 1, "no such type");
}

#[test]
fn compression_and_its_members_make_no_difference() {
    let bytes = with_labels().encode_to_vec();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for file in [gzip(&bytes), [gzip(first), gzip(second)].concat()] {
        let profile = pprof::read(&file).expect("a valid file");
        assert_eq!(totals(&profile), [3, 30]);
    }
}

#[test]
fn fields_may_come_in_any_order_unpacked_and_with_unknown_ones() {
    let message = with_labels();
    let samples = proto::Profile { sample: message.sample.clone(), ..proto::Profile::default() };
    let rest = proto::Profile { sample: Vec::new(), ..message };
    // Field 2, six bytes: field 1 as varint, field 2 twice as varint.
    let unpacked = [0x12, 6, 0x10, 5, 0x10, 50, 0x60, 1];
    // Field 99 as text, field 100 as eight bytes.
    let unknown = [0x9a, 6, 1, b'x', 0xa1, 6, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = [&unknown[..], &rest.encode_to_vec(), &unpacked, &samples.encode_to_vec()];
    let profile = pprof::read(&file.concat()).expect("a valid file");
    assert_eq!(totals(&profile), [8, 80]);
}

#[test]
fn labels_keep_numbers_and_units() {
    let mut message = with_labels();
    let number = |num, num_unit| proto::Label { key: 7, num, num_unit, ..proto::Label::default() };
    message.sample[0].label = vec![number(-3, 4), number(0, 0)];
    let profile = read(&message);
    let labels = profile.labels(profile.samples().next().expect("two samples").labels);
    let numbers = labels.iter().map(|label| match label.value {
        LabelValue::Number { value, unit } => (value, profile.string(unit)),
        LabelValue::Text(text) => panic!("{:?} is no number", profile.string(text)),
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [(-3, "nanoseconds"), (0, "")]);
}

#[test]
fn a_mapping_that_says_nothing_is_no_mapping() {
    let mut message = with_labels();
    message.mapping =
        vec![proto::Mapping { id: 1, has_functions: true, ..proto::Mapping::default() }];
    message.location[0].mapping_id = 1;
    let profile = read(&message);
    assert!(profile.mappings().is_empty());
    assert_eq!(profile.locations()[0].mapping, None);
}

/// A program that writes a CPU and a heap profile of itself.
const PROGRAM: &str = r#"package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var sink [][]byte

//go:noinline
func spin(until time.Time) (n int) {
	for time.Now().Before(until) {
		for i := 0; i < 10000; i++ {
			n += i * i
		}
	}
	return
}

//go:noinline
func allocate() {
	for i := 0; i < 2000; i++ {
		sink = append(sink, make([]byte, 64<<10))
	}
}

func main() {
	cpu, _ := os.Create("cpu.pb")
	pprof.StartCPUProfile(cpu)
	spin(time.Now().Add(500 * time.Millisecond))
	pprof.StopCPUProfile()
	cpu.Close()
	allocate()
	runtime.GC()
	heap, _ := os.Create("heap.pb")
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
"#;

/// Largest share of a column that samples with a function hold, from 0 to 1.
fn share(profile: &Profile, column: usize, function: &str) -> f64 {
    let holds = |stack| {
        profile.frames(stack).any(|location| {
            let mut lines = profile.location(location).lines.iter();
            lines.any(|line| profile.string(profile.function(line.function).name) == function)
        })
    };
    let samples = profile.samples().filter(|sample| holds(sample.stack));
    let value: i64 = samples.map(|sample| sample.values[column]).sum();
    value as f64 / profile.total(column) as f64
}

#[test]
fn the_profiles_of_a_go_program_are_read() {
    let Some(go) = Go::find("the_profiles_of_a_go_program_are_read") else {
        return;
    };
    let source = go.save("main.go", PROGRAM.as_bytes());
    let run = go.run(&["run", &source]);
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stderr}");

    for (name, kinds, function) in [
        ("cpu.pb", &["samples", "cpu"][..], "main.spin"),
        (
            "heap.pb",
            &["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"],
            "main.allocate",
        ),
    ] {
        let path = go.path(name);
        let bytes = std::fs::read(&path).expect("the program wrote it");
        let profile = pprof::read(&bytes).expect("a pprof file");
        let found = profile.sample_types().iter().map(|t| &t.kind[..]);
        assert_eq!(found.collect::<Vec<_>>(), kinds);
        assert_eq!(profile.default_sample_type(), kinds.len() - 1);
        let raw = go.pprof(&["-raw", "-symbolize=none", &path.display().to_string()]);
        assert_eq!(totals(&profile), raw_totals(&raw), "{name}");
        let share = share(&profile, kinds.len() - 1, function);
        assert!(share > 0.8, "{function} has {share} of {name}");

        let again = pprof::read(&crate::file(&profile)).expect("what flame wrote");
        assert_eq!(crate::description::samples(&again), crate::description::samples(&profile));
    }
}

/// A CPU profile in gperftools' own format: two stacks in a program without symbols.
fn gperftools() -> Vec<u8> {
    let header = [0, 3, 0, 10_000, 0];
    let samples = [7, 2, 0x40_1000, 0x40_2000, 5, 1, 0x40_3000];
    let end = [0, 1, 0];
    let words = header.iter().chain(&samples).chain(&end);
    let mut bytes: Vec<u8> = words.flat_map(|word: &u64| word.to_le_bytes()).collect();
    bytes.extend_from_slice(b"00400000-00500000 r-xp 00000000 08:01 1234 /opt/app/bin/app\n");
    bytes
}

#[test]
fn a_file_of_gperftools_is_named_and_read_when_converted() {
    let refused = pprof::read(&gperftools()).expect_err("not pprof's format");
    assert!(refused.to_string().contains("gperftools"), "{refused}");

    let Some(go) = Go::find("a_file_of_gperftools_is_named_and_read_when_converted") else {
        return;
    };
    let path = go.save("gperftools.prof", &gperftools());
    let bytes = go.convert(&["-symbolize=none", &path], "converted.pb");
    let profile = pprof::read(&bytes).expect("a pprof file");
    assert_eq!(totals(&profile), [12, 120_000_000]);
    assert!(profile.functions().is_empty(), "addresses alone");
    let mapping = &profile.mappings()[0];
    assert_eq!(profile.string(mapping.path), "/opt/app/bin/app");
}
