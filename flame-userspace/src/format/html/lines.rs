//! The source lines of samples where they are not those of the tree's nodes. A node stands for all
//! calls of a function from the same caller, and has the heaviest of their lines; what each line of
//! a function costs, the samples themselves tell.

use super::graph::Node;
use crate::profile::Profile;

/// Frames that are looked at, and those that are kept. Real profiles have some millions in all stacks;
/// of what is beyond, only the innermost frames have lines of their own.
const MOST_STEPS: usize = 1 << 27;
const MOST_KEPT: usize = 1 << 24;

/// By sample, the frames that are at other lines than their nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Where the frames of each sample end.
    ends: Vec<u32>,
    frames: Vec<OtherLine>,
}

/// A frame of a sample that is at another line than its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OtherLine {
    /// How many callers it is from the innermost frame.
    pub(super) up: u32,
    /// 0 if unknown.
    pub(super) line: u32,
}

impl Lines {
    /// Of the samples of `profile`, which end at `leaves` of `nodes`.
    pub(super) fn of(profile: &Profile, leaves: &[Option<u32>], nodes: &[Node]) -> Self {
        let mut lines = Self { ends: Vec::with_capacity(leaves.len()), frames: Vec::new() };
        let mut steps = 0;
        for (sample, leaf) in profile.samples().zip(leaves) {
            let (mut node, mut up) = (*leaf, 0);
            'stack: for location in profile.frames(sample.stack) {
                let of_location = &profile.location(location).lines;
                let nameless = of_location.is_empty().then_some(0);
                for line in nameless.into_iter().chain(of_location.iter().map(|line| line.line)) {
                    let Some(at) = node else { break 'stack };
                    let Node { parent, line: usual, .. } = nodes[at as usize];
                    if shown(line) != shown(usual) {
                        lines.frames.push(OtherLine { up, line: shown(line) });
                    }
                    (node, up) = (parent, up + 1);
                    steps += 1;
                }
                if steps > MOST_STEPS || lines.frames.len() > MOST_KEPT {
                    break;
                }
            }
            lines.ends.push(lines.frames.len() as u32);
        }
        lines
    }

    /// Those of a sample, the innermost first.
    pub(super) fn of_sample(&self, row: usize) -> &[OtherLine] {
        let end = |row: usize| self.ends.get(row).map_or(0, |end| *end as usize);
        let start = row.checked_sub(1).map_or(0, end);
        self.frames.get(start..end(row)).unwrap_or_default()
    }
}

/// A line as the page shows it: 0 if unknown.
pub(super) fn shown(line: i64) -> u32 {
    // No file has as many lines as a u32.
    u32::try_from(line.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::graph::Graph;
    use super::*;
    use crate::profile::{Builder, Function, Line, Location, SampleType};

    #[test]
    fn frames_at_other_lines_than_the_heaviest_are_told() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let function = |b: &mut Builder, name: &str| {
            let name = b.string(name);
            let file = b.string("a.c");
            b.function(Function { name, system_name: name, file, start_line: 1 })
        };
        let (main, hot) = (function(&mut b, "main"), function(&mut b, "hot"));
        let line = |function, line| Line { function, line, column: 0 };
        let mut at = |address, lines| b.location(Location { mapping: None, address, lines });
        // hot is inlined into main, at two of its lines.
        let first = at(1, vec![line(hot, 10), line(main, 3)]);
        let second = at(2, vec![line(hot, 20), line(main, 4)]);
        let third = at(3, vec![line(hot, 10), line(main, 4)]);
        let none = b.label_set(Vec::new());
        for (location, value) in [(first, 6), (second, 3), (third, 1)] {
            let stack = b.stack([location]);
            b.sample(stack, none, &[value]);
        }
        b.sample(None, none, &[1]);
        let (graph, _) = Graph::of(&b.finish(), false);
        let lines = &graph.samples[0].lines;
        let other = |up, line| OtherLine { up, line };
        assert_eq!(lines.of_sample(0), []);
        assert_eq!(lines.of_sample(1), [other(0, 20), other(1, 4)]);
        assert_eq!(lines.of_sample(2), [other(1, 4)]);
        assert_eq!(lines.of_sample(3), []);
    }
}
