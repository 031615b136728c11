//! What flame writes, flame reads back the same.

use flame::format::pprof;
use flame::profile::{Builder, Function, Line, Location, Mapping, Profile, SampleType};
use prost::Message;

use crate::description::Description;
use crate::{decompressed_file, file, generator};

fn read(bytes: &[u8]) -> Profile {
    pprof::read(bytes).expect("flame reads what it wrote")
}

#[test]
fn random_profiles_come_back_the_same() {
    for seed in 0..300 {
        let profile = generator::profile(seed, 40);
        let back = read(&file(&profile));
        assert_eq!(Description::of(&back), Description::of(&profile), "seed {seed}");
        assert_eq!(file(&back).len(), file(&read(&file(&back))).len());
    }
}

#[test]
fn the_file_in_parts_is_the_message_in_one() {
    for seed in 0..20 {
        let profile = generator::profile(seed, 40);
        let parts = decompressed_file(&profile);
        let decoded = pprof::proto::Profile::decode(&parts[..]).expect("a pprof message");
        assert_eq!(decoded, pprof::encode(&profile));
    }
}

#[test]
fn a_profile_without_anything_comes_back() {
    let profile = Builder::new(Vec::new(), 0).finish();
    let back = read(&file(&profile));
    assert_eq!(Description::of(&back), Description::of(&profile));
}

#[test]
fn extreme_values_and_stacks_come_back() {
    let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let leaf = b.location(Location { mapping: None, address: u64::MAX, lines: Vec::new() });
    let none = b.label_set(Vec::new());
    let deep = b.stack(std::iter::repeat_n(leaf, 100_000));
    b.sample(deep, none, &[i64::MAX]);
    b.sample(None, none, &[i64::MIN]);
    let profile = b.finish();
    let back = read(&file(&profile));
    assert_eq!(Description::of(&back), Description::of(&profile));
    let depth = back.samples().map(|s| back.frames(s.stack).count());
    assert_eq!(depth.collect::<Vec<_>>(), [100_000, 0]);
}

/// A profile with one function of one name for both, in a mapping without a path.
fn nameless() -> Profile {
    let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let name = b.string("<module>");
    let empty = b.string("");
    let build_id = b.string("c");
    let function = b.function(Function { name, system_name: name, file: empty, start_line: 0 });
    let mapping = b.mapping(Mapping {
        start: 0x1000,
        limit: 0x2000,
        file_offset: 0,
        path: empty,
        build_id,
        has_functions: false,
        has_filenames: false,
        has_line_numbers: false,
        has_inline_frames: false,
    });
    let line = Line { function, line: 3, column: 0 };
    let location =
        b.location(Location { mapping: Some(mapping), address: 0x1001, lines: vec![line] });
    let none = b.label_set(Vec::new());
    let stack = b.stack([location]);
    b.sample(stack, none, &[5]);
    b.finish()
}

#[test]
fn what_would_make_go_tool_pprof_stumble_is_written_otherwise() {
    let message = pprof::encode(&nameless());
    assert!(message.mapping[0].has_functions, "nothing to look up");
    assert_eq!(message.mapping[0].build_id, 0, "no whole byte");
    assert_eq!(message.function[0].system_name, 0, "kept from being cut");

    let back = read(&file(&nameless()));
    let function = &back.functions()[0];
    assert_eq!(back.string(function.system_name), "<module>");
}

#[test]
fn locations_without_any_mapping_get_one_that_is_not_read_back() {
    let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let at = b.location(Location { mapping: None, address: 7, lines: Vec::new() });
    let none = b.label_set(Vec::new());
    let stack = b.stack([at]);
    b.sample(stack, none, &[1]);
    let profile = b.finish();
    assert_eq!(pprof::encode(&profile).mapping.len(), 1);
    assert_eq!(pprof::encode(&profile).location[0].mapping_id, 0);
    assert!(read(&file(&profile)).mappings().is_empty());
}
