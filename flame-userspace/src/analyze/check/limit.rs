//! What is limited, and how: `METRIC[:FUNCTION] > LIMIT`.

use std::fmt;
use std::str::FromStr;

use super::Glob;
use crate::analyze::normalize::{NotComparable, told};
use crate::profile::Unit;

/// A limit, as in `cpu:render_* > +3pp`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The sample type.
    pub metric: String,
    /// Whether self values count, and not every sample in which the subject stands.
    pub own: bool,
    /// Of what.
    pub subject: Subject,
    /// How much is too much.
    pub bound: Bound,
    /// The limit as it was given.
    pub text: String,
}

/// What a limit is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The whole profile.
    Whole,
    /// Functions of these names.
    Functions(Glob),
    /// The code of modules of these file names (or paths, for a pattern with a `/`).
    Modules(Glob, bool),
}

/// How much is too much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Growth by a share of the base's value, 0.05 for `+5%`.
    Growth(f64),
    /// Growth of the share of the total, 0.03 for `+3pp`.
    Points(f64),
    /// Growth by an amount.
    More(Amount),
    /// A share of the new total, 0.2 for `20%`.
    Share(f64),
    /// An amount in the new profile.
    AtMost(Amount),
}

/// A value with a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// In bytes, nanoseconds, or as it is.
    pub value: f64,
    /// What it measures.
    pub dimension: Dimension,
}

/// What an amount measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Bytes.
    Bytes,
    /// Time.
    Time,
    /// A number.
    Number,
}

/// Units, with their size in bytes, nanoseconds or ones.
const UNITS: [(&str, f64, Dimension); 20] = [
    ("", 1.0, Dimension::Number),
    ("B", 1.0, Dimension::Bytes),
    ("kB", 1e3, Dimension::Bytes),
    ("KB", 1e3, Dimension::Bytes),
    ("MB", 1e6, Dimension::Bytes),
    ("GB", 1e9, Dimension::Bytes),
    ("TB", 1e12, Dimension::Bytes),
    ("KiB", 1024.0, Dimension::Bytes),
    ("MiB", 1_048_576.0, Dimension::Bytes),
    ("GiB", 1_073_741_824.0, Dimension::Bytes),
    ("TiB", 1_099_511_627_776.0, Dimension::Bytes),
    ("ns", 1.0, Dimension::Time),
    ("us", 1e3, Dimension::Time),
    ("µs", 1e3, Dimension::Time),
    ("ms", 1e6, Dimension::Time),
    ("s", 1e9, Dimension::Time),
    ("m", 6e10, Dimension::Time),
    ("min", 6e10, Dimension::Time),
    ("h", 3.6e12, Dimension::Time),
    ("count", 1.0, Dimension::Number),
];

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Limit {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |what: &str| ParseError(format!("{what}, as in 'cpu:parse_* > +5%'"));
        // Names of functions may hold `>`; limits never do.
        let (left, bound) = text
            .rsplit_once('>')
            .ok_or_else(|| wrong("a limit is a metric, '>' and how much is too much"))?;
        let (metric, subject) = match left.trim().split_once(':') {
            None => (left.trim(), Subject::Whole),
            Some((metric, function)) => (metric.trim(), subject(function.trim())?),
        };
        let (metric, own) = match metric.strip_suffix(".self") {
            Some(metric) => (metric, true),
            None => (metric, false),
        };
        if metric.is_empty() {
            return Err(wrong("a limit begins with a sample type"));
        }
        if own && subject == Subject::Whole {
            return Err(wrong("self values are those of a function or module"));
        }
        let bound = bound.trim().parse()?;
        let text = text.trim().to_owned();
        Ok(Self { metric: metric.to_owned(), own, subject, bound, text })
    }
}

fn subject(text: &str) -> Result<Subject, ParseError> {
    let (module, pattern) = match text.strip_prefix("module=") {
        Some(pattern) => (true, pattern),
        None => (false, text),
    };
    if pattern.is_empty() {
        return Err(ParseError("after ':' comes a function, or module=NAME".to_owned()));
    }
    let glob = Glob::new(pattern);
    Ok(if module {
        Subject::Modules(glob, pattern.contains('/'))
    } else {
        Subject::Functions(glob)
    })
}

