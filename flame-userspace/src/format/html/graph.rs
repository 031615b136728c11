//! What a page draws: one call tree of described frames, and the samples that end at its nodes,
//! of one profile or of two.

use super::super::frame::{self, Description, Side};
use super::super::text;
use super::lines::Lines;
use crate::profile::tree::{CallTree, FrameName, TreeOptions};
use crate::profile::{Label, LabelValue, Profile, SampleType};

/// A frame, and the file that its code lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) shown: Description,
    /// The file's path and its build ID, or empty texts.
    pub(super) path: String,
    pub(super) build_id: String,
}

/// A frame in its calling context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// The caller's row, an earlier one; `None` for the outermost frames.
    pub(super) parent: Option<u32>,
    /// A row of [`Graph::frames`].
    pub(super) frame: u32,
    /// The source line; 0 if unknown.
    pub(super) line: i64,
    /// What siblings are ordered by, the largest first.
    pub(super) weight: i64,
}

/// Samples, each ending at a node; `None` for those without any frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) nodes: Vec<Option<u32>>,
    /// Rows of [`Graph::label_sets`].
    pub(super) labels: Vec<u32>,
    /// By sample type and then by sample.
    pub(super) values: Vec<Vec<i64>>,
    pub(super) lines: Lines,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    pub(super) types: Vec<SampleType>,
    /// The type that is shown first.
    pub(super) shown: usize,
    pub(super) frames: Vec<Frame>,
    pub(super) nodes: Vec<Node>,
    /// Keys and values, made safe to show.
    pub(super) label_sets: Vec<Vec<(String, String)>>,
    /// Of a difference first those of the new profile, then those of the base.
    pub(super) samples: Vec<Samples>,
}

impl Graph {
    /// The graph of one profile, which has some sample type.
    pub(super) fn of(profile: &Profile, by_process: bool) -> (Self, CallTree) {
        let shown = profile.default_sample_type();
        let options = TreeOptions { sample_type: shown, by_process };
        let (tree, leaves) = CallTree::build_with_leaves(profile, options);
        let nodes: Vec<Node> = tree.nodes.iter().map(Node::from).collect();
        let graph = Self {
            types: profile.sample_types().to_vec(),
            shown,
            frames: tree.frames.iter().map(|frame| describe(profile, *frame)).collect(),
            label_sets: label_sets(profile),
            samples: vec![samples(profile, leaves, &nodes)],
            nodes,
        };
        (graph, tree)
    }
}

impl From<&crate::profile::tree::Node> for Node {
    fn from(node: &crate::profile::tree::Node) -> Self {
        let crate::profile::tree::Node { parent, frame, line, total, .. } = *node;
        Self { parent, frame, line, weight: total }
    }
}

/// `frame` with its file.
pub(super) fn describe(profile: &Profile, frame: FrameName) -> Frame {
    let shown = frame::describe(profile, frame);
    let mapping = match frame {
        FrameName::Function { mapping, .. } => mapping,
        FrameName::Nameless { mapping } => Some(mapping),
        FrameName::Address { .. } | FrameName::Process { .. } => None,
    };
    let mapping = mapping.map(|mapping| profile.mapping(mapping));
    let visible = |id| text::visible(profile.string(id)).into_owned();
    Frame {
        // A kernel's path says no more than its name.
        path: match mapping {
            Some(mapping) if shown.side == Side::User => visible(mapping.path),
            _ => String::new(),
        },
        build_id: mapping.map_or_else(String::new, |mapping| visible(mapping.build_id)),
        shown,
    }
}

/// The labels that samples can be picked by. Numbers that are no one's name, such as sizes, are
/// left out.
pub(super) fn label_sets(profile: &Profile) -> Vec<Vec<(String, String)>> {
    let shown = |label: &Label| {
        let key = profile.string(label.key);
        let value = match label.value {
            LabelValue::Text(text) => profile.string(text).to_owned(),
            LabelValue::Number { value, .. } if matches!(key, "pid" | "tid") => value.to_string(),
            LabelValue::Number { .. } => return None,
        };
        Some((text::visible(key).into_owned(), text::visible(&value).into_owned()))
    };
    profile.label_sets().iter().map(|set| set.iter().filter_map(shown).collect()).collect()
}

/// The samples of `profile`, which end at `leaves` of `nodes`.
pub(super) fn samples(profile: &Profile, leaves: Vec<Option<u32>>, nodes: &[Node]) -> Samples {
    let mut values = vec![Vec::with_capacity(leaves.len()); profile.sample_types().len()];
    let mut labels = Vec::with_capacity(leaves.len());
    for sample in profile.samples() {
        labels.push(sample.labels.index() as u32);
        for (column, value) in values.iter_mut().zip(sample.values) {
            column.push(*value);
        }
    }
    let lines = Lines::of(profile, &leaves, nodes);
    Samples { nodes: leaves, labels, values, lines }
}
