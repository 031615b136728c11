//! What a pprof file says of itself, and its texts.

use super::field::{decode, field_bytes, field_number, fields, malformed};
use super::wire::{Field, Value, varint};
use super::{ReadError, proto};

/// What a file says of itself, and its texts.
#[derive(Default)]
pub(super) struct Head<'a> {
    pub(super) sample_types: Vec<proto::ValueType>,
    pub(super) default_sample_type: i64,
    pub(super) period_type: Option<proto::ValueType>,
    pub(super) period: i64,
    pub(super) time_ns: i64,
    pub(super) duration_ns: i64,
    pub(super) comments: Vec<i64>,
    pub(super) texts: Vec<&'a [u8]>,
}

impl<'a> Head<'a> {
    /// Reads the head, and sees to it that the whole message consists of fields.
    pub(super) fn read(message: &'a [u8]) -> Result<Self, ReadError> {
        let mut head = Self::default();
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => head.sample_types.push(decode(&field)?),
                2..=5 => {
                    field_bytes(&field)?;
                }
                6 => head.texts.push(field_bytes(&field)?),
                9 => {
                    // Protobuf takes the last of repeated fields, and so a file joined from two
                    // would be read with the texts of one and the samples of both.
                    if head.time_ns != 0 {
                        return Err(ReadError::Joined);
                    }
                    head.time_ns = field_number(&field)?;
                }
                10 => head.duration_ns = field_number(&field)?,
                11 => head.period_type = Some(decode(&field)?),
                12 => head.period = field_number(&field)?,
                13 => head.comments(&field)?,
                14 => head.default_sample_type = field_number(&field)?,
                _ => {}
            }
        }
        match head.texts.first() {
            None => Err(ReadError::NotPprof { found: "a protobuf message without a string table" }),
            Some([]) => Ok(head),
            Some(text) => Err(ReadError::FirstText {
                found: String::from_utf8_lossy(text).chars().take(40).collect(),
            }),
        }
    }

    fn comments(&mut self, field: &Field<'_>) -> Result<(), ReadError> {
        match field.value {
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    let comment =
                        varint(&mut packed).map_err(|cause| malformed(field, cause.to_string()))?;
                    self.comments.push(comment as i64);
                }
            }
            Value::Number(_) | Value::Fixed => self.comments.push(field_number(field)?),
        }
        Ok(())
    }
}
