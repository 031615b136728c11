//! Makes a [`Profile`]: interns what is added, so that equal things get equal handles.

use std::hash::Hash;

use foldhash::HashMap;

use super::{
    Function, FunctionId, Label, LabelSetId, LabelValue, Location, LocationId, Mapping, MappingId,
    Profile, Sample, SampleType, StackId, StackNode, StringId,
};

/// Collects the tables of one [`Profile`].
#[derive(Debug, Default)]
pub struct Builder {
    profile: Profile,
    mappings: HashMap<Mapping, MappingId>,
    functions: HashMap<Function, FunctionId>,
    locations: HashMap<Location, LocationId>,
    stacks: HashMap<StackNode, StackId>,
    label_sets: HashMap<Vec<Label>, LabelSetId>,
    samples: HashMap<(Option<StackId>, LabelSetId), usize>,
}

impl Builder {
    /// An empty profile of these sample types; viewers show column `default` first.
    ///
    /// # Panics
    /// If `sample_types` is not empty and `default` is not one of its columns.
    pub fn new(sample_types: Vec<SampleType>, default: usize) -> Self {
        assert!(default < sample_types.len().max(1), "the default is a column of the profile");
        Self {
            profile: Profile { sample_types, default_sample_type: default, ..Profile::default() },
            ..Self::default()
        }
    }

    /// Sets what was sampled and the mean distance between samples.
    pub fn period(&mut self, period_type: SampleType, period: i64) {
        self.profile.period_type = Some(period_type);
        self.profile.period = period;
    }

    /// Sets when the session began (nanoseconds since the Unix epoch) and how long it lasted.
    pub fn time(&mut self, start_ns: i64, duration_ns: i64) {
        self.profile.time_ns = start_ns;
        self.profile.duration_ns = duration_ns;
    }

    /// Adds a line of free text.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.profile.comments.push(text.into());
    }

    /// The handle of a text.
    pub fn string(&mut self, text: &str) -> StringId {
        self.profile.strings.intern(text)
    }

    /// The text behind a handle of this builder.
    pub fn text(&self, id: StringId) -> &str {
        self.profile.strings.get(id)
    }

    /// The handle of a mapping. The first one added should be the main binary's.
    pub fn mapping(&mut self, mapping: Mapping) -> MappingId {
        intern(&mut self.mappings, &mut self.profile.mappings, mapping, MappingId::new)
    }

    /// The handle of a function.
    pub fn function(&mut self, function: Function) -> FunctionId {
        intern(&mut self.functions, &mut self.profile.functions, function, FunctionId::new)
    }

    /// The handle of a location.
    pub fn location(&mut self, location: Location) -> LocationId {
        intern(&mut self.locations, &mut self.profile.locations, location, LocationId::new)
    }

    /// The stack that `caller` makes by calling `location`.
    pub fn push_frame(&mut self, caller: Option<StackId>, location: LocationId) -> StackId {
        let node = StackNode { parent: caller, location };
        intern(&mut self.stacks, &mut self.profile.stacks, node, StackId::new)
    }

    /// The stack of these locations, given outermost first.
    pub fn stack(
        &mut self,
        outermost_first: impl IntoIterator<Item = LocationId>,
    ) -> Option<StackId> {
        let mut stack = None;
        for location in outermost_first {
            stack = Some(self.push_frame(stack, location));
        }
        stack
    }

    /// A text label, for [`label_set`](Self::label_set).
    pub fn text_label(&mut self, key: &str, value: &str) -> Label {
        Label { key: self.string(key), value: LabelValue::Text(self.string(value)) }
    }

    /// A number label, for [`label_set`](Self::label_set).
    pub fn number_label(&mut self, key: &str, value: i64, unit: &str) -> Label {
        Label {
            key: self.string(key),
            value: LabelValue::Number { value, unit: self.string(unit) },
        }
    }

    /// The handle of a set of labels.
    pub fn label_set(&mut self, labels: Vec<Label>) -> LabelSetId {
        intern(&mut self.label_sets, &mut self.profile.label_sets, labels, LabelSetId::new)
    }

    /// Adds values to the sample of this stack and these labels.
    ///
    /// Sums saturate.
    ///
    /// # Panics
    /// Unless there is one value for each sample type.
    pub fn sample(&mut self, stack: Option<StackId>, labels: LabelSetId, values: &[i64]) {
        let width = self.profile.sample_types.len();
        assert_eq!(values.len(), width, "one value for each sample type");
        let row = *self.samples.entry((stack, labels)).or_insert_with(|| {
            self.profile.samples.push(Sample { stack, labels });
            self.profile.values.resize(self.profile.samples.len() * width, 0);
            self.profile.samples.len() - 1
        });
        for (sum, value) in self.profile.values[row * width..].iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
    }

    /// The finished profile.
    pub fn finish(self) -> Profile {
        self.profile
    }
}

/// The handle of `row` in `table`, to which it is added unless it is there already.
fn intern<T: Clone + Eq + Hash, Id: Copy>(
    rows: &mut HashMap<T, Id>,
    table: &mut Vec<T>,
    row: T,
    id: impl Fn(usize) -> Id,
) -> Id {
    *rows.entry(row).or_insert_with_key(|row| {
        table.push(row.clone());
        id(table.len() - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_are_added_up_and_shared_callers_stored_once() {
        let mut builder = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let at = |address| Location { mapping: None, address, lines: Vec::new() };
        let [main, a, b] = [1, 2, 3].map(|address| builder.location(at(address)));
        let none = builder.label_set(Vec::new());
        let first = builder.stack([main, a]);
        let second = builder.stack([main, b]);
        builder.sample(first, none, &[1]);
        builder.sample(second, none, &[2]);
        builder.sample(first, none, &[i64::MAX]);
        let profile = builder.finish();

        assert_eq!(profile.stacks().len(), 3, "main is stored once");
        assert_eq!(profile.sample_count(), 2);
        assert_eq!(profile.samples().map(|s| s.values[0]).collect::<Vec<_>>(), [i64::MAX, 2]);
        assert_eq!(profile.frames(first).collect::<Vec<_>>(), [a, main]);
        assert_eq!(profile.total(0), i64::MAX);
    }
}
