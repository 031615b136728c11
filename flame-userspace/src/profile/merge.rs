//! Profiles put together into one, with their values multiplied.

use super::{
    Builder, Function, LabelValue, Line, Location, LocationId, Mapping, Profile, SampleType,
    StackId, StringId, without_errors,
};

/// A profile that becomes a part of another.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// For each sample type of the whole, its column in the part, and what its values are multiplied
    /// with.
    pub columns: Vec<(usize, f64)>,
    /// A label that each of its samples gets.
    pub label: Option<(&'a str, &'a str)>,
}

/// A profile made of others.
#[derive(Debug, Default)]
pub struct Merge {
    builder: Builder,
}

impl Merge {
    /// An empty whole of these sample types; viewers show column `default` first.
    pub fn new(sample_types: Vec<SampleType>, default: usize) -> Self {
        Self { builder: Builder::new(sample_types, default) }
    }

    /// Takes time, period and comments from a profile, but for the errors of its totals.
    pub fn describe(&mut self, profile: &Profile) {
        self.builder.time(profile.time_ns(), profile.duration_ns());
        if let Some(period_type) = profile.period_type() {
            self.builder.period(period_type.clone(), profile.period());
        }
        for comment in profile.comments() {
            let kept = without_errors(comment);
            if !kept.is_empty() || comment.is_empty() {
                self.builder.comment(kept);
            }
        }
    }

    /// Adds a line of free text.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.builder.comment(text);
    }

    /// Adds the samples of a part. Equal mappings, functions, locations and stacks become one.
    ///
    /// # Panics
    /// If a column is none of the part's.
    pub fn add(&mut self, part: &Part<'_>) {
        let profile = part.profile;
        let stacks = self.stacks(profile);
        let label = part.label.map(|(key, value)| self.builder.text_label(key, value));
        let mut label_sets = Vec::with_capacity(profile.label_sets().len());
        for set in profile.label_sets() {
            let mut copied = Vec::with_capacity(set.len() + 1);
            for &row in set {
                let text = |b: &mut Builder, id: StringId| b.string(profile.string(id));
                let key = text(&mut self.builder, row.key);
                let value = match row.value {
                    LabelValue::Text(id) => LabelValue::Text(text(&mut self.builder, id)),
                    LabelValue::Number { value, unit } => {
                        LabelValue::Number { value, unit: text(&mut self.builder, unit) }
                    }
                };
                copied.push(super::Label { key, value });
            }
            copied.extend(label);
            label_sets.push(self.builder.label_set(copied));
        }
        let mut values = Vec::with_capacity(part.columns.len());
        for sample in profile.samples() {
            values.clear();
            let columns = part.columns.iter();
            values.extend(columns.map(|&(column, factor)| scaled(sample.values[column], factor)));
            let stack = sample.stack.map(|id| stacks[id.index()]);
            self.builder.sample(stack, label_sets[sample.labels.index()], &values);
        }
    }

    /// The whole.
    pub fn finish(self) -> Profile {
        self.builder.finish()
    }

    /// The new handles of a profile's stacks.
    fn stacks(&mut self, profile: &Profile) -> Vec<StackId> {
        let b = &mut self.builder;
        let strings: Vec<StringId> = profile.strings().iter().map(|text| b.string(text)).collect();
        let text = |id: StringId| strings[id.index()];
        let mut mappings = Vec::with_capacity(profile.mappings().len());
        for row in profile.mappings() {
            let (path, build_id) = (text(row.path), text(row.build_id));
            mappings.push(b.mapping(Mapping { path, build_id, ..row.clone() }));
        }
        let mut functions = Vec::with_capacity(profile.functions().len());
        for row in profile.functions() {
            functions.push(b.function(Function {
                name: text(row.name),
                system_name: text(row.system_name),
                file: text(row.file),
                start_line: row.start_line,
            }));
        }
        let mut locations: Vec<LocationId> = Vec::with_capacity(profile.locations().len());
        for row in profile.locations() {
            let line = |line: &Line| Line { function: functions[line.function.index()], ..*line };
            locations.push(b.location(Location {
                mapping: row.mapping.map(|id| mappings[id.index()]),
                address: row.address,
                lines: row.lines.iter().map(line).collect(),
            }));
        }
        let mut stacks: Vec<StackId> = Vec::with_capacity(profile.stacks().len());
        for node in profile.stacks() {
            let parent = node.parent.map(|id| stacks[id.index()]);
            stacks.push(b.push_frame(parent, locations[node.location.index()]));
        }
        stacks
    }
}

/// A value times a factor, as near as a whole number comes; saturates.
pub fn scaled(value: i64, factor: f64) -> i64 {
    // Numbers past 2^53 are not exact in floating point.
    if (factor - 1.0).abs() < f64::EPSILON {
        value
    } else if (factor + 1.0).abs() < f64::EPSILON {
        value.saturating_neg()
    } else {
        (value as f64 * factor).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_less_itself_is_nothing() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let at = |address| Location { mapping: None, address, lines: Vec::new() };
        let frames = [1, 2].map(|address| b.location(at(address)));
        let stack = b.stack(frames);
        let label = b.number_label("pid", 7, "");
        let labels = b.label_set(vec![label]);
        b.sample(stack, labels, &[5]);
        let profile = b.finish();

        let mut merge = Merge::new(profile.sample_types().to_vec(), 0);
        for factor in [1.0, -1.0] {
            merge.add(&Part { profile: &profile, columns: vec![(0, factor)], label: None });
        }
        let whole = merge.finish();
        assert_eq!((whole.sample_count(), whole.total(0)), (1, 0));
        assert_eq!((whole.stacks().len(), whole.locations().len()), (2, 2));
    }

    #[test]
    fn the_errors_of_a_part_are_not_those_of_the_whole() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        for comment in ["standard errors: samples 7.0 %", "pages; standard errors: samples 1.0 %"] {
            b.comment(comment);
        }
        let mut merge = Merge::new(vec![SampleType::new("samples", "count")], 0);
        merge.describe(&b.finish());
        assert_eq!(merge.finish().comments(), ["pages"]);
    }

    #[test]
    fn values_are_scaled_to_the_nearest_and_saturate() {
        assert_eq!(scaled(i64::MAX, 1.0), i64::MAX);
        assert_eq!(scaled(i64::MIN, -1.0), i64::MAX);
        assert_eq!(scaled(3, 0.5), 2);
        assert_eq!(scaled(i64::MAX, 4.0), i64::MAX);
    }
}
