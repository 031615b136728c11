//! The memory that reading a pprof file takes, whatever is in it. One test in a program of its own:
//! the kernel tells the peak of a process.

use std::io::Write;

use flame::format::pprof::{self, proto};
use prost::Message;

/// Lets [`peak_memory`] start anew from what is resident now.
fn forget_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
}

/// Largest resident size of this process since it was forgotten, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process may read its own");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("the kernel tells VmHWM in kB") * 1024
}

/// The size of a file after decompression.
const LARGE: usize = 1 << 20;

#[test]
fn memory_is_bounded_by_a_factor_of_the_size() {
    let head = proto::Profile {
        sample_type: vec![proto::ValueType::default()],
        location: vec![proto::Location { id: 1, ..proto::Location::default() }],
        string_table: vec![Vec::new()],
        ..proto::Profile::default()
    };
    let stack: Vec<u64> = vec![1; LARGE];
    let deep = proto::Sample { location_id: stack, value: vec![1], label: Vec::new() };
    let deep = proto::Profile { sample: vec![deep], ..head.clone() };
    let many = |part: &[u8]| [head.encode_to_vec(), part.repeat(LARGE / part.len())].concat();
    let locations: Vec<proto::Location> = (2..LARGE as u64 / 8)
        .map(|id| proto::Location { id, address: id, ..proto::Location::default() })
        .collect();
    let locations = proto::Profile { location: locations, ..head.clone() };
    let labelled: Vec<proto::Sample> = (1..LARGE as i64 / 16)
        .map(|num| proto::Sample {
            location_id: vec![1],
            value: vec![1],
            label: vec![proto::Label { num, ..proto::Label::default() }],
        })
        .collect();
    let labelled = proto::Profile { sample: labelled, ..head.clone() };
    let files = [
        ("labels", labelled.encode_to_vec()),
        ("one deep stack", deep.encode_to_vec()),
        ("empty samples", many(&[0x12, 0])),
        ("empty locations", many(&[0x22, 0])),
        ("empty texts", many(&[0x32, 0])),
        ("empty sample types", many(&[0x0a, 0])),
        ("comments", many(&[0x68, 0])),
        ("locations", locations.encode_to_vec()),
    ];
    for (name, file) in files {
        let packed = gzip(&file);
        forget_peak_memory();
        let before = peak_memory();
        drop(pprof::read(&packed));
        let grown = peak_memory() - before;
        let factor = grown / file.len() as u64;
        eprintln!("{name}: {factor} times {} bytes", file.len());
        assert!(factor < 128, "{name}: {factor} times the file's size");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}
