//! The heaviest source lines.

use std::collections::HashMap;

use crate::profile::{FunctionId, Profile, StringId};

/// A line of source code, with the value of the samples that were taken in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotLine {
    /// The source file.
    pub file: String,
    /// The line, from 1.
    pub line: i64,
    /// The function that it belongs to, inlined or not.
    pub function: String,
    /// Self value.
    pub value: i64,
}

/// The lines of the largest self value; ties by file and line. Lines that are not known are left
/// out.
pub(super) fn heaviest(profile: &Profile, column: usize, most: usize) -> Vec<HotLine> {
    let mut values: HashMap<(FunctionId, i64), i64> = HashMap::new();
    for sample in profile.samples() {
        let leaf = profile.frames(sample.stack).next();
        let line = leaf.and_then(|leaf| profile.location(leaf).lines.first());
        if let Some(line) = line.filter(|line| line.line > 0) {
            let sum = values.entry((line.function, line.line)).or_default();
            *sum = sum.saturating_add(sample.values[column]);
        }
    }
    let mut lines: HashMap<(StringId, i64, StringId), i64> = HashMap::new();
    for ((function, line), value) in values {
        let function = profile.function(function);
        if !profile.string(function.file).is_empty() {
            let sum = lines.entry((function.file, line, function.name)).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    let text = |id: StringId| profile.string(id);
    let lines = lines.into_iter().filter(|(_, value)| *value > 0);
    let mut lines: Vec<_> = lines
        .map(|((file, line, function), value)| ((text(file), line, text(function)), value))
        .collect();
    lines.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    lines.truncate(most);
    let row = |((file, line, function), value): ((&str, i64, &str), i64)| HotLine {
        file: file.to_owned(),
        line,
        function: function.to_owned(),
        value,
    };
    lines.into_iter().map(row).collect()
}
