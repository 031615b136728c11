//! Who holds memory, for people: what a leak would be among.

use std::time::Duration;

use crate::profile::Unit;

/// What a function, or a stack, holds: blocks that it allocated while recorded and that live.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapHolder {
    /// The functions, innermost first: the first of the stack that does not only pass on what it is
    /// asked for, and its callers; or that one.
    pub stack: Vec<String>,
    /// The file of the first.
    pub module: String,
    /// The innermost function, by which most of it was asked for, where that is another one.
    pub through: Option<String>,
    /// Bytes held.
    pub bytes: f64,
    /// Their standard error.
    pub standard_error: f64,
    /// Blocks held.
    pub objects: f64,
    /// How old they are; `None` of a program that samples its own heap.
    pub ages: Option<HeapAges>,
    /// How that grew; `None` of a session that was too short to tell.
    pub growth: Option<HeapGrowth>,
}

/// How old blocks are that are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeapAges {
    /// The oldest block that was sampled.
    pub oldest: Duration,
    /// What half of the blocks have passed.
    pub median: Duration,
}

/// How much more is held at the end than before.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapGrowth {
    /// Bytes.
    pub bytes: f64,
    /// Their standard error.
    pub standard_error: f64,
    /// How long before the end that was.
    pub over: Duration,
    /// Between how many of the moments since then it rose.
    pub rises: usize,
    /// Of how many.
    pub steps: usize,
}

/// The most holders that a profile's comments tell.
const MOST: usize = 5;

impl HeapHolder {
    /// The first function, with its file.
    pub fn function(&self) -> String {
        let name = self.stack.first().map_or("", String::as_str);
        match self.module.as_str() {
            "" => name.to_owned(),
            module => format!("{name} ({module})"),
        }
    }

    /// The functions that called it, innermost first.
    pub fn callers(&self) -> String {
        self.stack.get(1..).unwrap_or_default().join(" < ")
    }

    /// By which function it asked, for the end of its line; nothing where by none.
    pub fn way(&self) -> String {
        self.through.as_ref().map_or_else(String::new, |name| format!(", through {name}"))
    }

    /// How much, since when, and how it grew.
    pub fn holdings(&self) -> String {
        let mut text = format!(
            "{} in {} blocks",
            Unit::Bytes.format(self.bytes.round() as i64),
            Unit::Count.format(self.objects.round() as i64),
        );
        text += &self.ages.map_or_else(String::new, |HeapAges { oldest, median }| {
            format!(", the oldest {}, half of them over {}", seconds(oldest), seconds(median))
        });
        if let Some(growth) = &self.growth {
            text += "; ";
            text += &growth.text();
        }
        text
    }
}

impl HeapGrowth {
    /// How much in how long.
    pub fn text(&self) -> String {
        let bytes = self.bytes.round() as i64;
        let sign = if bytes < 0 { "-" } else { "+" };
        let amount = Unit::Bytes.format(bytes.saturating_abs());
        format!("{sign}{amount} in the last {}", seconds(self.over))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The first holders, and the first of those that grow, as lines for a profile's comments.
pub(super) fn comments(holders: &[HeapHolder], growing: &[HeapHolder]) -> Vec<String> {
    let line = |holder: &HeapHolder| {
        format!("holds: {}{}: {}", holder.function(), holder.way(), holder.holdings())
    };
    let mut lines: Vec<String> = holders.iter().take(MOST).map(line).collect();
    lines.extend(growing.iter().take(MOST).map(|holder| {
        let growth = holder.growth.as_ref().map_or_else(String::new, HeapGrowth::text);
        format!("grows: {growth}: {}{}", holder.stack.join(" < "), holder.way())
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> HeapHolder {
        HeapHolder {
            stack: vec!["make".into(), "serve".into(), "main".into()],
            module: "libplugin.so".into(),
            through: Some("xmalloc".into()),
            bytes: 3.0 * 1024.0 * 1024.0,
            standard_error: 1000.0,
            objects: 49_152.0,
            ages: Some(HeapAges {
                oldest: Duration::from_millis(9_800),
                median: Duration::from_millis(4_900),
            }),
            growth: Some(HeapGrowth {
                bytes: -1024.0,
                standard_error: 10.0,
                over: Duration::from_secs(5),
                rises: 0,
                steps: 8,
            }),
        }
    }

    #[test]
    fn a_holder_is_told_with_its_age_and_growth() {
        assert_eq!(holder().function(), "make (libplugin.so)");
        assert_eq!(holder().callers(), "serve < main");
        assert_eq!(holder().way(), ", through xmalloc");
        assert_eq!(HeapHolder { through: None, ..holder() }.way(), "");
        let of_go = HeapHolder { ages: None, growth: None, ..holder() };
        assert_eq!(of_go.holdings(), "3.00 MiB in 49,152 blocks");
        assert_eq!(
            holder().holdings(),
            "3.00 MiB in 49,152 blocks, the oldest 9.8 s, half of them over 4.9 s; -1.00 KiB in the last 5.0 s"
        );
    }

    #[test]
    fn comments_tell_of_the_first() {
        let many = vec![holder(); 20];
        let lines = comments(&many, &many[..1]);
        assert_eq!(lines.len(), MOST + 1);
        assert_eq!(
            lines[MOST],
            "grows: -1.00 KiB in the last 5.0 s: make < serve < main, through xmalloc"
        );
    }
}