impl FromStr for Bound {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || {
            ParseError(format!(
                "{text:?} is no limit: give growth such as +5%, +3pp, +1MiB, +200ms, or an amount \
                 such as 20%, 64MiB"
            ))
        };
        let (grows, rest) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits =
            rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, unit) = (&rest[..digits], rest[digits..].trim());
        let number: f64 = number.parse().map_err(|_| error())?;
        if !number.is_finite() {
            return Err(error());
        }
        Ok(match (unit, grows) {
            ("%", true) => Self::Growth(number / 100.0),
            ("%", false) => Self::Share(number / 100.0),
            ("pp", true) => Self::Points(number / 100.0),
            (unit, grows) => {
                let known = UNITS.iter().find(|(name, _, _)| *name == unit);
                let &(_, size, dimension) = known.ok_or_else(error)?;
                let amount = Amount { value: number * size, dimension };
                if grows { Self::More(amount) } else { Self::AtMost(amount) }
            }
        })
    }
}

impl Limit {
    /// The number that the value, or the share, is held against, where values are in `unit`.
    pub(super) fn amount(&self, unit: &Unit) -> Result<f64, NotComparable> {
        let (Bound::More(amount) | Bound::AtMost(amount)) = self.bound else {
            let (Bound::Growth(share) | Bound::Points(share) | Bound::Share(share)) = self.bound
            else {
                return Ok(0.0);
            };
            return Ok(share);
        };
        let fits = match amount.dimension {
            Dimension::Bytes => *unit == Unit::Bytes,
            Dimension::Time => *unit == Unit::Nanoseconds,
            Dimension::Number => !matches!(unit, Unit::Bytes | Unit::Nanoseconds),
        };
        if fits {
            return Ok(amount.value);
        }
        Err(NotComparable::new(format!(
            "the limit of {:?} is of another unit: {} is in {}",
            self.text,
            told(&self.metric),
            told(unit.name())
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Limit {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn limits_are_read_as_documented() {
        let total = limit("cpu > +5%");
        assert_eq!((&total.metric[..], total.own, &total.subject), ("cpu", false, &Subject::Whole));
        assert_eq!(total.bound, Bound::Growth(0.05));
        let own = limit("cpu.self:ns::render_*<A>::b>+3pp");
        assert!(own.own);
        assert_eq!(own.subject, Subject::Functions(Glob::new("ns::render_*<A>::b")));
        assert_eq!(own.bound, Bound::Points(0.03));
        let module = limit("inuse_space:module=libfoo* > +1MiB");
        assert_eq!(module.subject, Subject::Modules(Glob::new("libfoo*"), false));
        assert_eq!(module.amount(&Unit::Bytes), Ok(1_048_576.0));
        assert_eq!(limit("cpu > +200ms").amount(&Unit::Nanoseconds), Ok(2e8));
        assert_eq!(limit("cpu:f > 20%").bound, Bound::Share(0.2));
        assert_eq!(limit("inuse_space > 64MiB").amount(&Unit::Bytes), Ok(67_108_864.0));
        assert_eq!(limit("samples > +1000").amount(&Unit::Count), Ok(1000.0));
        assert_eq!(limit("cpu:operator-> > +5 %").bound, Bound::Growth(0.05));
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in [
            "",
            "cpu",
            "cpu > ",
            "> 5%",
            "cpu: > 5%",
            "cpu > 5pp",
            "cpu > +x%",
            "cpu > -5%",
            "cpu > +5parsecs",
            "cpu > +",
            "cpu > 1e400%",
            "cpu.self > +5%",
            "cpu:module= > 1%",
            "cpu > +1.2.3%",
        ] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
        let wrong_unit = limit("cpu > +1MiB").amount(&Unit::Nanoseconds).expect_err("not bytes");
        assert!(wrong_unit.to_string().contains("another unit"), "{wrong_unit}");
        let hostile = Unit::from("x\u{1b}[2J\n# heading");
        let told = limit("cpu > +1MiB").amount(&hostile).expect_err("not bytes").to_string();
        assert!(told.ends_with(r"cpu is in x\u{1b}[2J\n# heading"), "{told}");
    }
}
