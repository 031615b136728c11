//! The heaviest functions.

use std::sync::Arc;

use super::functions::FunctionTree;
use crate::profile::Profile;
use crate::profile::tree::{CallTree, FrameName};

/// A function, or code without a symbol, with its share of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heaviest {
    /// The function's name, or `[module]` for its code without names.
    pub name: String,
    /// The file name of the mapping that it lies in; empty if unknown.
    pub module: String,
    /// Value of the samples in which it is the innermost frame; of a holder, of those that it holds.
    pub self_value: i64,
    /// Value of the samples in which it stands at all, each counted once however often it recurs.
    pub total: i64,
    /// Of a holder, the function by which it asked for most, if that is another. Very many holders
    /// may have the same.
    pub through: Option<Arc<str>>,
}

/// The functions of a tree by self value, heaviest first; ties by name and module.
///
/// Frames are added up by name and module: the same function, inlined or not, is one row.
pub fn top(profile: &Profile, tree: &CallTree) -> Vec<Heaviest> {
    let tree = FunctionTree::unmerged(profile, tree);
    let worths = tree.worths();
    let rows = tree.functions.into_iter().zip(worths).map(|(function, worth)| Heaviest {
        name: function.name,
        module: function.module,
        self_value: worth.self_value,
        total: worth.total,
        through: None,
    });
    rank(rows.collect())
}

/// By self value, ties by name and module.
pub(super) fn rank(mut rows: Vec<Heaviest>) -> Vec<Heaviest> {
    rows.sort_by(|a, b| {
        let by_name = || (&a.name, &a.module).cmp(&(&b.name, &b.module));
        b.self_value.cmp(&a.self_value).then_with(by_name)
    });
    rows
}

/// A frame's name for people.
pub fn frame_name(profile: &Profile, frame: FrameName) -> String {
    match frame {
        FrameName::Function { function, .. } => {
            profile.string(profile.function(function).name).to_owned()
        }
        FrameName::Process { comm } => profile.string(comm).to_owned(),
        FrameName::Nameless { mapping } => {
            let path = profile.string(profile.mapping(mapping).path);
            if path.starts_with('[') { path.to_owned() } else { format!("[{}]", file_name(path)) }
        }
        FrameName::Address { address } => format!("[{address:#x}]"),
    }
}

/// The file name of the mapping that a frame lies in; empty if it lies in none.
pub fn frame_module(profile: &Profile, frame: FrameName) -> String {
    let mapping = match frame {
        FrameName::Function { mapping, .. } => mapping,
        FrameName::Nameless { mapping } => Some(mapping),
        FrameName::Address { .. } | FrameName::Process { .. } => None,
    };
    let path = mapping.map_or("", |id| profile.string(profile.mapping(id).path));
    file_name(path).to_owned()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tree::TreeOptions;
    use crate::profile::{Builder, Function, Line, Location, SampleType};

    #[test]
    fn a_recursive_function_counts_once_a_stack() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let name = b.string("f");
        let file = b.string("");
        let function = b.function(Function { name, system_name: name, file, start_line: 0 });
        let lines = vec![Line { function, line: 0, column: 0 }];
        let f = b.location(Location { mapping: None, address: 1, lines });
        let leaf = b.location(Location { mapping: None, address: 0x20, lines: Vec::new() });
        let none = b.label_set(Vec::new());
        let stack = b.stack([f, f, f, leaf]);
        b.sample(stack, none, &[10]);
        let profile = b.finish();
        let tree = CallTree::build(&profile, TreeOptions { sample_type: 0, by_process: false });
        let rows = top(&profile, &tree);
        assert_eq!(rows[0].name, "[0x20]");
        assert_eq!((rows[0].self_value, rows[0].total), (10, 10));
        assert_eq!((rows[1].self_value, rows[1].total), (0, 10));
    }
}
