//! Files that are damaged, made to do harm, or something else altogether: never a panic, bounded
//! memory, and an error that says what was found.

use flame::format::pprof::{self, ReadError, Table, proto};
use prost::Message;

use crate::generator::{self, Random};
use crate::{decompressed_file, file, gzip};

/// A small file to break: one sample in one function.
fn small() -> proto::Profile {
    let texts = ["", "samples", "count", "main", "/bin/app", "key"];
    proto::Profile {
        sample_type: vec![proto::ValueType { r#type: 1, unit: 2 }],
        sample: vec![proto::Sample { location_id: vec![1], value: vec![1], label: Vec::new() }],
        mapping: vec![proto::Mapping {
            id: 1,
            memory_limit: 4096,
            filename: 4,
            ..proto::Mapping::default()
        }],
        location: vec![proto::Location {
            id: 1,
            mapping_id: 1,
            address: 16,
            line: vec![proto::Line { function_id: 1, line: 1, column: 1 }],
            is_folded: true,
        }],
        function: vec![proto::Function { id: 1, name: 3, ..proto::Function::default() }],
        string_table: texts.map(|text| text.as_bytes().to_vec()).to_vec(),
        time_nanos: 1,
        ..proto::Profile::default()
    }
}

/// The error for the small file after a change.
fn error(change: impl FnOnce(&mut proto::Profile)) -> ReadError {
    let mut message = small();
    change(&mut message);
    pprof::read(&message.encode_to_vec()).expect_err("the change makes the file invalid")
}

fn refusal(bytes: &[u8]) -> String {
    pprof::read(bytes).expect_err("not a pprof file").to_string()
}

#[test]
fn the_small_file_is_valid() {
    let profile = pprof::read(&small().encode_to_vec()).expect("valid");
    assert_eq!(profile.total(0), 1);
}

#[test]
fn other_files_are_named() {
    let expected =
        "not a pprof profile: expected a protobuf message, gzip-compressed or not, found";
    assert_eq!(refusal(b""), format!("{expected} an empty file"));
    assert_eq!(refusal(&gzip(b"")), format!("{expected} an empty file"));
    assert_eq!(refusal(b"\x7fELF\x02\x01\x01"), format!("{expected} an ELF file"));
    assert_eq!(refusal(b"PERFILE2h\0\0\0"), format!("{expected} a perf.data file"));
    assert_eq!(refusal(b"<!DOCTYPE html><html>"), format!("{expected} HTML or XML"));
    assert_eq!(refusal(&gzip(b"{\"a\":1}")), format!("{expected} JSON"));
    assert_eq!(refusal(b"main;foo;bar 17\n"), format!("{expected} text"));
    let table = refusal(&[0x48, 1]);
    assert!(table.ends_with("a protobuf message without a string table"), "{table}");
    let own = std::env::current_exe().expect("a test runs from a file");
    let own = std::fs::read(own).expect("and may read it");
    assert_eq!(refusal(&own), format!("{expected} an ELF file"));
}

#[test]
fn texts_that_are_not_there_are_refused() {
    for index in [6, -1, i64::MAX, i64::MIN] {
        let changes: [fn(&mut proto::Profile, i64); 11] = [
            |p, i| p.sample_type[0].r#type = i,
            |p, i| p.sample_type[0].unit = i,
            |p, i| p.mapping[0].filename = i,
            |p, i| p.mapping[0].build_id = i,
            |p, i| p.function[0].name = i,
            |p, i| p.function[0].system_name = i,
            |p, i| p.function[0].filename = i,
            |p, i| p.comment = vec![i],
            |p, i| p.default_sample_type = i,
            |p, i| p.period_type = Some(proto::ValueType { r#type: i, unit: 0 }),
            |p, i| {
                p.sample[0].label =
                    vec![proto::Label { key: 5, str: i, ..proto::Label::default() }];
            },
        ];
        for change in changes {
            let error = error(|p| change(p, index));
            assert!(
                matches!(error, ReadError::MissingText { index: i, texts: 6, .. } if i == index),
                "{error}"
            );
        }
    }
    let first = error(|p| p.string_table[0] = b"x".to_vec());
    assert!(matches!(first, ReadError::FirstText { .. }), "{first}");
}

#[test]
fn ids_are_present_unique_and_not_zero() {
    let zero =
        |table| move |e: ReadError| matches!(e, ReadError::ZeroId { table: t } if t == table);
    assert!(zero(Table::Mapping)(error(|p| p.mapping[0].id = 0)));
    assert!(zero(Table::Function)(error(|p| p.function[0].id = 0)));
    assert!(zero(Table::Location)(error(|p| p.location[0].id = 0)));

    let twice = |table| move |e: ReadError| matches!(e, ReadError::DuplicateId { table: t, id: 1 } if t == table);
    assert!(twice(Table::Mapping)(error(|p| p.mapping.push(p.mapping[0]))));
    assert!(twice(Table::Function)(error(|p| p.function.push(p.function[0]))));
    assert!(twice(Table::Location)(error(|p| {
        p.location.push(p.location[0].clone());
    })));

    let missing = |e: &ReadError, wanted: Table, wanted_id: u64| matches!(e, ReadError::MissingRow { table, id, .. } if (*table, *id) == (wanted, wanted_id));
    for id in [0, 2, u64::MAX] {
        let location = error(|p| p.sample[0].location_id = vec![1, id]);
        assert!(missing(&location, Table::Location, id), "{location}");
        let function = error(|p| p.location[0].line[0].function_id = id);
        assert!(missing(&function, Table::Function, id), "{function}");
    }
    let mapping = error(|p| p.location[0].mapping_id = 2);
    assert_eq!(
        mapping.to_string(),
        "not a valid pprof profile: location 1: expected the id of a mapping, found 2, which none \
         has"
    );
}

#[test]
fn samples_have_a_value_for_each_type() {
    for values in [vec![], vec![1, 2]] {
        let found = values.len();
        let error = error(|p| p.sample[0].value = values);
        assert!(
            matches!(error, ReadError::ValueCount { sample: 0, found: f, expected: 1 } if f == found),
            "{error}"
        );
    }
    let none = error(|p| p.sample_type.clear());
    assert!(matches!(none, ReadError::NoSampleTypes), "{none}");
}

#[test]
fn two_files_joined_are_not_read_as_one() {
    let message = small().encode_to_vec();
    let both = pprof::read(&[&message[..], &message].concat());
    assert!(matches!(both, Err(ReadError::Joined)));
    let both = pprof::read(&[gzip(&message), gzip(&message)].concat());
    assert!(matches!(both, Err(ReadError::Joined)));
}

#[test]
fn texts_that_are_not_utf8_get_replacement_characters() {
    let mut message = small();
    message.string_table[3] = b"ma\xffin".to_vec();
    let profile = pprof::read(&message.encode_to_vec()).expect("not UTF-8, but valid");
    let name = profile.functions()[0].name;
    assert_eq!(profile.string(name), "ma\u{fffd}in");
}

#[test]
fn counts_past_2_to_the_63_do_not_overflow() {
    let mut message = small();
    message.sample[0].value = vec![i64::MIN];
    message.sample.push(message.sample[0].clone());
    let profile = pprof::read(&message.encode_to_vec()).expect("valid");
    assert_eq!(profile.total(0), i64::MIN);
}

#[test]
fn every_prefix_of_a_file_is_refused_or_read() {
    let profile = generator::profile(3, 30);
    let whole = file(&profile);
    for length in 0..whole.len() {
        assert!(pprof::read(&whole[..length]).is_err(), "{length} bytes");
    }
    let half = pprof::read(&whole[..whole.len() / 2]).expect_err("half of the file");
    assert!(half.to_string().contains("cut short?"), "{half}");

    let whole = decompressed_file(&profile);
    let strings = whole.len() * 3 / 4;
    for length in 0..whole.len() {
        let cut = pprof::read(&whole[..length]);
        assert!(length > strings || cut.is_err(), "{length} bytes");
    }
}

#[test]
fn flipped_bytes_do_no_harm() {
    let whole = decompressed_file(&generator::profile(3, 30));
    let packed = file(&generator::profile(3, 30));
    let mut random = Random::new(1);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        read += usize::from(pprof::read(&bytes).is_ok());
    }
    assert!(read > 0, "some flips leave a valid file");
    for _ in 0..2_000 {
        let mut bytes = packed.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        drop(pprof::read(&bytes));
    }
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random::new(2);
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.number() as u8).collect();
        assert!(pprof::read(&bytes).is_err());
    }
}

#[test]
fn a_row_longer_than_any_stack_is_refused() {
    let mut bytes = small().encode_to_vec();
    bytes.push(2 << 3 | 2);
    prost::encode_length_delimiter((64 << 20) + 1, &mut bytes).expect("a Vec has room");
    bytes.resize(bytes.len() + (64 << 20) + 1, 0);
    let error = pprof::read(&bytes).expect_err("a stack of 64 Mi frames");
    let text = error.to_string();
    assert!(text.contains("expected at most 67108864 bytes, found 67"), "{text}");
}

/// The small file with a location of this many inlined functions, and these stacks of so many of
/// them, each of a process and a thread.
fn inlined(lines: usize, stacks: &[(usize, i64, i64)]) -> proto::Profile {
    let mut message = small();
    message.string_table.extend(["comm", "tid"].map(|text| text.as_bytes().to_vec()));
    message.location[0].line = vec![message.location[0].line[0]; lines];
    message.sample.clear();
    for &(frames, process, thread) in stacks {
        message.string_table.push(format!("process {process}").into_bytes());
        let str = message.string_table.len() as i64 - 1;
        message.sample.push(proto::Sample {
            location_id: vec![1; frames],
            value: vec![1],
            label: vec![
                proto::Label { key: 6, str, ..proto::Label::default() },
                proto::Label { key: 7, num: thread, ..proto::Label::default() },
            ],
        });
    }
    message
}

#[test]
fn a_few_lines_times_many_frames_are_refused_before_anything_is_made_of_them() {
    let refused = |message: proto::Profile| {
        let bytes = message.encode_to_vec();
        assert!(bytes.len() < 3 << 20, "{} bytes stand for much more", bytes.len());
        pprof::read(&bytes).expect_err("more frames than are read")
    };
    // 5 * 10^10 nodes.
    let one = refused(inlined(100_000, &[(500_000, 1, 1)]));
    assert!(matches!(one, ReadError::TooManyFrames { .. }), "{one}");
    assert!(one.to_string().contains("too large a profile: expected at most 67108864"), "{one}");
    // A million nodes, in each of a hundred processes.
    let processes: Vec<_> = (0..100).map(|process| (1000, process, 1)).collect();
    let each = refused(inlined(1000, &processes));
    assert!(matches!(each, ReadError::TooManyFrames { .. }), "{each}");
    // The same million nodes, of 1100 samples.
    let threads: Vec<_> = (0..1100).map(|thread| (1000, 1, thread)).collect();
    let shared = refused(inlined(1000, &threads));
    assert!(matches!(shared, ReadError::TooMuchRepeated { .. }), "{shared}");
    let read = pprof::read(&inlined(1000, &threads[..60]).encode_to_vec());
    assert_eq!(read.expect("60 million frames of a million nodes").sample_count(), 60);
}

#[test]
fn a_long_name_is_cut_and_refused_where_too_many_functions_have_it() {
    let named = |functions: u64| {
        let mut message = small();
        message.string_table[3] = vec![b'n'; 1 << 20];
        let function = message.function[0];
        message.function = (1..=functions)
            .map(|id| proto::Function { id, start_line: id as i64, ..function })
            .collect();
        message.location[0].line = (1..=functions)
            .map(|function_id| proto::Line { function_id, ..proto::Line::default() })
            .collect();
        pprof::read(&message.encode_to_vec())
    };
    let profile = named(1000).expect("64 MiB of names");
    let name = profile.string(profile.functions()[0].name);
    assert_eq!(name.len(), flame::profile::LONGEST_TEXT);
    assert!(name.ends_with("nnn..."));
    let error = named(20_000).expect_err("more than a GiB of names");
    assert!(matches!(error, ReadError::TooMuchRepeated { .. }), "{error}");
    assert!(error.to_string().contains("bytes in the names of frames"), "{error}");
}

#[test]
fn a_long_text_repeated_as_comment_is_refused() {
    let mut message = small();
    message.string_table.push(vec![b'x'; 1 << 20]);
    message.comment = vec![6; 1 << 16];
    let error = pprof::read(&message.encode_to_vec()).expect_err("64 GiB of comments");
    assert!(matches!(error, ReadError::TooMuchText { .. }), "{error}");
}
