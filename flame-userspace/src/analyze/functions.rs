//! The functions of a profile in their calling contexts: the call tree, with frames that a reader
//! would call the same taken for one.

use std::collections::HashMap;

use super::holders::Role;
use super::{frame_module, frame_name};
use crate::profile::tree::{self, CallTree, FrameName, TreeOptions};
use crate::profile::{Profile, is_nameless};

/// What flame calls that it knows without a symbol.
const KNOWN: [&str; 2] = ["[return probe]", "[no frames]"];

/// A function, or the code of a module that has no names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The function's name, or `[module]` for its code without names.
    pub name: String,
    /// The file name of the mapping that it lies in; empty if unknown.
    pub module: String,
    /// The source file; empty if unknown.
    pub file: String,
    /// Whether it has a name of its own, and is not called by its place alone: `[git+0x289600]`.
    pub named: bool,
    /// Whether what ends in it is its own.
    pub role: Role,
}

/// A function in its calling context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionNode {
    /// The row of the caller, an earlier one; `None` for the outermost functions.
    pub parent: Option<u32>,
    /// The row of [`FunctionTree::functions`].
    pub function: u32,
    /// Value of the samples that end here.
    pub self_value: i64,
    /// Value of the samples that end here or below.
    pub total: i64,
    /// A source line, that of the heaviest of the frames that are one here; 0 if unknown.
    pub line: i64,
}

/// A profile's samples of one sample type, added up by their functions. Inlined or not, and from
/// whatever line it is called: a function of a module is one.
#[derive(Debug, Clone, Default)]
pub struct FunctionTree {
    /// The distinct functions.
    pub functions: Vec<Function>,
    /// The nodes; a parent precedes its children.
    pub nodes: Vec<FunctionNode>,
    /// The value of all samples, those without a stack included.
    pub total: i64,
}

/// What a function is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worth {
    /// Value of the samples in which it is the innermost function.
    pub self_value: i64,
    /// Value of the samples in which it stands at all, each counted once however often it recurs.
    pub total: i64,
}

impl FunctionTree {
    /// Adds up the column `sample_type` of `profile`, which has it.
    pub fn of(profile: &Profile, sample_type: usize) -> Self {
        let options = TreeOptions { sample_type, by_process: false };
        Self::new(profile, &CallTree::build(profile, options))
    }

    /// The same of a tree of frames.
    pub fn new(profile: &Profile, tree: &CallTree) -> Self {
        let (functions, row_of_frame) = functions(profile, tree);
        let mut merged = Self { functions, nodes: Vec::new(), total: tree.total };
        let mut rows: HashMap<(Option<u32>, u32), u32> = HashMap::new();
        let mut row_of_node: Vec<u32> = Vec::with_capacity(tree.nodes.len());
        let mut heaviest: Vec<i64> = Vec::new();
        for node in &tree.nodes {
            let parent = node.parent.map(|parent| row_of_node[parent as usize]);
            let function = row_of_frame[node.frame as usize];
            let row = *rows.entry((parent, function)).or_insert_with(|| {
                merged.nodes.push(FunctionNode {
                    parent,
                    function,
                    self_value: 0,
                    total: 0,
                    line: 0,
                });
                heaviest.push(i64::MIN);
                merged.nodes.len() as u32 - 1
            });
            row_of_node.push(row);
            let sum = &mut merged.nodes[row as usize];
            sum.self_value = sum.self_value.saturating_add(node.self_value);
            sum.total = sum.total.saturating_add(node.total);
            if node.line != 0 && node.total > heaviest[row as usize] {
                heaviest[row as usize] = node.total;
                sum.line = node.line;
            }
        }
        merged
    }

    /// The same with a node for each of the tree's, so that nothing has to be looked up: enough for
    /// [`worths`](Self::worths), which tells the same of either.
    pub(super) fn unmerged(profile: &Profile, tree: &CallTree) -> Self {
        let (functions, row_of_frame) = functions(profile, tree);
        let node = |node: &tree::Node| FunctionNode {
            parent: node.parent,
            function: row_of_frame[node.frame as usize],
            self_value: node.self_value,
            total: node.total,
            line: node.line,
        };
        Self { nodes: tree.nodes.iter().map(node).collect(), functions, total: tree.total }
    }

