//! What a profile comes to once its rows no longer share: as a call tree, as stacks written out
//! one by one, as names told with each frame. A file of a few KB can stand for more than a machine
//! holds, so whoever reads one asks first.

use foldhash::HashSet;

use super::tree::comm;
use super::{FunctionId, LabelValue, MappingId, Profile, StackId, StringId};

/// The process of each set of labels, as [`CallTree`](super::tree::CallTree) tells them apart.
pub fn processes(profile: &Profile) -> Vec<Option<StringId>> {
    profile.label_sets().iter().map(|labels| comm(profile, labels)).collect()
}

/// How many nodes a tree of the profile's samples has at the most, inlined functions among them,
/// where samples share nodes if their sets of labels have the same root. Counting ends past `most`.
///
/// # Panics
/// Unless there is a root for each set of labels.
pub fn tree_nodes<Root: Ord + Copy>(profile: &Profile, roots: &[Root], most: u64) -> u64 {
    let stacks = profile.stacks();
    let leaf = |sample: super::SampleRef<'_>| Some((roots[sample.labels.index()], sample.stack?));
    let mut leaves: Vec<(Root, StackId)> = profile.samples().filter_map(leaf).collect();
    leaves.sort_unstable();
    // Which root, counted from 1, a node of the stacks was last met for.
    let mut met = vec![0u32; stacks.len()];
    let mut nodes = 0;
    for (root, group) in (1..).zip(leaves.chunk_by(|a, b| a.0 == b.0)) {
        nodes += 1;
        for &(_, leaf) in group {
            let mut at = Some(leaf);
            while let Some(id) = at
                && met[id.index()] != root
            {
                met[id.index()] = root;
                let node = stacks[id.index()];
                nodes += frames_at(profile, node.location) as u64;
                if nodes > most {
                    return nodes;
                }
                at = node.parent;
            }
        }
    }
    nodes
}

/// How many frames the stacks of all samples have, callers that they share counted for each.
/// Saturates.
pub fn stack_frames(profile: &Profile) -> u64 {
    let mut depths: Vec<u32> = Vec::with_capacity(profile.stacks().len());
    for node in profile.stacks() {
        let above = node.parent.map_or(0, |parent| depths[parent.index()]);
        let here = u32::try_from(frames_at(profile, node.location)).unwrap_or(u32::MAX);
        depths.push(above.saturating_add(here));
    }
    let depth = |stack: StackId| u64::from(depths[stack.index()]);
    let stacks = profile.samples().filter_map(|sample| sample.stack);
    stacks.fold(0, |sum, stack| sum.saturating_add(depth(stack)))
}

/// How many bytes of text it takes to tell each distinct frame with its source file and module, and
/// each distinct set of labels, where a text takes what `length` says. Saturates.
pub fn name_bytes(profile: &Profile, length: impl Fn(&str) -> u64) -> u64 {
    let lengths: Vec<u64> = profile.strings().iter().map(length).collect();
    let length = |id: StringId| lengths[id.index()];
    let module = |id: Option<MappingId>| {
        id.map_or(0, |id| length(profile.mapping(id).path) + length(profile.mapping(id).build_id))
    };
    let mut bytes = 0u64;
    let mut told: HashSet<(Option<FunctionId>, Option<MappingId>, bool)> = HashSet::default();
    for location in profile.locations() {
        let mapping = location.mapping;
        if location.lines.is_empty() && told.insert((None, mapping, false)) {
            bytes = bytes.saturating_add(module(mapping));
        }
        for (row, line) in location.lines.iter().enumerate() {
            let inlined = row + 1 != location.lines.len();
            if told.insert((Some(line.function), mapping, inlined)) {
                let function = profile.function(line.function);
                let own = length(function.name) + length(function.file);
                bytes = bytes.saturating_add(own + module(mapping));
            }
        }
    }
    for label in profile.label_sets().iter().flatten() {
        let value = match label.value {
            LabelValue::Text(text) => length(text),
            LabelValue::Number { .. } => 0,
        };
        bytes = bytes.saturating_add(length(label.key) + value);
    }
    bytes
}

/// How many frames a location stands for.
fn frames_at(profile: &Profile, location: super::LocationId) -> usize {
    profile.location(location).lines.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tree::{CallTree, TreeOptions};
    use crate::profile::{Builder, Function, Line, Location, SampleType};

    /// Stacks of two locations, the outer one of two functions, in two processes and in none.
    fn profile() -> Profile {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let file = b.string("a.c");
        let [inner, outer] = ["inner", "outer"].map(|name| {
            let name = b.string(name);
            b.function(Function { name, system_name: name, file, start_line: 1 })
        });
        let line = |function| Line { function, line: 1, column: 0 };
        let lines = vec![line(inner), line(outer)];
        let main = b.location(Location { mapping: None, address: 1, lines });
        let leaf = b.location(Location { mapping: None, address: 2, lines: Vec::new() });
        let (short, long) = (b.stack([main]), b.stack([main, leaf]));
        for (comm, number) in [("one", 1), ("one", 2), ("two", 1)] {
            let labels = vec![b.text_label("comm", comm), b.number_label("tid", number, "")];
            let labels = b.label_set(labels);
            b.sample(long, labels, &[1]);
        }
        let none = b.label_set(Vec::new());
        b.sample(short, none, &[1]);
        b.sample(None, none, &[1]);
        b.finish()
    }

    #[test]
    fn nodes_are_those_of_the_tree_by_process_or_by_whatever_else() {
        let profile = profile();
        let nodes = tree_nodes(&profile, &processes(&profile), 1000);
        let options = TreeOptions { sample_type: 0, by_process: true };
        let tree = CallTree::build(&profile, options);
        // Samples of no process have no node of their own for it.
        assert_eq!(nodes, tree.nodes.len() as u64 + 1);
        assert_eq!(tree_nodes(&profile, &[(); 4], 1000), 1 + 3);
        assert_eq!(tree_nodes(&profile, &[0, 1, 2, 3], 1000), 3 * 4 + 3);
        assert_eq!(tree_nodes(&profile, &[0, 1, 2, 3], 4), 6, "counting ends past the bound");
    }

    #[test]
    fn what_is_shared_counts_each_time() {
        let profile = profile();
        assert_eq!(stack_frames(&profile), 3 * 3 + 2);
        let labels = 2 * ("comm".len() + "one".len() + "tid".len()) + "commtwotid".len();
        let frames = "innera.c".len() + "outera.c".len();
        let told = name_bytes(&profile, |text| text.len() as u64);
        assert_eq!(told, (frames + labels) as u64);
    }
}
