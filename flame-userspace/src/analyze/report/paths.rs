//! The heaviest call paths as a tree of few rows that leaves nothing out: what ends in the rows
//! makes the total.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::analyze::{Children, FunctionTree};

/// The most rows that are opened; each shows at most [`CALLEES`] rows below it and the rest.
const OPENED: usize = 12;
const CALLEES: usize = 3;
/// Smaller shares of the total are not shown by themselves.
const SMALLEST: f64 = 0.02;
/// A callee with this much of its caller's value stands on the same row.
const NEARLY_ALL: f64 = 0.98;
/// Of a row with more functions so many are named at either end: a stack may have millions.
const NAMED: usize = 32;

/// A row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRow {
    /// How deep it stands: 0 for the outermost rows.
    pub depth: usize,
    /// What it is.
    pub kind: PathKind,
    /// The value of the samples on this path.
    pub value: i64,
    /// Whether nothing below it is shown, so that its value belongs to no other row.
    pub ends: bool,
}

/// What a row stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// Functions that call each other and next to nothing else: the first has the value, each other
    /// nearly all of its caller's.
    Calls {
        /// Their names, the outermost first. A function that calls itself stands once, with how
        /// often in a row.
        named: Vec<(String, usize)>,
        /// How many more stand in the middle of them, not named.
        skipped: usize,
    },
    /// The code of the function above.
    Own,
    /// Paths that are not shown, and how many they are.
    Others(usize),
    /// Samples of which no function is known.
    NoStack,
}

/// The heaviest paths of `tree`.
pub(super) fn heaviest(tree: &FunctionTree) -> Vec<PathRow> {
    if tree.total <= 0 {
        return Vec::new();
    }
    let children = tree.children();
    let opened = open(tree, &children);
    let mut rows = Vec::new();
    let stackless = super::view::stackless(tree);
    let roots: Vec<u32> = children.roots().collect();
    let writer = Writer { tree, children: &children, opened: &opened };
    writer.level(&roots, 0, (0, 0), 0, &mut rows);
    if stackless != 0 {
        let kind = PathKind::NoStack;
        rows.push(PathRow { depth: 0, kind, value: stackless, ends: true });
    }
    rows
}

/// The nodes whose callees are shown: the heaviest, callers before callees.
fn open(tree: &FunctionTree, children: &Children) -> Vec<bool> {
    let mut opened = vec![false; tree.nodes.len()];
    let weight = |row: u32| (tree.nodes[row as usize].total, Reverse(row));
    let mut waiting: BinaryHeap<_> = children.roots().map(weight).collect();
    let mut left = OPENED;
    while let (true, Some((_, Reverse(row)))) = (left > 0, waiting.pop()) {
        let end = chain(tree, children, row).end;
        left -= 1;
        opened[end as usize] = true;
        waiting.extend(children.of(end).map(weight));
    }
    opened
}

/// Functions that stand on one row.
struct Chain {
    /// The functions, each with how often in a row it stands there.
    calls: Vec<(u32, usize)>,
    /// The last node.
    end: u32,
    /// How many other paths leave the chain before its end, and their value.
    left: (usize, i64),
}

/// The functions from `row` on that hold nearly all of its value.
fn chain(tree: &FunctionTree, children: &Children, row: u32) -> Chain {
    let node = |row: u32| &tree.nodes[row as usize];
    let mut chain = Chain { calls: Vec::new(), end: row, left: (0, 0) };
    // What may be left out of the row, all in all.
    let mut spare = (1.0 - NEARLY_ALL) * node(row).total as f64;
    loop {
        let at = chain.end;
        match chain.calls.last_mut() {
            Some((last, times)) if *last == node(at).function => *times += 1,
            _ => chain.calls.push((node(at).function, 1)),
        }
        let heaviest = children.of(at).max_by_key(|&child| (node(child).total, Reverse(child)));
        let Some(child) = heaviest else { return chain };
        let rest = node(at).total.saturating_sub(node(child).total);
        if rest < 0 || rest as f64 > spare {
            return chain;
        }
        spare -= rest as f64;
        if rest > 0 {
            let others = children.of(at).filter(|&c| c != child && node(c).total != 0).count();
            chain.left.0 += others + usize::from(node(at).self_value != 0);
            chain.left.1 += rest;
        }
        chain.end = child;
    }
}

struct Writer<'a> {
    tree: &'a FunctionTree,
    children: &'a Children,
    opened: &'a [bool],
}

impl Writer<'_> {
    /// Writes the rows of callees, of what left the row above before its end, and of that end's
    /// own value. As deep as rows are opened.
    fn level(
        &self,
        callees: &[u32],
        depth: usize,
        left: (usize, i64),
        own: i64,
        rows: &mut Vec<PathRow>,
    ) {
        let total = |row: u32| self.tree.nodes[row as usize].total;
        let function =
            |row: u32| &self.tree.functions[self.tree.nodes[row as usize].function as usize];
        let mut callees = callees.to_vec();
        callees.sort_by(|&a, &b| {
            let names = || {
                let key = |row| (&function(row).name, &function(row).module);
                key(a).cmp(&key(b))
            };
            total(b).cmp(&total(a)).then_with(names)
        });
        let least = SMALLEST * self.tree.total as f64;
        let shown = callees.iter().take(CALLEES).take_while(|&&row| total(row) as f64 >= least);
        let shown = shown.count();
        for &row in &callees[..shown] {
            let chain = chain(self.tree, self.children, row);
            let below: Vec<u32> = self.children.of(chain.end).collect();
            let opens = self.opened[chain.end as usize] && !below.is_empty();
            let kind = self.calls(&chain.calls);
            rows.push(PathRow { depth, kind, value: total(row), ends: !opens });
            if opens {
                let own = self.tree.nodes[chain.end as usize].self_value;
                self.level(&below, depth + 1, chain.left, own, rows);
            }
        }
        let others = callees[shown..].iter().filter(|&&row| total(row) != 0);
        let (count, value) =
            others.fold(left, |(count, sum), &row| (count + 1, sum.saturating_add(total(row))));
        if count > 0 {
            rows.push(PathRow { depth, kind: PathKind::Others(count), value, ends: true });
        }
        if own != 0 {
            rows.push(PathRow { depth, kind: PathKind::Own, value: own, ends: true });
        }
    }

    /// The functions of a row, those at its ends by name.
    fn calls(&self, calls: &[(u32, usize)]) -> PathKind {
        let skipped = calls.len().saturating_sub(2 * NAMED);
        let (start, end) = calls.split_at(if skipped == 0 { calls.len() } else { NAMED });
        let named = start.iter().chain(end.get(skipped..).unwrap_or_default());
        let name = |function: u32| self.tree.functions[function as usize].name.clone();
        let named = named.map(|&(function, times)| (name(function), times)).collect();
        PathKind::Calls { named, skipped }
    }
}
