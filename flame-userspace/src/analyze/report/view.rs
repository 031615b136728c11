//! One sample type of a profile.

use super::around::{self, Around};
use super::groups::Groups;
use super::lines::{self, HotLine};
use super::paths::{self, PathRow};
use crate::analyze::noise::{Noise, allocation_columns};
use crate::analyze::{FunctionTree, Holding, Worth, is_held};
use crate::profile::{Profile, SampleType};

/// Functions whose callers and callees are told.
const AROUND: usize = 5;

/// What there is to say of one sample type.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its column.
    pub column: usize,
    /// What its values count.
    pub sample_type: SampleType,
    /// The value of all samples.
    pub total: i64,
    /// How many samples of equal weight would be as sure; `None` if nothing is left to chance, or
    /// if that is not known.
    pub samples: Option<f64>,
    /// Self value of code without names.
    pub unnamed: i64,
    /// Value of the samples of which not even the innermost function is known.
    pub stackless: i64,
    /// By the module of the innermost function.
    pub modules: Groups,
    /// By user space and kernel.
    pub sides: Groups,
    /// By process; empty unless there are several.
    pub processes: Groups,
    /// By thread's name; empty unless there are several.
    pub threads: Groups,
    /// Every function that the tables name: F1 is the first.
    pub functions: Vec<FunctionRow>,
    /// Rows of `functions` by falling self value.
    pub by_self: Vec<usize>,
    /// The functions that `by_self` leaves out: with them, and what has no stack, the self values
    /// make the total.
    pub self_rest: Rest,
    /// Of a heap, who holds most, or asks for most.
    pub by_holding: Vec<HoldingRow>,
    /// Rows of `functions` by falling total.
    pub by_total: Vec<usize>,
    /// The heaviest source lines.
    pub lines: Vec<HotLine>,
    /// The heaviest call paths; what ends here makes the total.
    pub paths: Vec<PathRow>,
    /// Who calls the heaviest functions, and whom they call.
    pub around: Vec<Around>,
}

/// A function in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    /// Its name, or `[module]` for a module's code without names.
    pub name: String,
    /// The file name of the mapping that it lies in; empty if unknown.
    pub module: String,
    /// The source file; empty if unknown.
    pub file: String,
    /// Its heaviest line; 0 if unknown.
    pub line: i64,
    /// What it is worth.
    pub worth: Worth,
    /// Of a heap's bytes: the objects that they are in.
    pub objects: Option<Worth>,
}

/// A function that holds memory, or asks for it: what ends in functions that only pass on what they
/// are asked for is that of whoever called them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingRow {
    /// The row of [`View::functions`].
    pub function: usize,
    /// How much.
    pub value: i64,
    /// The function by which it asked for most of it, where that is another one.
    pub through: Option<String>,
}

/// What a table leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rest {
    /// How many rows.
    pub rows: usize,
    /// What they are worth together.
    pub value: i64,
}

