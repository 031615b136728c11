//! The call tree of a profile: samples added up by their stacks of functions, the shape that
//! every view of a profile draws or lists.

use std::collections::HashMap;

use super::{FunctionId, LocationId, MappingId, Profile, StringId};

/// What a frame of the tree stands for. Frames are equal if a reader would call them the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameName {
    /// A function, in the mapping it was seen in; inlined into its caller or not.
    Function {
        /// The function.
        function: FunctionId,
        /// Where its code lies.
        mapping: Option<MappingId>,
        /// Whether it was inlined into its caller.
        inlined: bool,
    },
    /// Code without a symbol, told apart by its mapping and address.
    Address {
        /// Where the code lies.
        mapping: Option<MappingId>,
        /// Its address, as [`Location::address`](super::Location::address).
        address: u64,
    },
    /// A process, as the outermost frame of its samples.
    Process {
        /// Its name.
        comm: StringId,
    },
}

/// A frame in its calling context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The row of the caller, an earlier one; `None` for the outermost frames.
    pub parent: Option<u32>,
    /// The row of [`CallTree::frames`] that this node is an instance of.
    pub frame: u32,
    /// Value of the samples that end here.
    pub self_value: i64,
    /// Value of the samples that end here or below.
    pub total: i64,
    /// The source line with the largest total here; 0 if unknown.
    pub line: i64,
}

/// A profile's samples of one sample type, added up by call path.
#[derive(Debug, Clone, Default)]
pub struct CallTree {
    /// The distinct frames.
    pub frames: Vec<FrameName>,
    /// The nodes; a parent precedes its children.
    pub nodes: Vec<Node>,
    /// The value of all samples, those without a stack included.
    pub total: i64,
}

/// How to build a [`CallTree`].
#[derive(Debug, Clone, Copy)]
pub struct TreeOptions {
    /// The column to add up.
    pub sample_type: usize,
    /// Whether each process (label `comm`) becomes the outermost frame of its samples.
    pub by_process: bool,
}

impl CallTree {
    /// Adds up `profile`. Sums saturate.
    pub fn build(profile: &Profile, options: TreeOptions) -> Self {
        let mut growing = Growing::default();
        // Samples share most of their stacks' nodes: the frames of each location are made once.
        let mut frames_of: HashMap<LocationId, Vec<(u32, i64)>> = HashMap::new();
        let mut stack = Vec::new();
        for sample in profile.samples() {
            let value = sample.values[options.sample_type];
            growing.tree.total = growing.tree.total.saturating_add(value);
            stack.clear();
            stack.extend(profile.frames(sample.stack));
            let mut at = None;
            if options.by_process
                && let Some(comm) = comm(profile, &sample)
            {
                let frame = growing.frame(FrameName::Process { comm });
                at = Some(growing.descend(at, frame, 0, value));
            }
            for location in stack.iter().rev() {
                let frames = frames_of
                    .entry(*location)
                    .or_insert_with(|| growing.frames_of(profile, *location));
                for &(frame, line) in frames.iter() {
                    at = Some(growing.descend(at, frame, line, value));
                }
            }
            if let Some(leaf) = at {
                let node = &mut growing.tree.nodes[leaf as usize];
                node.self_value = node.self_value.saturating_add(value);
            }
        }
        growing.finish()
    }
}

fn comm(profile: &Profile, sample: &super::SampleRef<'_>) -> Option<StringId> {
    profile.labels(sample.labels).iter().find_map(|label| match label.value {
        super::LabelValue::Text(text) if profile.string(label.key) == "comm" => Some(text),
        _ => None,
    })
}

#[derive(Default)]
struct Growing {
    tree: CallTree,
    frame_rows: HashMap<FrameName, u32>,
    children: HashMap<(Option<u32>, u32), u32>,
    /// Value by (node, line), to find each node's heaviest line.
    lines: HashMap<(u32, i64), i64>,
}

impl Growing {
    fn frame(&mut self, name: FrameName) -> u32 {
        *self.frame_rows.entry(name).or_insert_with(|| {
            self.tree.frames.push(name);
            self.tree.frames.len() as u32 - 1
        })
    }

    /// The frames of a location, outermost first, each with its line.
    fn frames_of(&mut self, profile: &Profile, location: LocationId) -> Vec<(u32, i64)> {
        let location = profile.location(location);
        let mapping = location.mapping;
        if location.lines.is_empty() {
            let name = FrameName::Address { mapping, address: location.address };
            return vec![(self.frame(name), 0)];
        }
        let outermost = location.lines.len() - 1;
        let named = location.lines.iter().enumerate().rev();
        named
            .map(|(i, line)| {
                let inlined = i != outermost;
                let name = FrameName::Function { function: line.function, mapping, inlined };
                (self.frame(name), line.line)
            })
            .collect()
    }

    /// The child of `parent` for `frame`, with `value` added to its total.
    fn descend(&mut self, parent: Option<u32>, frame: u32, line: i64, value: i64) -> u32 {
        let row = *self.children.entry((parent, frame)).or_insert_with(|| {
            self.tree.nodes.push(Node { parent, frame, self_value: 0, total: 0, line: 0 });
            self.tree.nodes.len() as u32 - 1
        });
        let node = &mut self.tree.nodes[row as usize];
        node.total = node.total.saturating_add(value);
        if line != 0 {
            let sum = self.lines.entry((row, line)).or_default();
            *sum = sum.saturating_add(value);
        }
        row
    }

    fn finish(mut self) -> CallTree {
        let mut heaviest: HashMap<u32, (i64, i64)> = HashMap::new();
        for (&(node, line), &value) in &self.lines {
            let best = heaviest.entry(node).or_insert((value, line));
            // Of equal lines the first in the file, so that the tree does not depend on hashing.
            if (value, -line) > (best.0, -best.1) {
                *best = (value, line);
            }
        }
        for (node, (_, line)) in heaviest {
            self.tree.nodes[node as usize].line = line;
        }
        self.tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Builder, Function, Line, Location, SampleType};

    #[test]
    fn inlined_functions_are_frames_and_lines_are_the_heaviest() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let function = |b: &mut Builder, name: &str| {
            let name = b.string(name);
            let file = b.string("a.c");
            b.function(Function { name, system_name: name, file, start_line: 1 })
        };
        let outer = function(&mut b, "outer");
        let inner = function(&mut b, "inner");
        let line = |function, line| Line { function, line, column: 0 };
        let a = b.location(Location {
            mapping: None,
            address: 1,
            lines: vec![line(inner, 10), line(outer, 5)],
        });
        let c = b.location(Location { mapping: None, address: 2, lines: vec![line(outer, 7)] });
        let none = b.label_set(Vec::new());
        let (a, c) = (b.stack([a]), b.stack([c]));
        b.sample(a, none, &[3]);
        b.sample(c, none, &[4]);
        let tree = CallTree::build(&b.finish(), TreeOptions { sample_type: 0, by_process: false });

        assert_eq!(tree.total, 7);
        assert_eq!(tree.nodes.len(), 2, "outer, and inner inlined into it");
        let outer = tree.nodes[0];
        assert_eq!((outer.parent, outer.total, outer.self_value, outer.line), (None, 7, 4, 7));
        let inner = tree.nodes[1];
        assert_eq!((inner.parent, inner.total, inner.self_value, inner.line), (Some(0), 3, 3, 10));
    }
}
