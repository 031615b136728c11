//! The call tree of a profile: samples added up by their stacks of functions, the shape that
//! every view of a profile draws or lists.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};

use super::{FunctionId, LocationId, MappingId, Profile, StackId, StringId};

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
    /// Code without a name in a mapping, all of it: addresses would scatter what a reader wants
    /// added up. The profile's locations keep them.
    Nameless {
        /// Where the code lies.
        mapping: MappingId,
    },
    /// Code without a name and without a mapping.
    Address {
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
    /// Adds up `profile`. Sums saturate. The nodes are the same, in the same order, for every
    /// sample type.
    pub fn build(profile: &Profile, options: TreeOptions) -> Self {
        Self::build_with_leaves(profile, options).0
    }

    /// As [`build`](Self::build), with the node that each sample ends at, in the order of the
    /// profile's samples; `None` for those without any frame.
    pub fn build_with_leaves(profile: &Profile, options: TreeOptions) -> (Self, Vec<Option<u32>>) {
        let mut growing = Growing::new(profile);
        let mut leaves = vec![None; profile.sample_count()];
        for (root, samples) in samples_by_root(profile, options) {
            let top = growing.add(root, &samples);
            for &(row, stack, _) in &samples {
                leaves[row as usize] = stack.map_or(top, |stack| growing.leaf(stack));
            }
        }
        (growing.finish(), leaves)
    }
}

/// A sample's row, its stack and its value.
type Weighed = (u32, Option<StackId>, i64);

