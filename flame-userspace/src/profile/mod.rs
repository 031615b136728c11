//! The profile: what flame knows at the end of a session, whatever the source.
//!
//! A [`Profile`] is pprof's model in typed tables: sample types, mappings, functions, locations
//! and stacks, and the samples that refer to them. Stacks form a prefix tree, so that a caller
//! that a million samples share is stored once. Handles ([`LocationId`] and its kin) are only
//! made by the [`Builder`] of the same profile.
//!
//! This module does no I/O and knows nothing of processes, kernels or file formats.

mod builder;
mod flat;
mod ids;
mod label;
mod location;
mod mapping;
mod merge;
mod passing;
mod sample;
pub mod size;
mod stack;
mod strings;
pub mod tree;
mod value;

pub use builder::Builder;
pub use flat::flat_inlines;
pub use ids::{FunctionId, LabelSetId, LocationId, MappingId, StackId, StringId};
pub use label::{Label, LabelValue};
pub use location::{Function, Line, Location};
pub use mapping::Mapping;
pub use merge::{Merge, Part, scaled};
pub use passing::{allocates, is_nameless, passes_on};
pub use sample::{Sample, SampleRef};
pub use stack::{Frames, StackNode};
pub use strings::{LONGEST_TEXT, StringTable};
pub use value::{SampleType, Unit};

/// What stands before the standard errors of totals in a profile's comments: each is a column's name
/// and a number of percent, with commas between them, to the comment's end.
pub const STATED: &str = "standard errors: ";

/// A comment without the errors that it states: they are not those of a part of the profile, or of
/// its difference from another. Empty if it states nothing else.
pub(crate) fn without_errors(comment: &str) -> &str {
    comment.split_once(STATED).map_or(comment, |(before, _)| before.trim_end_matches("; "))
}

/// A set of samples with everything needed to read them. Built by [`Builder`]; then only its
/// comments can be added to.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub(crate) strings: StringTable,
    pub(crate) sample_types: Vec<SampleType>,
    pub(crate) default_sample_type: usize,
    pub(crate) period_type: Option<SampleType>,
    pub(crate) period: i64,
    pub(crate) time_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) comments: Vec<String>,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) functions: Vec<Function>,
    pub(crate) locations: Vec<Location>,
    pub(crate) stacks: Vec<StackNode>,
    pub(crate) label_sets: Vec<Vec<Label>>,
    pub(crate) samples: Vec<Sample>,
    /// Row-major, `samples.len()` rows of `sample_types.len()` columns.
    pub(crate) values: Vec<i64>,
}

impl Profile {
    /// What the values of each sample mean, in column order.
    pub fn sample_types(&self) -> &[SampleType] {
        &self.sample_types
    }

    /// The column that a viewer shows first.
    pub fn default_sample_type(&self) -> usize {
        self.default_sample_type
    }

    /// The column of the sample type called `kind`, such as `cpu`.
    pub fn sample_type_index(&self, kind: &str) -> Option<usize> {
        self.sample_types.iter().position(|t| t.kind == kind)
    }

    /// What [`period`](Self::period) counts.
    pub fn period_type(&self) -> Option<&SampleType> {
        self.period_type.as_ref()
    }

    /// The mean distance between two samples, in units of [`period_type`](Self::period_type).
    pub fn period(&self) -> i64 {
        self.period
    }

    /// When the session began, in nanoseconds since the Unix epoch; 0 if unknown.
    pub fn time_ns(&self) -> i64 {
        self.time_ns
    }

    /// How long the session lasted, in nanoseconds; 0 if unknown.
    pub fn duration_ns(&self) -> i64 {
        self.duration_ns
    }

    /// Free text about the session: command line, parameters, losses.
    pub fn comments(&self) -> &[String] {
        &self.comments
    }

    /// Adds a line to the [`comments`](Self::comments).
    pub fn add_comment(&mut self, line: impl Into<String>) {
        self.comments.push(line.into());
    }

    /// The text behind a handle.
    pub fn string(&self, id: StringId) -> &str {
        self.strings.get(id)
    }

    /// The interned texts.
    pub fn strings(&self) -> &StringTable {
        &self.strings
    }

    /// All mappings; the main binary comes first.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// One mapping.
    pub fn mapping(&self, id: MappingId) -> &Mapping {
        &self.mappings[id.index()]
    }

    /// All functions.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// One function.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.index()]
    }

    /// All locations.
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// One location.
    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.index()]
    }

    /// Every node of the prefix tree of stacks; a node's parent (its caller) precedes it.
    pub fn stacks(&self) -> &[StackNode] {
        &self.stacks
    }

    /// The locations of a stack, innermost (the leaf) first.
    pub fn frames(&self, stack: Option<StackId>) -> Frames<'_> {
        Frames::new(&self.stacks, stack)
    }

    /// The labels of a sample.
    pub fn labels(&self, id: LabelSetId) -> &[Label] {
        &self.label_sets[id.index()]
    }

    /// Every distinct set of labels, indexed by [`LabelSetId`].
    pub fn label_sets(&self) -> &[Vec<Label>] {
        &self.label_sets
    }

    /// Number of samples (distinct rows, not the number of times that the profiler fired).
    pub fn sample_count(&self) -> usize {
        self.samples.len()
    }

    /// Every sample with its values, one value per sample type.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = SampleRef<'_>> {
        let width = self.sample_types.len();
        self.samples.iter().enumerate().map(move |(row, sample)| SampleRef {
            stack: sample.stack,
            labels: sample.labels,
            values: &self.values[row * width..(row + 1) * width],
        })
    }

    /// The sum of one column over all samples, saturating.
    pub fn total(&self, sample_type: usize) -> i64 {
        self.samples().fold(0i64, |sum, s| sum.saturating_add(s.values[sample_type]))
    }

    /// The value of the text label `key` in a set, if it is there.
    pub fn text_label(&self, set: LabelSetId, key: &str) -> Option<&str> {
        self.labels(set).iter().find(|l| self.string(l.key) == key).and_then(|l| match l.value {
            LabelValue::Text(text) => Some(self.string(text)),
            LabelValue::Number { .. } => None,
        })
    }

    /// The value of the number label `key` in a set, if it is there.
    pub fn number_label(&self, set: LabelSetId, key: &str) -> Option<i64> {
        self.labels(set).iter().find(|l| self.string(l.key) == key).and_then(|l| match l.value {
            LabelValue::Number { value, .. } => Some(value),
            LabelValue::Text(_) => None,
        })
    }
}
