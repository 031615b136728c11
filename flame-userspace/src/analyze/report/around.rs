//! Who calls a function, and whom it calls.

use std::collections::HashMap;

use crate::analyze::{FunctionTree, Worth};

/// How many callers are told one above the other.
const CALLERS: usize = 3;
/// How many caller paths and callees are told.
const MOST: usize = 3;

/// A function's surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Its name.
    pub name: String,
    /// What it is worth.
    pub worth: Worth,
    /// Its self value by the functions that called it, the heaviest first.
    pub callers: Vec<CallPath>,
    /// The functions that it calls, by what they and all below them are worth.
    pub callees: Vec<CallPath>,
}

/// Functions one above the other, with their value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPath {
    /// The names, the outermost first; at most three. Empty for a function that nobody calls.
    pub names: Vec<String>,
    /// Whether there are callers above them.
    pub cut: bool,
    /// The value.
    pub value: i64,
}

/// The surroundings of these functions.
pub(super) fn of(tree: &FunctionTree, worths: &[Worth], functions: &[usize]) -> Vec<Around> {
    let recurs = tree.recursions();
    let mut callers: Vec<HashMap<(Vec<u32>, bool), i64>> = vec![HashMap::new(); functions.len()];
    let mut callees: Vec<HashMap<(Vec<u32>, bool), i64>> = vec![HashMap::new(); functions.len()];
    let place = |function: u32| functions.iter().position(|&f| f == function as usize);
    for (row, node) in tree.nodes.iter().enumerate() {
        if let Some(at) = place(node.function)
            && node.self_value != 0
        {
            add(&mut callers[at], callers_of(tree, row), node.self_value);
        }
        let Some(parent) = node.parent else { continue };
        let caller = tree.nodes[parent as usize].function;
        if let Some(at) = place(caller)
            // What a recursive function calls was counted where it stands first.
            && !recurs[parent as usize]
            && caller != node.function
        {
            add(&mut callees[at], (vec![node.function], false), node.total);
        }
    }
    let name = |function: &u32| tree.functions[*function as usize].name.as_str();
    let rows = |values: HashMap<(Vec<u32>, bool), i64>| {
        let mut rows: Vec<_> = values.into_iter().collect();
        rows.sort_by(|((a, a_cut), a_value), ((b, b_cut), b_value)| {
            let names = || a.iter().map(name).cmp(b.iter().map(name));
            b_value.cmp(a_value).then_with(names).then_with(|| a_cut.cmp(b_cut))
        });
        rows.truncate(MOST);
        // There may be very many paths of long names: what is not told is not named.
        let told = rows.into_iter().map(|((path, cut), value)| CallPath {
            names: path.iter().map(|function| name(function).to_owned()).collect(),
            cut,
            value,
        });
        told.collect::<Vec<CallPath>>()
    };
    let around = functions.iter().zip(callers).zip(callees);
    around
        .map(|((&function, callers), callees)| Around {
            name: tree.functions[function].name.clone(),
            worth: worths[function],
            callers: rows(callers),
            callees: rows(callees),
        })
        .collect()
}

fn add(values: &mut HashMap<(Vec<u32>, bool), i64>, path: (Vec<u32>, bool), value: i64) {
    let sum = values.entry(path).or_default();
    *sum = sum.saturating_add(value);
}

/// The nearest callers of a node, the outermost first, and whether there are more.
fn callers_of(tree: &FunctionTree, row: usize) -> (Vec<u32>, bool) {
    let mut path = Vec::with_capacity(CALLERS);
    let mut at = tree.nodes[row].parent;
    while let Some(parent) = at {
        if path.len() == CALLERS {
            path.reverse();
            return (path, true);
        }
        path.push(tree.nodes[parent as usize].function);
        at = tree.nodes[parent as usize].parent;
    }
    path.reverse();
    (path, false)
}
