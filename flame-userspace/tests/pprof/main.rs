//! pprof files: what is written is read back the same, by flame and by `go tool pprof`; files of
//! other tools are read; hostile files are refused.

mod description;
mod generator;
mod go_tool;
mod hostile;
mod numbers;
mod other_tools;
mod round_trip;

use std::io::Write;

use flame::format::pprof;
use flame::profile::Profile;

/// The file that flame writes.
fn file(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    pprof::write(profile, &mut bytes).expect("a Vec takes every write");
    bytes
}

/// The file that flame writes, without its compression.
fn decompressed_file(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = file(profile);
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&file[..]), &mut bytes)
        .expect("flame writes gzip");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}
