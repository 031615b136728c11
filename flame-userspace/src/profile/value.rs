//! What a sample's values count.

use std::fmt;

/// The meaning of one column of values, such as `cpu` in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SampleType {
    /// pprof's `type`, such as `samples`, `cpu`, `inuse_space`.
    pub kind: String,
    /// pprof's `unit`.
    pub unit: Unit,
}

impl SampleType {
    /// A sample type from its two texts.
    pub fn new(kind: impl Into<String>, unit: impl Into<Unit>) -> Self {
        Self { kind: kind.into(), unit: unit.into() }
    }
}

/// The unit of a value. Units that flame does not know are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// Another tool's unit.
    Other(String),
}

/// The most characters of another tool's unit that stand behind a value.
const LONGEST_UNIT: usize = 40;

impl Unit {
    /// The unit's name in pprof.
    pub fn name(&self) -> &str {
        match self {
            Self::Count => "count",
            Self::Nanoseconds => "nanoseconds",
            Self::Bytes => "bytes",
            Self::Other(name) => name,
        }
    }

    /// A value in this unit for people: `1.25 s`, `3.4 MiB`, `12,345`. Of another tool's unit the
    /// start is told, as it is: it may hold any character.
    pub fn format(&self, value: i64) -> String {
        match self {
            Self::Nanoseconds => {
                scaled(value, &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")])
            }
            Self::Bytes => scaled(
                value,
                &[
                    (1024.0 * 1024.0 * 1024.0, "GiB"),
                    (1024.0 * 1024.0, "MiB"),
                    (1024.0, "KiB"),
                    (1.0, "B"),
                ],
            ),
            Self::Count => grouped(value),
            Self::Other(name) => match name.char_indices().nth(LONGEST_UNIT) {
                None => format!("{} {name}", grouped(value)),
                Some((end, _)) => format!("{} {}…", grouped(value), &name[..end]),
            },
        }
    }
}

impl From<&str> for Unit {
    fn from(name: &str) -> Self {
        match name {
            "count" => Self::Count,
            "nanoseconds" => Self::Nanoseconds,
            "bytes" => Self::Bytes,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `value` in the largest unit in which it is at least 1; the units descend and end at 1.
fn scaled(value: i64, units: &[(f64, &str)]) -> String {
    let magnitude = value.unsigned_abs() as f64;
    for &(size, name) in units {
        if magnitude >= size && size > 1.0 {
            return format!("{:.2} {name}", value as f64 / size);
        }
    }
    format!("{value} {}", units.last().map_or("", |unit| unit.1))
}

/// `value` with a comma between each three digits.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_the_unit_that_fits() {
        assert_eq!(Unit::Nanoseconds.format(1_250_000_000), "1.25 s");
        assert_eq!(Unit::Nanoseconds.format(999), "999 ns");
        assert_eq!(Unit::Bytes.format(1024), "1.00 KiB");
        assert_eq!(Unit::Bytes.format(0), "0 B");
        assert_eq!(Unit::Count.format(-1_234_567), "-1,234,567");
        assert_eq!(Unit::Count.format(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(Unit::from("watts").format(1000), "1,000 watts");
        let long = Unit::Other("é".repeat(41));
        assert_eq!(long.format(1), format!("1 {}…", "é".repeat(40)));
    }
}