/// The samples of each root, the roots in the order of their first samples.
fn samples_by_root(
    profile: &Profile,
    options: TreeOptions,
) -> Vec<(Option<StringId>, Vec<Weighed>)> {
    let mut groups: Vec<(Option<StringId>, Vec<Weighed>)> = Vec::new();
    let mut group_of = HashMap::new();
    let roots: Vec<Option<StringId>> =
        profile.label_sets().iter().map(|labels| comm(profile, labels)).collect();
    for (row, sample) in (0..).zip(profile.samples()) {
        let root = if options.by_process { roots[sample.labels.index()] } else { None };
        let group = *group_of.entry(root).or_insert_with(|| {
            groups.push((root, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push((row, sample.stack, sample.values[options.sample_type]));
    }
    groups
}

/// The name of the process that labels tell.
pub(super) fn comm(profile: &Profile, labels: &[super::Label]) -> Option<StringId> {
    labels.iter().find_map(|label| match label.value {
        super::LabelValue::Text(text) if profile.string(label.key) == "comm" => Some(text),
        _ => None,
    })
}

/// A node of the profile's stacks, while the samples of one root are added up.
#[derive(Debug, Clone, Copy, Default)]
struct Visit {
    /// Value of the samples that end here.
    self_value: i64,
    /// Value of the samples that end here or below.
    total: i64,
    /// The node of the tree that its innermost frame became.
    node: u32,
    /// Which root it was last visited for, counted from 1.
    root: u32,
}

struct Growing<'a> {
    profile: &'a Profile,
    tree: CallTree,
    frame_rows: HashMap<FrameName, u32>,
    /// The frames of all locations met so far, each with its line, ...
    frames: Vec<(u32, i64)>,
    /// ... and which are those of a location, outermost first; none until it is met.
    frames_of: Vec<Range<u32>>,
    children: HashMap<(u32, u32), u32>,
    /// The value that each node has at its `line`, the first that was met there.
    at_line: Vec<i64>,
    /// Value by (node, line), of lines that are not the first: to find the heaviest.
    other_lines: HashMap<(u32, i64), i64>,
    visits: Vec<Visit>,
    roots: u32,
}

impl<'a> Growing<'a> {
    fn new(profile: &'a Profile) -> Self {
        let stacks = profile.stacks().len();
        Self {
            profile,
            tree: CallTree { nodes: Vec::with_capacity(stacks), ..CallTree::default() },
            frame_rows: HashMap::new(),
            frames: Vec::new(),
            frames_of: vec![0..0; profile.locations().len()],
            children: HashMap::with_capacity(stacks),
            at_line: Vec::with_capacity(stacks),
            other_lines: HashMap::default(),
            visits: vec![Visit::default(); stacks],
            roots: 0,
        }
    }

    /// Adds the samples below one root. Values are added up on the stacks' prefix tree first, so
    /// that a frame is looked up once for each of its nodes and not for each sample.
    /// Returns the root's node.
    fn add(&mut self, root: Option<StringId>, samples: &[Weighed]) -> Option<u32> {
        self.roots += 1;
        let mut visited = Vec::new();
        let mut stackless = 0i64;
        let mut total = 0i64;
        for &(_, stack, value) in samples {
            total = total.saturating_add(value);
            match stack {
                Some(leaf) => self.visit(leaf, value, &mut visited),
                None => stackless = stackless.saturating_add(value),
            }
        }
        let stacks = self.profile.stacks();
        // Callers have smaller handles than what they call.
        visited.sort_unstable();
        for &id in visited.iter().rev() {
            let Visit { total, .. } = self.visits[id.index()];
            if let Some(parent) = stacks[id.index()].parent {
                let above = &mut self.visits[parent.index()].total;
                *above = above.saturating_add(total);
            }
        }
        let top = root.map(|comm| {
            let frame = self.frame(FrameName::Process { comm });
            let node = self.descend(None, frame, 0, total);
            let own = &mut self.tree.nodes[node as usize].self_value;
            *own = own.saturating_add(stackless);
            node
        });
        for &id in &visited {
            let parent = stacks[id.index()].parent;
            let above = parent.map_or(top, |parent| Some(self.visits[parent.index()].node));
            self.place(id, above);
        }
        self.tree.total = self.tree.total.saturating_add(total);
        top
    }

    /// The node that a stack of the root added last ends at.
    fn leaf(&self, stack: StackId) -> Option<u32> {
        self.visits.get(stack.index()).map(|visit| visit.node)
    }

    /// Notes a sample that ends at `leaf`.
    fn visit(&mut self, leaf: StackId, value: i64, visited: &mut Vec<StackId>) {
        let mut at = Some(leaf);
        while let Some(id) = at {
            let visit = &mut self.visits[id.index()];
            if visit.root == self.roots {
                break;
            }
            *visit = Visit { root: self.roots, ..Visit::default() };
            visited.push(id);
            at = self.profile.stacks()[id.index()].parent;
        }
        let visit = &mut self.visits[leaf.index()];
        visit.self_value = visit.self_value.saturating_add(value);
        visit.total = visit.total.saturating_add(value);
    }

    /// Puts the frames of a stack's innermost location below `above`.
    fn place(&mut self, id: StackId, above: Option<u32>) {
        let Visit { self_value, total, .. } = self.visits[id.index()];
        let location = self.profile.stacks()[id.index()].location;
        if self.frames_of[location.index()].is_empty() {
            self.meet(location);
        }
        let mut at = above;
        for row in self.frames_of[location.index()].clone() {
            let (frame, line) = self.frames[row as usize];
            at = Some(self.descend(at, frame, line, total));
        }
        if let Some(node) = at {
            self.visits[id.index()].node = node;
            let own = &mut self.tree.nodes[node as usize].self_value;
            *own = own.saturating_add(self_value);
        }
    }

    fn frame(&mut self, name: FrameName) -> u32 {
        *self.frame_rows.entry(name).or_insert_with(|| {
            self.tree.frames.push(name);
            self.tree.frames.len() as u32 - 1
        })
    }

    /// Makes the frames of a location; at least one.
    fn meet(&mut self, id: LocationId) {
        let first = self.frames.len() as u32;
        let location = self.profile.location(id);
        let mapping = location.mapping;
        if location.lines.is_empty() {
            let name = match mapping {
                Some(mapping) => FrameName::Nameless { mapping },
                None => FrameName::Address { address: location.address },
            };
            let frame = self.frame(name);
            self.frames.push((frame, 0));
        }
        let outermost = location.lines.len().wrapping_sub(1);
        for (i, line) in location.lines.iter().enumerate().rev() {
            let inlined = i != outermost;
            let name = FrameName::Function { function: line.function, mapping, inlined };
            let frame = self.frame(name);
            self.frames.push((frame, line.line));
        }
        self.frames_of[id.index()] = first..self.frames.len() as u32;
    }

    /// The child of `parent` for `frame`, with `value` added to its total.
    fn descend(&mut self, parent: Option<u32>, frame: u32, line: i64, value: i64) -> u32 {
        let above = parent.map_or(0, |parent| parent + 1);
        let row = *self.children.entry((above, frame)).or_insert_with(|| {
            self.tree.nodes.push(Node { parent, frame, self_value: 0, total: 0, line });
            self.at_line.push(0);
            self.tree.nodes.len() as u32 - 1
        });
        let node = &mut self.tree.nodes[row as usize];
        node.total = node.total.saturating_add(value);
        if node.line == 0 {
            node.line = line;
        }
        let sum = if line == node.line {
            &mut self.at_line[row as usize]
        } else if line != 0 {
            self.other_lines.entry((row, line)).or_default()
        } else {
            return row;
        };
        *sum = sum.saturating_add(value);
        row
    }

    fn finish(mut self) -> CallTree {
        for (&(node, line), &value) in &self.other_lines {
            let best = &mut self.at_line[node as usize];
            let node = &mut self.tree.nodes[node as usize];
            // Of equal lines the first in the file, so that the tree does not depend on hashing.
            if (value, -line) > (*best, -node.line) {
                *best = value;
                node.line = line;
            }
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

    #[test]
    fn processes_are_roots_and_share_no_nodes() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let at = |address| Location { mapping: None, address, lines: Vec::new() };
        let [main, leaf] = [1, 2].map(|address| b.location(at(address)));
        let stack = b.stack([main, leaf]);
        let of = |b: &mut Builder, comm| {
            let label = b.text_label("comm", comm);
            b.label_set(vec![label])
        };
        let (one, two) = (of(&mut b, "one"), of(&mut b, "two"));
        b.sample(stack, one, &[1]);
        b.sample(stack, two, &[2]);
        b.sample(None, two, &[4]);
        let tree = CallTree::build(&b.finish(), TreeOptions { sample_type: 0, by_process: true });
        let totals: Vec<_> = tree.nodes.iter().map(|n| (n.total, n.self_value)).collect();
        assert_eq!(totals, [(1, 0), (1, 0), (1, 1), (6, 4), (2, 0), (2, 2)]);
        assert_eq!(tree.total, 7);
    }
}
