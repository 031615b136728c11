//! Where the value goes, by something that each sample has.

use std::collections::{BTreeMap, HashSet};

use super::text_label;
use crate::analyze::{FunctionTree, is_kernel};
use crate::profile::{LabelSetId, LabelValue, Profile};

/// The most rows of a table.
const MOST: usize = 8;

/// A share of the whole, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What has it.
    pub name: String,
    /// Its value.
    pub value: i64,
}

/// The heaviest groups; with the rest they make the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// The heaviest first; ties by name.
    pub rows: Vec<Group>,
    /// How many more there are.
    pub others: usize,
    /// What they have together.
    pub others_value: i64,
}

impl Groups {
    fn new(values: BTreeMap<String, i64>) -> Self {
        let mut rows: Vec<Group> =
            values.into_iter().map(|(name, value)| Group { name, value }).collect();
        rows.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
        let rest = rows.split_off(rows.len().min(MOST));
        Self {
            rows,
            others: rest.len(),
            others_value: rest.iter().fold(0i64, |sum, row| sum.saturating_add(row.value)),
        }
    }

    /// By the module of the innermost function.
    pub(super) fn by_module(tree: &FunctionTree) -> Self {
        Self::by_leaf(tree, |module| if module.is_empty() { "[unknown]" } else { module })
    }

    /// By the side of the system that the innermost function runs on.
    pub(super) fn by_side(tree: &FunctionTree) -> Self {
        Self::by_leaf(tree, |module| if is_kernel(module) { "kernel" } else { "user" })
    }

    fn by_leaf(tree: &FunctionTree, name: impl Fn(&str) -> &str) -> Self {
        let mut own = vec![None; tree.functions.len()];
        for node in tree.nodes.iter().filter(|node| node.self_value != 0) {
            put(&mut own[node.function as usize], node.self_value);
        }
        let mut values = BTreeMap::new();
        for (function, value) in tree.functions.iter().zip(own) {
            add(&mut values, name(&function.module), value);
        }
        let stackless = super::view::stackless(tree);
        if stackless != 0 {
            add(&mut values, "[no stack]", Some(stackless));
        }
        Self::new(values)
    }

    /// By the process, told apart by pid; empty unless there are several.
    pub(super) fn by_process(profile: &Profile, column: usize) -> Self {
        Self::by_label(profile, column, |set| {
            let pid = profile.number_label(set, "pid")?;
            let comm = profile.text_label(set, "comm").unwrap_or_default();
            Some(format!("{comm} ({pid})"))
        })
    }

    /// By the name of the thread; empty unless there are several.
    pub(super) fn by_thread(profile: &Profile, column: usize) -> Self {
        Self::by_label(profile, column, |set| {
            text_label(profile, set, &["thread", "thread name"]).map(ToOwned::to_owned)
        })
    }

    fn by_label(
        profile: &Profile,
        column: usize,
        name: impl Fn(LabelSetId) -> Option<String>,
    ) -> Self {
        let mut of_set = vec![None; profile.label_sets().len()];
        for sample in profile.samples() {
            put(&mut of_set[sample.labels.index()], sample.values[column]);
        }
        let mut values = BTreeMap::new();
        for (row, value) in of_set.into_iter().enumerate() {
            let name = name(LabelSetId::new(row));
            add(&mut values, name.as_deref().unwrap_or("[unknown]"), value);
        }
        if values.len() < 2 { Self::default() } else { Self::new(values) }
    }
}

/// Adds to the value of something that need not have one.
fn put(sum: &mut Option<i64>, value: i64) {
    *sum = Some(sum.unwrap_or(0).saturating_add(value));
}

/// Adds a value by name. Names may be long: they are looked at once for all samples of a function
/// or a set of labels.
fn add(values: &mut BTreeMap<String, i64>, name: &str, value: Option<i64>) {
    let Some(value) = value else { return };
    if let Some(sum) = values.get_mut(name) {
        *sum = sum.saturating_add(value);
    } else {
        values.insert(name.to_owned(), value);
    }
}

/// How many values a number label has.
pub(super) fn distinct(profile: &Profile, key: &str) -> usize {
    let labels = profile.label_sets().iter().flatten();
    let numbers = labels.filter_map(|label| match label.value {
        LabelValue::Number { value, .. } if profile.string(label.key) == key => Some(value),
        _ => None,
    });
    numbers.collect::<HashSet<_>>().len()
}
