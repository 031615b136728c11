//! Samples: a stack, its values and its labels.

use super::{LabelSetId, StackId};

/// A row of the sample table, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The stack; `None` where not even the leaf is known.
    pub stack: Option<StackId>,
    /// The labels.
    pub labels: LabelSetId,
}

/// A sample as [`Profile::samples`](super::Profile::samples) shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRef<'a> {
    /// The stack; `None` where not even the leaf is known.
    pub stack: Option<StackId>,
    /// The labels.
    pub labels: LabelSetId,
    /// One value for each sample type.
    pub values: &'a [i64],
}