impl View {
    /// What there is to say of `column`, with at most `top` rows a table of functions.
    pub(super) fn of(profile: &Profile, column: usize, top: usize) -> Self {
        let tree = FunctionTree::of(profile, column);
        let worths = tree.worths();
        let objects = allocation_columns(profile, column)
            .filter(|(_, bytes)| *bytes == column)
            .map(|(objects, _)| FunctionTree::of(profile, objects).worths());
        let lines_of = tree.lines();

        let ranked = |value: fn(&Worth) -> i64| {
            let mut rows: Vec<usize> =
                (0..worths.len()).filter(|&f| value(&worths[f]) != 0).collect();
            rows.sort_by(|&a, &b| {
                let name = |f: usize| (&tree.functions[f].name, &tree.functions[f].module);
                value(&worths[b]).cmp(&value(&worths[a])).then_with(|| name(a).cmp(&name(b)))
            });
            rows
        };
        let mut by_self = ranked(|worth| worth.self_value);
        let rest = by_self.split_off(by_self.len().min(top));
        let self_rest = Rest {
            rows: rest.len(),
            value: rest.iter().fold(0i64, |sum, &f| sum.saturating_add(worths[f].self_value)),
        };
        let mut by_total = ranked(|worth| worth.total);
        by_total.truncate(top);

        let holdings = if is_held(profile, column) { tree.holdings() } else { Vec::new() };
        let mut by_holding: Vec<usize> =
            (0..holdings.len()).filter(|&f| holdings[f].worth.self_value > 0).collect();
        by_holding.sort_by_key(|&f| (-holdings[f].worth.self_value, f));
        by_holding.truncate(top);

        let mut shown = Shown::default();
        let by_self_rows = by_self.iter().map(|&f| shown.row(f)).collect();
        let by_total_rows = by_total.iter().map(|&f| shown.row(f)).collect();
        let by_holding = by_holding.into_iter().map(|f| {
            let Holding { worth, through } = holdings[f];
            let through = through.map(|function| tree.functions[function as usize].name.clone());
            HoldingRow { function: shown.row(f), value: worth.self_value, through }
        });
        let by_holding = by_holding.collect();
        let heaviest = &by_self[..by_self.len().min(AROUND)];
        let unnamed = tree.functions.iter().zip(&worths).filter(|(function, _)| !function.named);
        let noise = Noise::of(profile, column);
        let samples = noise.total(profile, column).samples();
        Self {
            column,
            sample_type: profile.sample_types()[column].clone(),
            total: tree.total,
            samples: samples.is_finite().then_some(samples),
            unnamed: unnamed.fold(0i64, |sum, (_, worth)| sum.saturating_add(worth.self_value)),
            stackless: stackless(&tree),
            modules: Groups::by_module(&tree),
            sides: Groups::by_side(&tree),
            processes: Groups::by_process(profile, column),
            threads: Groups::by_thread(profile, column),
            by_self: by_self_rows,
            self_rest,
            by_total: by_total_rows,
            by_holding,
            lines: lines::heaviest(profile, column, top),
            paths: paths::heaviest(&tree),
            around: around::of(&tree, &worths, heaviest),
            functions: shown
                .functions
                .iter()
                .map(|&f| {
                    let function = &tree.functions[f];
                    FunctionRow {
                        name: function.name.clone(),
                        module: function.module.clone(),
                        file: function.file.clone(),
                        line: lines_of[f],
                        worth: worths[f],
                        // Both trees have the same frames, in the same order.
                        objects: objects.as_ref().map(|objects| objects[f]),
                    }
                })
                .collect(),
        }
    }

    /// A value's share of the total, from 0 to 1; `None` where there is no total that it could be a
    /// part of, as of a difference that adds up to nothing or less.
    pub fn share(&self, value: i64) -> Option<f64> {
        (self.total > 0).then_some(value as f64 / self.total as f64)
    }

    /// How far a share may be off by chance at 95 %: the normal approximation of a binomial share
    /// of [`samples`](Self::samples).
    pub fn share_error(&self, share: f64) -> Option<f64> {
        let samples = self.samples.filter(|samples| *samples > 0.0)?;
        Some(1.96 * (share * (1.0 - share)).max(0.0).sqrt() / samples.sqrt())
    }
}

/// The functions that were given an F number, in its order.
#[derive(Default)]
struct Shown {
    functions: Vec<usize>,
}

impl Shown {
    fn row(&mut self, function: usize) -> usize {
        self.functions.iter().position(|&f| f == function).unwrap_or_else(|| {
            self.functions.push(function);
            self.functions.len() - 1
        })
    }
}

/// The value of the samples without any frame.
pub(super) fn stackless(tree: &FunctionTree) -> i64 {
    let roots = tree.nodes.iter().filter(|node| node.parent.is_none());
    roots.fold(tree.total, |rest, node| rest.saturating_sub(node.total))
}
