//! Who a heap's memory belongs to: the innermost function of each stack that does not only pass on
//! what it is asked for. The page's viewer has the same rule (`viewer/holders.js`).

use std::collections::HashMap;
use std::sync::Arc;

use super::functions::{FunctionTree, Worth, is_kernel};
use super::noise::allocation_columns;
use super::top::{Heaviest, rank, top};
use crate::profile::tree::CallTree;
use crate::profile::{Profile, allocates, is_nameless, passes_on};

/// What a frame is to what ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// No code, but the process that the code outside of it belongs to: nobody who asks.
    Process,
    /// It only passes on what it is asked for.
    PassesOn,
    /// It does so, and its name says that it allocates: what it calls without a name is a part of it.
    Allocates,
    /// It has no name that would tell.
    Nameless,
    /// What ends in it is its own.
    Own,
}

impl Role {
    /// That of a function. The kernel is asked for nothing but memory.
    pub fn of(name: &str, module: &str) -> Self {
        match () {
            () if is_kernel(module) => Self::Own,
            () if allocates(name) => Self::Allocates,
            () if passes_on(name, module) => Self::PassesOn,
            () if is_nameless(name) => Self::Nameless,
            () => Self::Own,
        }
    }

    /// That of a function which one of this role calls.
    #[must_use]
    pub fn of_callee(self, callee: Self) -> Self {
        match (self, callee) {
            (Self::Allocates, Self::Nameless) => Self::Allocates,
            _ => callee,
        }
    }

    /// Whether what ends in it is its caller's.
    pub fn passes_on(self) -> bool {
        matches!(self, Self::PassesOn | Self::Allocates)
    }
}

/// By node, the node that what ends there belongs to: that of the caller where a function only
/// passes on. Of each node its parent, an earlier one, and its role.
pub fn holding_nodes(nodes: impl Iterator<Item = (Option<u32>, Role)>) -> Vec<u32> {
    let mut roles: Vec<Role> = Vec::new();
    let mut holding: Vec<u32> = Vec::new();
    for (row, (parent, role)) in (0..).zip(nodes) {
        let caller = parent.map(|parent| (roles[parent as usize], holding[parent as usize]));
        let role = caller.map_or(role, |(caller, _)| caller.of_callee(role));
        let asks = caller.filter(|(caller, _)| role.passes_on() && *caller != Role::Process);
        holding.push(asks.map_or(row, |(_, holder)| holder));
        roles.push(role);
    }
    holding
}

/// What a function holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holding {
    /// Its worth, with what it holds in the place of its self value.
    pub worth: Worth,
    /// The function by which it asked for most of it; `None` where that is itself.
    pub through: Option<u32>,
}

impl FunctionTree {
    /// What each function holds, in the order of [`functions`](Self::functions).
    pub fn holdings(&self) -> Vec<Holding> {
        let role = |function: u32| self.functions[function as usize].role;
        let nodes = self.nodes.iter().map(|node| (node.parent, role(node.function)));
        let holder = holding_nodes(nodes);
        let worths = self.worths().into_iter().map(|worth| Worth { self_value: 0, ..worth });
        let mut holdings: Vec<Holding> =
            worths.map(|worth| Holding { worth, through: None }).collect();
        let mut parts: HashMap<(u32, u32), i64> = HashMap::new();
        for (node, holder) in self.nodes.iter().zip(holder) {
            let of = self.nodes[holder as usize].function;
            let held = &mut holdings[of as usize].worth.self_value;
            *held = held.saturating_add(node.self_value);
            let part = parts.entry((of, node.function)).or_default();
            *part = part.saturating_add(node.self_value);
        }
        let mut parts: Vec<_> = parts.into_iter().filter(|(_, value)| *value != 0).collect();
        // The largest part of a holder comes last; of equal ones the first function's.
        parts.sort_by_key(|((of, by), value)| (*value, std::cmp::Reverse((*of, *by))));
        for ((of, by), _) in parts {
            holdings[of as usize].through = Some(by).filter(|by| *by != of);
        }
        holdings
    }

    /// The name of each function, for rows that have names in common.
    pub(super) fn shared_names(&self) -> Vec<Arc<str>> {
        self.functions.iter().map(|function| Arc::from(function.name.as_str())).collect()
    }
}

/// The functions of a tree by what they hold in the place of their self value, most first.
fn holders(profile: &Profile, tree: &CallTree) -> Vec<Heaviest> {
    let tree = FunctionTree::unmerged(profile, tree);
    let holdings = tree.holdings();
    let names = tree.shared_names();
    let through =
        |holding: &Holding| holding.through.map(|function| Arc::clone(&names[function as usize]));
    let rows = tree.functions.iter().zip(&holdings).map(|(function, holding)| Heaviest {
        name: function.name.clone(),
        module: function.module.clone(),
        self_value: holding.worth.self_value,
        total: holding.worth.total,
        through: through(holding),
    });
    rank(rows.collect())
}

/// Whether the column `sample_type` is one of a heap's, of which a reader asks who holds it.
pub fn is_held(profile: &Profile, sample_type: usize) -> bool {
    allocation_columns(profile, sample_type).is_some()
}

