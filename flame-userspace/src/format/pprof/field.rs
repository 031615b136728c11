//! The fields of a profile message, decoded one at a time, with errors that name the field.

use prost::Message;

use super::ReadError;
use super::wire::{Field, Fields, Value};

/// The largest message for one sample, location, function or mapping. A hundred thousand frames
/// take a hundredth of it.
const MAX_ROW_BYTES: usize = 64 << 20;

/// Decodes the messages in one field of the profile, one after the other.
pub(super) fn each<M: Message + Default>(
    message: &[u8],
    number: u64,
    mut take: impl FnMut(M) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            take(decode(&field)?)?;
        }
    }
    Ok(())
}

pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, ReadError>> {
    Fields::new(message).map(|field| {
        field.map_err(|(at, cause)| ReadError::Malformed {
            at,
            field: "field",
            cause: cause.to_string(),
        })
    })
}

pub(super) fn decode<M: Message + Default>(field: &Field<'_>) -> Result<M, ReadError> {
    let bytes = field_bytes(field)?;
    if bytes.len() > MAX_ROW_BYTES {
        let found = bytes.len();
        let cause = format!("expected at most {MAX_ROW_BYTES} bytes, found {found}");
        return Err(malformed(field, cause));
    }
    M::decode(bytes).map_err(|cause| malformed(field, cause.to_string()))
}

pub(super) fn field_bytes<'a>(field: &Field<'a>) -> Result<&'a [u8], ReadError> {
    match field.value {
        Value::Bytes(bytes) => Ok(bytes),
        found => Err(malformed(field, format!("expected bytes, found {}", found.kind()))),
    }
}

pub(super) fn field_number(field: &Field<'_>) -> Result<i64, ReadError> {
    match field.value {
        Value::Number(number) => Ok(number as i64),
        found => Err(malformed(field, format!("expected a number, found {}", found.kind()))),
    }
}

pub(super) fn malformed(field: &Field<'_>, cause: String) -> ReadError {
    ReadError::Malformed {
        at: field.at,
        field: match field.number {
            1 => "sample_type",
            2 => "sample",
            3 => "mapping",
            4 => "location",
            5 => "function",
            6 => "string_table",
            9 => "time_nanos",
            10 => "duration_nanos",
            11 => "period_type",
            12 => "period",
            13 => "comment",
            14 => "default_sample_type",
            _ => "field",
        },
        cause,
    }
}
