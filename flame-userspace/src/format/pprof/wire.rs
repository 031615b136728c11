//! The outermost fields of a protobuf message, in place.
//!
//! The reader goes through a file's fields itself and decodes one small message at a time. Decoding
//! the whole file at once would let an empty sample, two bytes in the file, become a struct of
//! seventy, before anything could refuse it.

use std::fmt;

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
    /// Where the field starts, in bytes from the start of the message.
    pub(super) at: usize,
}

/// A field's value, as far as the encoding tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A varint.
    Number(u64),
    /// A text, a message, or numbers packed together.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no field of pprof uses.
    Fixed,
}

impl Value<'_> {
    /// What the value is, for messages.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Bytes(_) => "bytes",
            Self::Fixed => "a fixed-size number",
        }
    }
}

/// Why bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireError {
    /// The bytes end within a field.
    Cut,
    /// A varint goes on after ten bytes.
    LongVarint,
    /// A wire type that protobuf does not have, or a group, which pprof does not use.
    WireType(u8),
    /// A field number that protobuf does not have.
    FieldNumber(u64),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the data ends within a field"),
            Self::LongVarint => f.write_str("a number goes on after its tenth byte"),
            Self::WireType(wire_type) => {
                write!(f, "expected wire type 0, 1, 2 or 5, found {wire_type}")
            }
            Self::FieldNumber(number) => {
                write!(f, "expected a field number from 1 to 536870911, found {number}")
            }
        }
    }
}

/// The fields of a message in their order. Ends at the first error.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, length: message.len() }
    }

    fn field(&mut self, at: usize) -> Result<Field<'a>, WireError> {
        let key = varint(&mut self.rest)?;
        let number = key >> 3;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError::FieldNumber(number));
        }
        let value = match (key & 7) as u8 {
            0 => Value::Number(varint(&mut self.rest)?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(&mut self.rest)?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            other => return Err(WireError::WireType(other)),
        };
        Ok(Field { number, value, at })
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(length).map_err(|_| WireError::Cut)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, (usize, WireError)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.length - self.rest.len();
        let field = self.field(at).map_err(|error| (at, error));
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The varint that `bytes` begin with; they are advanced past it.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { WireError::Cut } else { WireError::LongVarint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_within_ten_bytes() {
        let read = |mut bytes: &[u8]| varint(&mut bytes).map(|value| (value, bytes.len()));
        assert_eq!(read(&[]), Err(WireError::Cut));
        assert_eq!(read(&[0x80]), Err(WireError::Cut));
        assert_eq!(read(&[0x7f, 1]), Ok((127, 1)));
        assert_eq!(read(&[0xac, 0x02]), Ok((300, 0)));
        let mut longest = [0xff; 10];
        assert_eq!(read(&longest), Err(WireError::LongVarint));
        longest[9] = 1;
        assert_eq!(read(&longest), Ok((u64::MAX, 0)));
    }

    #[test]
    fn fields_are_found_and_a_cut_one_is_the_last() {
        let message = [0x48, 5, 0x12, 2, 7, 8, 0x0d, 0, 0, 0, 0, 0x12, 3, 1];
        let fields: Vec<_> = Fields::new(&message).collect();
        let number = Field { number: 9, value: Value::Number(5), at: 0 };
        let bytes = Field { number: 2, value: Value::Bytes(&[7, 8]), at: 2 };
        let fixed = Field { number: 1, value: Value::Fixed, at: 6 };
        let cut = Err((11, WireError::Cut));
        assert_eq!(fields, [Ok(number), Ok(bytes), Ok(fixed), cut]);
    }

    #[test]
    fn a_length_beyond_any_memory_is_a_cut_message() {
        let message = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Fields::new(&message).last(), Some(Err((0, WireError::Cut))));
    }
}
