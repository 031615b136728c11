//! Labels: what a sample belongs to besides its stack (process, thread).

use super::StringId;

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label {
    /// What is told, such as `pid`.
    pub key: StringId,
    /// What it is.
    pub value: LabelValue,
}

/// A label's value: a text or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelValue {
    /// A text, such as a thread's name.
    Text(StringId),
    /// A number with its unit; the empty text where it has none.
    Number {
        /// The number.
        value: i64,
        /// Its unit, such as `bytes`.
        unit: StringId,
    },
}
