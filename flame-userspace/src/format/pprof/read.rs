//! Reads pprof files of any tool.
//!
//! The fields of a file refer to each other and may come in any order, so it is gone through
//! several times: head and texts, then mappings, functions, locations and samples. Only one of
//! them is decoded at a time.
//!
//! Memory is bounded by a factor of the decompressed size: every row that is kept was paid for by
//! bytes in the file, and the texts that are copied wherever a file refers to them, those of sample
//! types and comments, have a budget. What costs most for its bytes, a stack of one-byte ids, is
//! bounded by numbers too, so that the largest file does not take the machine's memory. What the
//! finished profile comes to, [`check`] looks at.
//!
//! What a [`Profile`] has no place for is left out: `drop_frames` and `keep_frames` (the frames are
//! kept), `doc_url`, `is_folded`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::bounds::{MAX_FRAMES, MAX_SAMPLE_TYPES, check};
use super::field::each;
use super::head::Head;
use super::inflate::{MAX_DECOMPRESSED_BYTES, inflate};
use super::texts::{Copier, Texts};
use super::{ReadError, Table, foreign, proto};
use crate::profile::{
    Builder, Function, FunctionId, Label, LabelValue, Line, Location, LocationId, Mapping,
    MappingId, Profile, StringId,
};

/// Reads a pprof file, compressed or not, of any tool.
///
/// Samples with equal stacks and labels become one. Texts that are not UTF-8 get replacement
/// characters.
pub fn read(bytes: &[u8]) -> Result<Profile, ReadError> {
    read_message(&inflate(bytes, MAX_DECOMPRESSED_BYTES)?)
}

/// Reads a pprof message that is not compressed (any more).
pub(in crate::format) fn read_message(message: &[u8]) -> Result<Profile, ReadError> {
    if let Some(found) = foreign::recognize(message) {
        return Err(ReadError::NotPprof { found });
    }
    let head = Head::read(message).map_err(|error| match error {
        ReadError::Malformed { .. } if foreign::is_text(message) => {
            ReadError::NotPprof { found: "text" }
        }
        error => error,
    })?;
    let mut reader = Reader::new(&head, message.len() as u64)?;
    each(message, 3, |mapping| reader.mapping(mapping))?;
    each(message, 5, |function| reader.function(function))?;
    each(message, 4, |location| reader.location(&location))?;
    each(message, 2, |sample| reader.sample(&sample))?;
    let profile = reader.finish();
    check(&profile)?;
    Ok(profile)
}

/// Puts the rows of a file into a [`Builder`], and knows their ids.
struct Reader<'a> {
    builder: Builder,
    texts: Texts<'a>,
    width: usize,
    /// `None` for a mapping that says nothing, which is as good as no mapping.
    mappings: HashMap<u64, Option<MappingId>>,
    functions: HashMap<u64, FunctionId>,
    locations: HashMap<u64, LocationId>,
    /// Number of samples so far, equal ones counted apart.
    samples: u64,
}

impl<'a> Reader<'a> {
    fn new(head: &'a Head<'a>, message_length: u64) -> Result<Self, ReadError> {
        let texts = Texts::new(&head.texts);
        let mut copier = Copier::new(&texts, message_length);
        if head.sample_types.len() > MAX_SAMPLE_TYPES {
            return Err(ReadError::TooManySampleTypes { limit: MAX_SAMPLE_TYPES });
        }
        let mut sample_types = Vec::with_capacity(head.sample_types.len());
        for &value in &head.sample_types {
            sample_types.push(copier.sample_type(value)?);
        }
        // As `go tool pprof` does: an unknown default is no error, and the last type is shown.
        let default = texts.get(head.default_sample_type, "default sample type")?;
        let default = sample_types
            .iter()
            .position(|sample_type| sample_type.kind == default)
            .unwrap_or(sample_types.len().saturating_sub(1));
        let width = sample_types.len();
        let mut builder = Builder::new(sample_types, default);
        builder.time(head.time_ns, head.duration_ns);
        if head.period_type.is_some() || head.period != 0 {
            let period_type = copier.sample_type(head.period_type.unwrap_or_default())?;
            builder.period(period_type, head.period);
        }
        for &comment in &head.comments {
            builder.comment(copier.text(comment, "comment")?);
        }
        Ok(Self {
            builder,
            texts,
            width,
            mappings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            samples: 0,
        })
    }

