//! Distributions of whole stacks, by function names, and how far two of them are apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::seen::{Frame, Seen};

/// The samples of each stack outside the kernel: its functions' names, outermost first.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    counts: BTreeMap<String, i64>,
    total: i64,
}

impl Distribution {
    /// Those of several profiles of one run. Samples without a stack outside the kernel are none
    /// here.
    pub fn of_all<const N: usize>(all: [&Seen; N]) -> [Self; N] {
        let aliases = Aliases::of(&all);
        all.map(|seen| {
            let mut found = Self::default();
            for stack in &seen.stacks {
                let names: Vec<&str> =
                    stack.user_frames().map(|frame| aliases.name(frame)).collect();
                if !names.is_empty() {
                    found.add(&names.join(";"), stack.count);
                }
            }
            found
        })
    }

    fn add(&mut self, path: &str, count: i64) {
        *self.counts.entry(path.to_owned()).or_default() += count;
        self.total += count;
    }

    /// Samples of all stacks.
    pub fn count(&self) -> i64 {
        self.total
    }

    /// A stack's share, in percent.
    fn share(&self, path: &str) -> f64 {
        let count = self.counts.get(path).copied().unwrap_or(0);
        crate::seen::percent(count, self.total)
    }

    /// The stacks of both with how much larger their share is here, in points.
    fn differences<'a>(&'a self, other: &'a Self) -> Vec<(f64, &'a str)> {
        let paths: BTreeSet<&String> = self.counts.keys().chain(other.counts.keys()).collect();
        paths.into_iter().map(|path| (self.share(path) - other.share(path), &**path)).collect()
    }

    /// The total variation distance in points: the share that would have to move.
    pub fn distance(&self, other: &Self) -> f64 {
        self.differences(other).iter().map(|(points, _)| points.abs()).sum::<f64>() / 2.0
    }

    /// The stacks that differ the most, as text, for messages.
    pub fn farthest(&self, other: &Self) -> String {
        let mut all = self.differences(other);
        all.sort_by(|one, next| next.0.abs().total_cmp(&one.0.abs()));
        let line = |(points, path): &(f64, &str)| format!("{points:+6.2} {}\n", ending(path));
        all.iter().take(12).map(line).collect()
    }
}

/// The inner frames of a path, enough to know it by.
fn ending(path: &str) -> String {
    let names: Vec<&str> = path.split(';').collect();
    let inner = &names[names.len().saturating_sub(8)..];
    format!("({} frames) {}", names.len(), inner.join(";"))
}

/// The names of functions that have several: a symbol table may have more than one for an address,
/// and profilers choose.
#[derive(Debug, Default)]
struct Aliases<'a> {
    /// The first profile's name, by file and another's name.
    names: BTreeMap<(&'a str, &'a str), &'a str>,
}

impl<'a> Aliases<'a> {
    /// Of several profiles: two names of one address are one function's.
    fn of(all: &[&'a Seen]) -> Self {
        let mut first = BTreeMap::new();
        let mut aliases = Self::default();
        for frame in all.iter().flat_map(|seen| seen.frames()) {
            let (file, name) = (frame.mapping.as_str(), frame.name.as_str());
            let known = *first.entry((file, frame.address)).or_insert(name);
            if known != name && is_named(known) && is_named(name) {
                aliases.names.insert((file, name), known);
            }
        }
        aliases
    }

    fn name(&self, frame: &'a Frame) -> &'a str {
        let name = frame.name.as_str();
        if !is_named(name) {
            return "[no name]";
        }
        self.names.get(&(&frame.mapping, name)).copied().unwrap_or(name)
    }
}

/// Whether a function has a name. Where it has none, flame tells the file and the address.
fn is_named(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Stack;

    fn of(stacks: &[(&str, i64)]) -> Distribution {
        let mut all = Distribution::default();
        for (path, count) in stacks {
            all.add(path, *count);
        }
        all
    }

    #[test]
    fn the_distance_is_the_share_that_would_have_to_move() {
        let (one, other) = (of(&[("a", 1), ("b", 3)]), of(&[("a", 30), ("c", 10)]));
        assert!((one.distance(&other) - 75.0).abs() < 1e-9);
        assert!(one.distance(&of(&[("b", 300), ("a", 100)])) < 1e-9);
        assert!(one.farthest(&other).starts_with("+75.00 (1 frames) b\n"));
    }

    #[test]
    fn names_of_one_address_are_one_functions() {
        let frame = |name: &str, address| Frame {
            name: name.to_owned(),
            file: String::new(),
            line: 0,
            mapping: "libc.so".to_owned(),
            build_id: String::new(),
            address,
            inlined: false,
        };
        let stack = |frames: &[Frame]| Stack {
            frames: frames.to_vec(),
            pid: 1,
            tid: 1,
            comm: String::new(),
            thread: String::new(),
            guesses: 0,
            cut: String::new(),
            count: 1,
            value: 1,
        };
        let seen = |stacks: &[&[Frame]]| Seen {
            stacks: stacks.iter().map(|frames| stack(frames)).collect(),
            comments: Vec::new(),
            period: 1,
        };
        let one = seen(&[&[frame("raise_impl", 7), frame("[libc.so+0x1]", 1)]]);
        let other = [frame("raise", 7), frame("", 1)];
        let other = seen(&[&other, &[frame("raise", 8), frame("f", 2)]]);
        let [one, other] = Distribution::of_all([&one, &other]);
        assert_eq!(one.counts, BTreeMap::from([("raise_impl;[no name]".into(), 1)]));
        assert_eq!(other.count(), 2);
        assert!(other.counts.contains_key("raise_impl;f"), "{other:?}");
        assert!((one.distance(&other) - 50.0).abs() < 1e-9);
    }
}
