//! Writes pprof files, so that `go tool pprof` has nothing to warn of.
//!
//! What was found by running it (Go 1.26), and is seen to here:
//! - A profile without any mapping gets one made up for all its locations, and then "Main binary
//!   filename not available." A mapping that no location refers to prevents that.
//! - A mapping without a path and without `has_functions` gets the same message if it is the first
//!   one, else "Some binary filenames not available." There is no file to look symbols up in, so
//!   the flag is written as true.
//! - A function whose two names are equal is taken for undemangled, and if it has `<`, `[` or `::`
//!   in it, what stands in brackets is cut out of it: `Vec<T>::push` is shown as `Vec::push`, and
//!   Python's `<module>` as nothing at all. Without a linker's name it is shown as it is.
//! - A build ID of one character is a crash: the tool cuts it after the second.
//!
//! What only the maker of a profile can see to:
//! - A mapping with a path and all `has_*` flags false is looked up on the reader's machine, with
//!   "Local symbolization failed" if its file is not there (names in brackets, `//anon`, `/memfd:`
//!   and `linux-vdso` are spared). The flags tell whether symbols were looked up, not whether any
//!   was found: set one also for a stripped file.
//! - Number labels of one key with different units: "For tag bytes used unit ..., also encountered
//!   unit(s) ...".
//! - On a merge, mappings with the same build ID (or path, if there is none), size and offset
//!   become one, and addresses are moved accordingly; so do all nameless mappings of one size.
//! - A number label that is 0 and has no unit is dropped, and so are samples whose values are all 0
//!   and repeated comments when files are merged.
//! - Comments stand in the head of every report.
//!
//! Accepted in silence: negative values (the total that `-top` shows adds up their magnitudes),
//! addresses outside of their mapping, ranges up to `u64::MAX`, functions with empty names, samples
//! without a location, no samples at all.

use std::collections::HashMap;
use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::proto;
use crate::profile::{
    Function, Label, LabelValue, Location, Mapping, Profile, SampleRef, SampleType, StringId,
};

/// The key of field 2 (`sample`) of [`proto::Profile`], length-delimited.
const SAMPLE_KEY: u8 = 2 << 3 | 2;

/// Encoded samples are handed to the compressor in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes `profile` as a gzip-compressed pprof file.
///
/// The bytes depend on nothing but the profile.
pub fn write(profile: &Profile, out: impl io::Write) -> io::Result<()> {
    let mut out = GzEncoder::new(out, Compression::default());
    // A message may be encoded in parts that follow each other. Samples make up most of a file:
    // one by one they need no second copy of every stack in memory. The string table comes after
    // them, so that a file that was decompressed and then cut cannot pass for a smaller one.
    let mut tables = encode_tables(profile);
    let head = proto::Profile {
        sample_type: std::mem::take(&mut tables.sample_type),
        ..proto::Profile::default()
    };
    let mut piece = head.encode_to_vec();
    for sample in profile.samples() {
        piece.push(SAMPLE_KEY);
        encode_sample(profile, &sample)
            .encode_length_delimited(&mut piece)
            .map_err(io::Error::other)?;
        if piece.len() >= PIECE_BYTES {
            io::Write::write_all(&mut out, &piece)?;
            piece.clear();
        }
    }
    io::Write::write_all(&mut out, &piece)?;
    io::Write::write_all(&mut out, &tables.encode_to_vec())?;
    io::Write::flush(&mut out.finish()?)
}

/// `profile` as a pprof message.
pub fn encode(profile: &Profile) -> proto::Profile {
    let mut message = encode_tables(profile);
    message.sample = profile.samples().map(|sample| encode_sample(profile, &sample)).collect();
    message
}