    fn text(&mut self, index: i64, owner: &'static str) -> Result<StringId, ReadError> {
        self.texts.intern(&mut self.builder, index, owner)
    }

    fn mapping(&mut self, row: proto::Mapping) -> Result<(), ReadError> {
        let mapping = Mapping {
            start: row.memory_start,
            limit: row.memory_limit,
            file_offset: row.file_offset,
            path: self.text(row.filename, "mapping")?,
            build_id: self.text(row.build_id, "mapping")?,
            has_functions: row.has_functions,
            has_filenames: row.has_filenames,
            has_line_numbers: row.has_line_numbers,
            has_inline_frames: row.has_inline_frames,
        };
        let says_nothing = (mapping.start, mapping.limit, mapping.file_offset) == (0, 0, 0)
            && self.builder.text(mapping.path).is_empty()
            && self.builder.text(mapping.build_id).is_empty();
        let handle = if says_nothing { None } else { Some(self.builder.mapping(mapping)) };
        add(&mut self.mappings, Table::Mapping, row.id, handle)
    }

    fn function(&mut self, row: proto::Function) -> Result<(), ReadError> {
        let name = self.text(row.name, "function")?;
        let mut system_name = self.text(row.system_name, "function")?;
        if self.builder.text(system_name).is_empty() {
            system_name = name;
        }
        let function = Function {
            name,
            system_name,
            file: self.text(row.filename, "function")?,
            start_line: row.start_line,
        };
        let handle = self.builder.function(function);
        add(&mut self.functions, Table::Function, row.id, handle)
    }

    fn location(&mut self, row: &proto::Location) -> Result<(), ReadError> {
        let missing =
            |table, id| ReadError::MissingRow { table, id, owner: "location", owner_id: row.id };
        let mapping = match row.mapping_id {
            0 => None,
            id => *self.mappings.get(&id).ok_or_else(|| missing(Table::Mapping, id))?,
        };
        let mut lines = Vec::with_capacity(row.line.len());
        for line in &row.line {
            let function = self.functions.get(&line.function_id);
            lines.push(Line {
                function: *function.ok_or_else(|| missing(Table::Function, line.function_id))?,
                line: line.line,
                column: line.column,
            });
        }
        let handle = self.builder.location(Location { mapping, address: row.address, lines });
        add(&mut self.locations, Table::Location, row.id, handle)
    }

    fn sample(&mut self, row: &proto::Sample) -> Result<(), ReadError> {
        let position = self.samples;
        self.samples += 1;
        if self.width == 0 {
            return Err(ReadError::NoSampleTypes);
        }
        if row.value.len() != self.width {
            return Err(ReadError::ValueCount {
                sample: position,
                found: row.value.len(),
                expected: self.width,
            });
        }
        let mut stack = None;
        for id in row.location_id.iter().rev() {
            let location = self.locations.get(id).ok_or(ReadError::MissingRow {
                table: Table::Location,
                id: *id,
                owner: "sample",
                owner_id: position,
            })?;
            let frame = self.builder.push_frame(stack, *location);
            if frame.index() >= MAX_FRAMES {
                return Err(ReadError::TooManyFrames { limit: MAX_FRAMES as u64 });
            }
            stack = Some(frame);
        }
        let mut labels = Vec::with_capacity(row.label.len());
        for label in &row.label {
            labels.push(self.label(*label)?);
        }
        let labels = self.builder.label_set(labels);
        self.builder.sample(stack, labels, &row.value);
        Ok(())
    }

    fn label(&mut self, label: proto::Label) -> Result<Label, ReadError> {
        let key = self.text(label.key, "label")?;
        let value = if label.str == 0 {
            LabelValue::Number { value: label.num, unit: self.text(label.num_unit, "label")? }
        } else {
            LabelValue::Text(self.text(label.str, "label")?)
        };
        Ok(Label { key, value })
    }

    /// The profile; the ids are forgotten.
    fn finish(self) -> Profile {
        self.builder.finish()
    }
}

/// Notes the handle of the row with an id, which must be new and not 0.
fn add<Handle>(
    rows: &mut HashMap<u64, Handle>,
    table: Table,
    id: u64,
    handle: Handle,
) -> Result<(), ReadError> {
    if id == 0 {
        return Err(ReadError::ZeroId { table });
    }
    match rows.entry(id) {
        Entry::Vacant(row) => {
            row.insert(handle);
            Ok(())
        }
        Entry::Occupied(_) => Err(ReadError::DuplicateId { table, id }),
    }
}
