//! The heaviest functions.

use crate::profile::Profile;
use crate::profile::tree::{CallTree, FrameName};

/// A function, or code without a symbol, with its share of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heaviest {
    /// The function's name, or `[module]` for its code without names.
    pub name: String,
    /// The file name of the mapping that it lies in; empty if unknown.
    pub module: String,
    /// Value of the samples in which it is the innermost frame.
    pub self_value: i64,
    /// Value of the samples in which it stands at all, each counted once however often it recurs.
    pub total: i64,
}

/// The functions of a tree by self value, heaviest first; ties by name.
///
/// Frames are added up by name and module: the same function, inlined or not, is one row.
pub fn top(profile: &Profile, tree: &CallTree) -> Vec<Heaviest> {
    let mut rows: Vec<Heaviest> = Vec::new();
    let mut row_of_name = std::collections::HashMap::new();
    let row_of_frame: Vec<usize> = tree
        .frames
        .iter()
        .map(|frame| {
            let (name, module) = (frame_name(profile, *frame), frame_module(profile, *frame));
            *row_of_name.entry((name, module)).or_insert_with_key(|(name, module)| {
                rows.push(Heaviest {
                    name: name.clone(),
                    module: module.clone(),
                    self_value: 0,
                    total: 0,
                });
                rows.len() - 1
            })
        })
        .collect();

    for (at, node) in tree.nodes.iter().enumerate() {
        let row = &mut rows[row_of_frame[node.frame as usize]];
        row.self_value = row.self_value.saturating_add(node.self_value);
        if !recurs(tree, &row_of_frame, at) {
            row.total = row.total.saturating_add(node.total);
        }
    }
    rows.sort_by(|a, b| b.self_value.cmp(&a.self_value).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// Whether the function of node `at` also stands above it.
fn recurs(tree: &CallTree, row_of_frame: &[usize], at: usize) -> bool {
    let own = row_of_frame[tree.nodes[at].frame as usize];
    let mut parent = tree.nodes[at].parent;
    while let Some(row) = parent {
        let node = tree.nodes[row as usize];
        if row_of_frame[node.frame as usize] == own {
            return true;
        }
        parent = node.parent;
    }
    false
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