/// Everything but the samples.
fn encode_tables(profile: &Profile) -> proto::Profile {
    let mut texts = Texts::new(profile);
    let default = profile.sample_types().get(profile.default_sample_type());
    let mut message = proto::Profile {
        sample_type: profile
            .sample_types()
            .iter()
            .map(|sample_type| texts.value_type(sample_type))
            .collect(),
        mapping: rows(profile.mappings(), |id, row| encode_mapping(profile, id, row)),
        location: rows(profile.locations(), encode_location),
        function: rows(profile.functions(), |id, row| encode_function(profile, id, row)),
        time_nanos: profile.time_ns(),
        duration_nanos: profile.duration_ns(),
        period_type: profile.period_type().map(|t| texts.value_type(t)),
        period: profile.period(),
        comment: profile.comments().iter().map(|c| texts.index(c)).collect(),
        default_sample_type: default.map_or(0, |t| texts.index(&t.kind)),
        ..proto::Profile::default()
    };
    if message.mapping.is_empty() && !message.location.is_empty() {
        message.mapping.push(proto::Mapping {
            id: 1,
            has_functions: true,
            ..proto::Mapping::default()
        });
    }
    message.string_table = texts.table;
    message
}

/// The messages of a table, numbered from 1.
fn rows<Row, M>(table: &[Row], encode: impl Fn(u64, &Row) -> M) -> Vec<M> {
    (1..).zip(table).map(|(id, row)| encode(id, row)).collect()
}

/// The id of a row, as [`rows`] numbers them.
fn id(index: usize) -> u64 {
    index as u64 + 1
}

/// A text of the profile keeps its row in the file's string table.
fn text(id: StringId) -> i64 {
    id.index() as i64
}

fn encode_sample(profile: &Profile, sample: &SampleRef<'_>) -> proto::Sample {
    proto::Sample {
        location_id: profile.frames(sample.stack).map(|location| id(location.index())).collect(),
        value: sample.values.to_vec(),
        label: profile.labels(sample.labels).iter().map(encode_label).collect(),
    }
}

fn encode_label(label: &Label) -> proto::Label {
    let key = text(label.key);
    match label.value {
        LabelValue::Text(str) => proto::Label { key, str: text(str), ..proto::Label::default() },
        LabelValue::Number { value, unit } => {
            proto::Label { key, num: value, num_unit: text(unit), ..proto::Label::default() }
        }
    }
}

fn encode_mapping(profile: &Profile, id: u64, mapping: &Mapping) -> proto::Mapping {
    let nameless = profile.string(mapping.path).is_empty();
    let build_id_is_cut = profile.string(mapping.build_id).len() < 2;
    proto::Mapping {
        id,
        memory_start: mapping.start,
        memory_limit: mapping.limit,
        file_offset: mapping.file_offset,
        filename: text(mapping.path),
        build_id: if build_id_is_cut { 0 } else { text(mapping.build_id) },
        has_functions: mapping.has_functions || nameless,
        has_filenames: mapping.has_filenames,
        has_line_numbers: mapping.has_line_numbers,
        has_inline_frames: mapping.has_inline_frames,
    }
}

fn encode_location(id_of_location: u64, location: &Location) -> proto::Location {
    proto::Location {
        id: id_of_location,
        mapping_id: location.mapping.map_or(0, |mapping| id(mapping.index())),
        address: location.address,
        line: location
            .lines
            .iter()
            .map(|line| proto::Line {
                function_id: id(line.function.index()),
                line: line.line,
                column: line.column,
            })
            .collect(),
        is_folded: false,
    }
}

fn encode_function(profile: &Profile, id: u64, function: &Function) -> proto::Function {
    let name = profile.string(function.name);
    let would_be_cut = function.system_name == function.name
        && (name.contains(['<', '>', '[', ']']) || name.contains("::"));
    proto::Function {
        id,
        name: text(function.name),
        system_name: if would_be_cut { 0 } else { text(function.system_name) },
        filename: text(function.file),
        start_line: function.start_line,
    }
}

/// The file's string table: the profile's own, then the texts that a profile holds elsewhere.
struct Texts {
    table: Vec<Vec<u8>>,
    added: HashMap<String, i64>,
}

impl Texts {
    fn new(profile: &Profile) -> Self {
        Self {
            table: profile.strings().iter().map(|text| text.as_bytes().to_vec()).collect(),
            added: HashMap::from([(String::new(), 0)]),
        }
    }

    fn index(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.added.get(text) {
            return index;
        }
        let index = self.table.len() as i64;
        self.table.push(text.as_bytes().to_vec());
        self.added.insert(text.to_owned(), index);
        index
    }

    fn value_type(&mut self, sample_type: &SampleType) -> proto::ValueType {
        proto::ValueType {
            r#type: self.index(&sample_type.kind),
            unit: self.index(sample_type.unit.name()),
        }
    }
}