    /// What each function is worth, in the order of [`functions`](Self::functions).
    pub fn worths(&self) -> Vec<Worth> {
        let mut worths = vec![Worth::default(); self.functions.len()];
        for node in &self.nodes {
            let worth = &mut worths[node.function as usize];
            worth.self_value = worth.self_value.saturating_add(node.self_value);
        }
        for (row, recurs) in self.recursions().into_iter().enumerate() {
            if !recurs {
                let node = self.nodes[row];
                let worth = &mut worths[node.function as usize];
                worth.total = worth.total.saturating_add(node.total);
            }
        }
        worths
    }

    /// For each node, whether its function also stands above it. Takes time by the number of
    /// nodes, however deep the tree is.
    pub fn recursions(&self) -> Vec<bool> {
        let children = self.children();
        let mut recurs = vec![false; self.nodes.len()];
        let mut open = vec![0u32; self.functions.len()];
        let mut pending: Vec<Step> = children.roots().map(Step::Enter).collect();
        while let Some(step) = pending.pop() {
            match step {
                Step::Enter(row) => {
                    let function = self.nodes[row as usize].function as usize;
                    recurs[row as usize] = open[function] > 0;
                    open[function] += 1;
                    pending.push(Step::Leave(row));
                    pending.extend(children.of(row).map(Step::Enter));
                }
                Step::Leave(row) => open[self.nodes[row as usize].function as usize] -= 1,
            }
        }
        recurs
    }

    /// Who calls whom.
    pub fn children(&self) -> Children {
        let mut children = Children { first: vec![NOBODY; self.nodes.len() + 1], next: Vec::new() };
        children.next = vec![NOBODY; self.nodes.len()];
        for (row, node) in self.nodes.iter().enumerate().rev() {
            let parent = node.parent.map_or(0, |parent| parent as usize + 1);
            children.next[row] = children.first[parent];
            children.first[parent] = row as u32;
        }
        children
    }

    /// A function's heaviest source line, by function; 0 if unknown.
    pub fn lines(&self) -> Vec<i64> {
        let mut best = vec![(i64::MIN, 0); self.functions.len()];
        for node in self.nodes.iter().filter(|node| node.line != 0) {
            let best = &mut best[node.function as usize];
            if node.total > best.0 {
                *best = (node.total, node.line);
            }
        }
        best.into_iter().map(|(_, line)| line).collect()
    }
}

enum Step {
    Enter(u32),
    Leave(u32),
}

const NOBODY: u32 = u32::MAX;

/// The nodes below each node, as lists through the rows.
#[derive(Debug, Clone)]
pub struct Children {
    /// By parent, the root in front.
    first: Vec<u32>,
    next: Vec<u32>,
}

impl Children {
    /// The outermost nodes.
    pub fn roots(&self) -> impl Iterator<Item = u32> + '_ {
        self.list(0)
    }

    /// The nodes that `row` calls.
    pub fn of(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        self.list(row as usize + 1)
    }

    fn list(&self, parent: usize) -> impl Iterator<Item = u32> + '_ {
        let some = |row: u32| (row != NOBODY).then_some(row);
        std::iter::successors(some(self.first[parent]), move |row| some(self.next[*row as usize]))
    }
}