/// The functions to look at first by `sample_type`, of which `tree` was built: of a heap those that
/// hold most, else those of the highest self value.
pub fn first(profile: &Profile, tree: &CallTree, sample_type: usize) -> Vec<Heaviest> {
    if is_held(profile, sample_type) { holders(profile, tree) } else { top(profile, tree) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::diff::Diff;
    use crate::analyze::normalize::Pair;
    use crate::profile::tree::TreeOptions;
    use crate::profile::{Builder, Function, Label, LabelValue, Line, Location, SampleType};

    /// A heap of stacks, outermost first, in processes of one name.
    fn heap(stacks: &[(&[&str], i64)]) -> Profile {
        let types = vec![
            SampleType::new("inuse_objects", "count"),
            SampleType::new("inuse_space", "bytes"),
        ];
        let mut b = Builder::new(types, 1);
        let (key, comm) = (b.string("comm"), b.string("app"));
        let labels = b.label_set(vec![Label { key, value: LabelValue::Text(comm) }]);
        for (names, bytes) in stacks {
            let mut frames = Vec::new();
            for (name, address) in names.iter().zip(1..) {
                let (name, file) = (b.string(name), b.string(""));
                let row = Function { name, system_name: name, file, start_line: 0 };
                let lines = vec![Line { function: b.function(row), line: 0, column: 0 }];
                frames.push(b.location(Location { mapping: None, address, lines }));
            }
            let stack = b.stack(frames);
            b.sample(stack, labels, &[1, *bytes]);
        }
        b.finish()
    }

    fn rows(profile: &Profile, by_process: bool) -> Vec<(String, i64, Option<Arc<str>>)> {
        let tree = CallTree::build(profile, TreeOptions { sample_type: 1, by_process });
        let rows = first(profile, &tree, 1).into_iter();
        let held = rows.filter(|row| row.self_value > 0);
        held.map(|row| (row.name, row.self_value, row.through)).collect()
    }

    #[test]
    fn what_passes_on_holds_nothing() {
        let profile = heap(&[
            (&["main", "put", "xmalloc"], 10),
            (&["main", "put", "std::string::_M_create", "operator new"], 20),
            (&["main", "put"], 5),
            (&["xmalloc"], 1),
        ]);
        let through = |name: &str| Some(Arc::<str>::from(name));
        for by_process in [false, true] {
            assert_eq!(
                rows(&profile, by_process),
                [("put".to_owned(), 35, through("operator new")), ("xmalloc".to_owned(), 1, None)]
            );
        }
    }

    #[test]
    fn what_an_allocator_calls_without_a_name_is_a_part_of_it() {
        let profile = heap(&[
            (&["main", "build", "palloc", "[app+0x10]", "[app+0x20]"], 8),
            // The C library calls a program's main function, and a container its lambdas.
            (&["__libc_start_main", "[app+0x30]", "std::function::operator()", "[app+0x40]"], 4),
        ]);
        let wanted = [("build".to_owned(), 8, Some(Arc::<str>::from("[app+0x20]")))];
        assert_eq!(rows(&profile, false)[..1], wanted);
        assert_eq!(rows(&profile, false)[1..], [("[app+0x40]".to_owned(), 4, None)]);
    }

    #[test]
    fn who_asks_mostly_by_itself_asks_through_nobody() {
        let profile = heap(&[(&["put"], 5), (&["put", "xmalloc"], 5), (&["put", "xcalloc"], 3)]);
        assert_eq!(rows(&profile, false), [("put".to_owned(), 13, None)]);
    }

    #[test]
    fn a_difference_of_heaps_is_of_what_functions_hold() {
        let base = heap(&[(&["put", "xmalloc"], 5), (&["add", "xcalloc"], 7), (&["once"], 1)]);
        let new = heap(&[(&["put", "xmalloc"], 25), (&["put"], 1), (&["add", "xmalloc"], 7)]);
        let pair = Pair::by(&base, &new, Some("inuse_space")).expect("both have it");
        let diff = Diff::of(pair, None).expect("comparable");
        assert!(diff.held);
        let rows = diff.rows.iter().filter(|row| row.self_change() != 0 || row.name == "add");
        let rows: Vec<_> =
            rows.map(|row| (&*row.name, row.self_change(), row.through.as_deref())).collect();
        let wanted =
            [("put", 21, Some("xmalloc")), ("once", -1, None), ("add", 0, Some("xmalloc"))];
        assert_eq!(rows, wanted);
        let xmalloc = diff.rows.iter().find(|row| row.name == "xmalloc").expect("it is there");
        assert_eq!((xmalloc.self_change(), xmalloc.total_change()), (0, 27));
    }

    #[test]
    fn the_kernel_passes_nothing_on() {
        assert_eq!(Role::of("kmalloc", "[kernel.kallsyms]"), Role::Own);
        assert_eq!(Role::of("kmalloc", "app"), Role::Allocates);
        assert_eq!(Role::of("memset", "libc.so.6"), Role::PassesOn);
    }

    #[test]
    fn the_heaviest_functions_of_a_clock_are_those_of_their_own_time() {
        let types =
            vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")];
        let mut b = Builder::new(types, 1);
        let (name, file) = (b.string("malloc"), b.string(""));
        let function = b.function(Function { name, system_name: name, file, start_line: 0 });
        let lines = vec![Line { function, line: 0, column: 0 }];
        let frame = b.location(Location { mapping: None, address: 1, lines });
        let (none, stack) = (b.label_set(Vec::new()), b.stack([frame]));
        b.sample(stack, none, &[1, 7]);
        assert_eq!(rows(&b.finish(), false), [("malloc".to_owned(), 7, None)]);
    }
}
