//! Columns of numbers and the table of texts, as a block has them.

use std::collections::HashMap;
use std::rc::Rc;

/// Appends `number` as LEB128: seven bits a byte, low bits first, the high bit set but in the last.
pub(super) fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Appends `number` with the sign in its lowest bit.
pub(super) fn put_signed(to: &mut Vec<u8>, number: i64) {
    put(to, ((number << 1) ^ (number >> 63)) as u64);
}

/// Distinct texts, each of which has a row.
#[derive(Default)]
pub(super) struct Texts {
    /// The texts in the order of their rows, each ended by a line feed.
    pub(super) joined: String,
    rows: HashMap<Rc<str>, u64>,
}

impl Texts {
    /// The row of `text`, which holds no line feed.
    pub(super) fn row(&mut self, text: &str) -> u64 {
        if let Some(row) = self.rows.get(text) {
            return *row;
        }
        let row = self.rows.len() as u64;
        self.joined.push_str(text);
        self.joined.push('\n');
        self.rows.insert(text.into(), row);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_bytes_they_need() {
        let encoded = |number| {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            bytes
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(127), [127]);
        assert_eq!(encoded(128), [0x80, 1]);
        assert_eq!(encoded(u64::MAX).len(), 10);
    }

    #[test]
    fn equal_texts_have_one_row() {
        let mut texts = Texts::default();
        assert_eq!([texts.row("a"), texts.row(""), texts.row("a")], [0, 1, 0]);
        assert_eq!(texts.joined, "a\n\n");
    }
}