/// The distinct functions of a tree, and the row of each of its frames among them.
fn functions(profile: &Profile, tree: &CallTree) -> (Vec<Function>, Vec<u32>) {
    let mut functions: Vec<Function> = Vec::new();
    let mut rows = HashMap::new();
    let row_of_frame = tree
        .frames
        .iter()
        .map(|&frame| {
            let name = match frame_name(profile, frame) {
                name if name.is_empty() => "[unknown]".to_owned(),
                name => name,
            };
            let key = (name, frame_module(profile, frame));
            *rows.entry(key).or_insert_with_key(|(name, module)| {
                let (file, named) = match frame {
                    FrameName::Function { function, .. } => {
                        let file = profile.string(profile.function(function).file);
                        (file.to_owned(), !is_nameless(name) || KNOWN.contains(&name.as_str()))
                    }
                    FrameName::Process { .. } => (String::new(), true),
                    FrameName::Nameless { .. } | FrameName::Address { .. } => {
                        (String::new(), false)
                    }
                };
                let role = match frame {
                    FrameName::Process { .. } => Role::Process,
                    _ => Role::of(name, module),
                };
                let (name, module) = (name.clone(), module.clone());
                functions.push(Function { name, module, file, named, role });
                functions.len() as u32 - 1
            })
        })
        .collect();
    (functions, row_of_frame)
}

/// Whether a module is the kernel or a module of it: its mappings are called `[kernel...]`, its
/// modules' `name.ko` with or without the suffix of a compressed file.
pub fn is_kernel(module: &str) -> bool {
    let plain = [".xz", ".zst", ".gz"]
        .iter()
        .find_map(|suffix| module.strip_suffix(suffix))
        .unwrap_or(module);
    let is_module =
        std::path::Path::new(plain).extension().is_some_and(|extension| extension == "ko");
    is_module || module.starts_with("[kernel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{self, Builder, Line, Location, SampleType};

    fn chain(names: &[&str], times: usize) -> Profile {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let file = b.string("a.c");
        let frames: Vec<_> = names
            .iter()
            .zip(1..)
            .map(|(name, address)| {
                let name = b.string(name);
                let row = profile::Function { name, system_name: name, file, start_line: 0 };
                let function = b.function(row);
                let lines = vec![Line { function, line: 3, column: 0 }];
                b.location(Location { mapping: None, address, lines })
            })
            .collect();
        let none = b.label_set(Vec::new());
        let stack = b.stack(frames.iter().copied().cycle().take(frames.len() * times));
        b.sample(stack, none, &[10]);
        b.finish()
    }

    #[test]
    fn a_very_deep_recursion_counts_once_and_is_quick() {
        let tree = FunctionTree::of(&chain(&["a", "b"], 50_000), 0);
        assert_eq!(tree.nodes.len(), 100_000);
        let worths = tree.worths();
        assert_eq!(worths[0], Worth { self_value: 0, total: 10 });
        assert_eq!(worths[1], Worth { self_value: 10, total: 10 });
        assert_eq!(tree.recursions().iter().filter(|recurs| !**recurs).count(), 2);
        assert_eq!(tree.lines(), [3, 3]);
    }

    #[test]
    fn functions_that_are_called_by_their_place_have_no_name() {
        let names =
            ["main", "[perl+0x1234]", "[perl]", "[unknown]", "[return probe]", "[no frames]"];
        let tree = FunctionTree::of(&chain(&names, 1), 0);
        let named: Vec<bool> = tree.functions.iter().map(|function| function.named).collect();
        assert_eq!(named, [true, false, false, false, true, true]);
    }

    #[test]
    fn children_are_listed_in_the_order_of_rows() {
        let node = |parent| FunctionNode { parent, function: 0, self_value: 0, total: 0, line: 0 };
        let nodes = [None, Some(0), Some(0), Some(1), None].map(node).to_vec();
        let tree = FunctionTree { functions: Vec::new(), nodes, total: 0 };
        let children = tree.children();
        assert_eq!(children.roots().collect::<Vec<_>>(), [0, 4]);
        assert_eq!(children.of(0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(children.of(1).collect::<Vec<_>>(), [3]);
        assert_eq!(children.of(4).count(), 0);
    }

    #[test]
    fn the_kernel_and_its_modules_are_told_from_user_space() {
        for kernel in ["[kernel.kallsyms]", "nf_tables.ko", "xfs.ko.zst"] {
            assert!(is_kernel(kernel), "{kernel}");
        }
        for user in ["", "[vdso]", "libkernel.so", "tool.ko.d", "ko"] {
            assert!(!is_kernel(user), "{user}");
        }
    }
}
