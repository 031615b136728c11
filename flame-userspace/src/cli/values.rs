//! The values of arguments, from text.

use std::time::Duration;

use crate::analyze::check::{Limit, ParseError};
use crate::analyze::normalize::Normalize;
use crate::{Event, Frequency, HeapMode, ProfileType, format::Format};

pub(super) fn frequency(text: &str) -> Result<Frequency, String> {
    let hz = text.parse().ok().and_then(Frequency::hz);
    hz.ok_or_else(|| "a frequency is a whole number from 1 to 10000".to_owned())
}

pub(super) fn rows(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| "a number of rows is a whole number from 1 to 1000".to_owned())
}

pub(super) fn normalize(text: &str) -> Result<Normalize, String> {
    Normalize::ALL
        .into_iter()
        .find(|how| how.name() == text)
        .ok_or_else(|| format!("known ways are {}", Normalize::ALL.map(Normalize::name).join(", ")))
}

pub(super) fn limit(text: &str) -> Result<Limit, String> {
    text.parse().map_err(|error: ParseError| error.to_string())
}

pub(super) fn event(text: &str) -> Result<Event, String> {
    Event::from_name(text).ok_or_else(|| {
        format!("known events are {}", Event::names().collect::<Vec<_>>().join(", "))
    })
}

pub(super) fn profile_type(text: &str) -> Result<ProfileType, String> {
    ProfileType::from_name(text).ok_or_else(|| {
        format!("known types are {}", ProfileType::ALL.map(ProfileType::name).join(", "))
    })
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().ok();
    let percent = number.filter(|percent| (0.1..=1000.0).contains(percent));
    percent.ok_or_else(|| "a slow-down is from 0.1 to 1000 percent".to_owned())
}

pub(super) fn kernel(text: &str) -> Result<(u32, u32), String> {
    let version = text
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version.ok_or_else(|| "a kernel's version is two numbers, such as 6.1".to_owned())
}

pub(super) fn heap_mode(text: &str) -> Result<HeapMode, String> {
    HeapMode::from_name(text).ok_or_else(|| {
        format!("known modes are {}", HeapMode::names().collect::<Vec<_>>().join(", "))
    })
}

pub(super) fn file_format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        format!("known formats are {}", names.join(", "))
    })
}

/// A time: `500ms`, `30s`, `2m`, `1h`, or bare seconds, fractions allowed.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    /// A millisecond, in which the privileged part of a `record` is told times.
    const SHORTEST: f64 = 0.001;
    /// Longer than anybody waits, and short enough for every clock.
    const LONGEST: f64 = 366.0 * 86_400.0;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time ends in ms, s, m or h, or is bare seconds".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "a time is a number and a unit".to_owned())?;
    let seconds = number * unit;
    if !(SHORTEST..=LONGEST).contains(&seconds) {
        return Err("a time is at least 1ms and at most a year".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_units() {
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "s", "0", "-1", "1d", "nan", "inf", "1e300"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_that_are_passed_on_as_nothing_are_refused() {
        for shortest in ["1ms", "0.001", "0.001s"] {
            assert_eq!(time(shortest), Ok(Duration::from_millis(1)), "{shortest}");
        }
        for wrong in ["0.999ms", "0.0009", "1e-12", "0.00001m"] {
            let said = time(wrong).expect_err(wrong);
            assert_eq!(said, "a time is at least 1ms and at most a year");
        }
    }
}
