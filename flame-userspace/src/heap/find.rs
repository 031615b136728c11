//! The functions of a file that are to be hooked, and where: names, then code.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use anyhow::{Context as _, bail, ensure};
use flame_common::heap::Role;
use object::elf::EM_X86_64;

use super::allocator::{MARKS, Wanted, wanted};
use super::code::Code;
use super::paths::{Callee, Goal, Names, Paths, follow};
use super::probe_point::{REACH, first_push, probe_point, targets_behind};
use super::symbols::{Symbol, SymbolTables};
use super::{Allocator, Hook, Hooks, OwnFunction};
use crate::process::ElfLayout;

/// The most bytes of a function that are searched for branches into its beginning.
const LARGEST_FUNCTION: u64 = 64 << 10;
/// How many calls deep an allocator's functions are followed to find its calls to itself.
const DEPTH: usize = 4;
/// The most instructions that are followed for that in one file.
const MOST_STEPS: usize = 400_000;
/// The most instructions of all functions of an allocator.
const MOST_OF_ALL: usize = 1 << 20;

/// What of this name a dynamic loader defines, and nothing else. A loader's own small allocator
/// serves itself alone, before the program starts.
const LOADER_MARK: &str = "_rtld_global";
/// Functions that tell where `errno` lies.
const ERRNO: &[&str] = &["__errno_location", "___errno_location"];
/// Functions that do not return.
const NEVER: &[&str] = &[
    "abort",
    "__assert_fail",
    "__chk_fail",
    "__cxa_rethrow",
    "__cxa_throw",
    "__cxa_throw_bad_array_new_length",
    "__fortify_fail",
    "__stack_chk_fail",
    "_Unwind_Resume",
    "_ZSt17__throw_bad_allocv",
    "_ZSt28__throw_bad_array_new_lengthv",
    "_ZSt9terminatev",
];

/// Finds what of a file is to be hooked. Names are looked up in the file, and in its separate
/// debug file if there is one; `own` are functions that the user named. Empty if the file has no
/// allocator; an error if it cannot be read.
pub(crate) fn hooks(
    file: &File,
    debug_file: Option<&File>,
    own: &[OwnFunction],
) -> anyhow::Result<Hooks> {
    let layout = ElfLayout::read(file).context("read the ELF file")?;
    if layout.machine != EM_X86_64 {
        bail!("heap profiling knows x86-64 code alone, and this is of machine {}", layout.machine);
    }
    let wanted = wanted(own);
    let tables = SymbolTables::of(file)?;
    let mut names: Vec<&str> = wanted.iter().map(|wanted| wanted.name.as_str()).collect();
    names.extend(MARKS.iter().map(|(name, _)| *name));
    names.extend(ERRNO.iter().chain(NEVER));
    let mut symbols = tables.functions(&names)?;
    if let Some(debug_file) = debug_file {
        symbols.extend(SymbolTables::of(debug_file)?.functions(&names)?);
    }
    let functions = functions(&symbols, &wanted);
    if functions.is_empty() || tables.defines(LOADER_MARK)? {
        return Ok(Hooks::default());
    }
    let family = family(&symbols, &names);
    let code = Code::new(file, &layout);
    let known = known(&symbols, &names, &functions, &tables.slots()?, &wanted);
    Search { code, names: known, wanted: &wanted, functions, family }.run()
}

/// A function to hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Function {
    /// Index in the table of wanted functions: of several names the first there.
    wanted: usize,
    size: u64,
}

/// The wanted functions that are there, each address once.
fn functions(symbols: &[Symbol], wanted: &[Wanted]) -> BTreeMap<u64, Function> {
    let mut functions: BTreeMap<u64, Function> = BTreeMap::new();
    for symbol in symbols {
        let Some(row) = wanted.get(symbol.name) else { continue };
        if symbol.is_local && !row.may_be_local() {
            continue;
        }
        let new = Function { wanted: symbol.name, size: symbol.size };
        let known = functions.entry(symbol.address).or_insert(new);
        if new.wanted < known.wanted {
            *known = Function { size: known.size.max(new.size), ..new };
        }
    }
    functions
}

/// Whose allocator the file's names tell of.
fn family(symbols: &[Symbol], names: &[&str]) -> Allocator {
    let has = |mark: &str| symbols.iter().any(|symbol| names[symbol.name] == mark);
    let found = MARKS.iter().find(|(mark, _)| has(mark));
    found.map_or(Allocator::Unknown, |(_, allocator)| *allocator)
}

/// What is known of the places that code may call.
fn known(
    symbols: &[Symbol],
    names: &[&str],
    functions: &BTreeMap<u64, Function>,
    slots: &HashMap<u64, String>,
    wanted: &[Wanted],
) -> Names {
    let other = |name: &str| {
        if ERRNO.contains(&name) {
            Some(Callee::Errno)
        } else if NEVER.contains(&name) {
            Some(Callee::Never)
        } else {
            None
        }
    };
    let mut known = Names::default();
    for symbol in symbols {
        if let Some(callee) = other(names[symbol.name]) {
            known.by_address.insert(symbol.address, callee);
        }
    }
    for (&address, function) in functions {
        let name = wanted[function.wanted].name.clone();
        let goal = Goal { name, address: Some(address) };
        known.by_address.insert(address, Callee::Wanted(goal));
    }
    for (&slot, name) in slots {
        let is_wanted = wanted.iter().any(|wanted| wanted.name == *name);
        let goal = || Callee::Wanted(Goal { name: name.clone(), address: None });
        if let Some(callee) = other(name).or_else(|| is_wanted.then(goal)) {
            known.slots.insert(slot, callee);
        }
    }
    known
}

/// The search through the code of one file.
struct Search<'a> {
    code: Code<'a>,
    names: Names,
    wanted: &'a [Wanted],
    functions: BTreeMap<u64, Function>,
    family: Allocator,
}

impl Search<'_> {
    fn run(self) -> anyhow::Result<Hooks> {
        let mut paths: BTreeMap<u64, Paths> = BTreeMap::new();
        let mut steps = 0;
        for &address in self.functions.keys() {
            let found = follow(&self.code, &self.names, address);
            steps += found.steps;
            ensure!(steps <= MOST_OF_ALL, "the allocator has more than {MOST_OF_ALL} instructions");
            paths.insert(address, found);
        }
        let mut found = Hooks::default();
        for (&address, function) in &self.functions {
            let paths = &paths[&address];
            if self.only_forwards(function, paths) {
                let goals = paths.calls.values().chain(&paths.jumps);
                let to = goals.map(|goal| goal.name.clone()).next().unwrap_or_default();
                found.forwarders.push((self.wanted[function.wanted].name.clone(), to));
            } else if let Some(hook) = self.hook(address, *function, paths) {
                found.probed.push(hook);
            }
        }
        found.probed.sort_by_key(|hook| hook.entry);
        let kept: Vec<u64> = paths
            .iter()
            .filter(|(address, paths)| !self.only_forwards(&self.functions[address], paths))
            .map(|(&address, _)| address)
            .collect();
        found.own_calls = self.own_calls(&kept, &paths);
        Ok(found)
    }

    /// Whether a function needs no probe of its own, since another of its paths' ends has one.
    ///
    /// musl is built without unwind information. From within a `malloc` that musl's `calloc`
    /// calls, a walk by frame pointers would miss the caller of `calloc`, which sets up no frame:
    /// there the outer function is probed as well, and its call is one of the allocator's own. A
    /// function that jumps on leaves no frame behind, and has no such need.
    fn only_forwards(&self, function: &Function, paths: &Paths) -> bool {
        let role = self.wanted[function.wanted].role;
        let hides_its_caller =
            self.family == Allocator::Musl && role.makes() && !paths.calls.is_empty();
        paths.only_forwards() && !hides_its_caller
    }

    fn hook(&self, address: u64, function: Function, paths: &Paths) -> Option<Hook> {
        let row = &self.wanted[function.wanted];
        let entry = self.code.offset(address)?;
        let size = if function.size == 0 { REACH } else { function.size };
        let mut targets: BTreeSet<u64> =
            paths.targets.iter().filter_map(|target| target.checked_sub(address)).collect();
        let end = address.saturating_add(size.min(LARGEST_FUNCTION));
        let body = self.code.straight(address).take_while(|i| i.ip() < end);
        targets.extend(targets_behind(address, body));
        let bytes = self.code.bytes(address, size.min(REACH));
        let point =
            probe_point(&bytes, row.role, row.arguments, |distance| targets.contains(&distance));
        let leads_to_malloc = |goal: &Goal| self.role_of(goal) == Some(Role::Malloc);
        let jumps_to_malloc = paths.jumps.iter().any(leads_to_malloc);
        Some(Hook {
            role: row.role,
            name: row.name.clone(),
            allocator: row.allocator.unwrap_or(self.family),
            offset: entry + point.distance,
            entry,
            emulated: point.emulated,
            push: first_push(&bytes).map(|(distance, length)| (entry + distance, length)),
            leads_to: point.leads_to,
            arguments: point.arguments,
            null_is_malloc: matches!(row.role, Role::Realloc | Role::ReallocArray)
                && jumps_to_malloc,
            plain_is_malloc: row.role == Role::Memalign
                && self.family == Allocator::Glibc
                && jumps_to_malloc,
            may_throw: row.may_throw(),
        })
    }

    fn role_of(&self, goal: &Goal) -> Option<Role> {
        self.wanted.iter().find(|wanted| wanted.name == goal.name).map(|wanted| wanted.role)
    }

    /// The return addresses, as offsets in the file, of calls to hooked functions from these ones
    /// and from what they call; of their calls to functions that jump on to hooked ones, which return
    /// there (glibc's `posix_memalign` by a helper to `malloc`, for small alignments); and of their
    /// own calls to computed addresses.
    fn own_calls(&self, kept: &[u64], paths: &BTreeMap<u64, Paths>) -> Vec<u64> {
        let mut calls = BTreeSet::new();
        let mut seen: BTreeSet<u64> = paths.keys().copied().collect();
        let mut level: BTreeSet<u64> = BTreeSet::new();
        let mut returns: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let mut jumping: BTreeSet<u64> = BTreeSet::new();
        let mut add = |inside: &BTreeMap<u64, BTreeSet<u64>>| {
            for (&target, calls) in inside {
                returns.entry(target).or_default().extend(calls);
            }
        };
        for paths in kept.iter().filter_map(|address| paths.get(address)) {
            calls.extend(paths.calls.keys().chain(&paths.computed));
            level.extend(paths.inside.keys());
            add(&paths.inside);
        }
        let mut steps = 0;
        for _ in 0..DEPTH {
            let mut next = BTreeSet::new();
            for address in std::mem::take(&mut level) {
                if steps >= MOST_STEPS || !seen.insert(address) {
                    continue;
                }
                let paths = follow(&self.code, &self.names, address);
                steps += paths.steps;
                calls.extend(paths.calls.keys());
                if paths.jumps.iter().any(|goal| self.role_of(goal).is_some_and(Role::makes)) {
                    jumping.insert(address);
                }
                next.extend(paths.inside.keys());
                add(&paths.inside);
            }
            level = next;
        }
        calls.extend(jumping.iter().filter_map(|address| returns.get(address)).flatten());
        calls.iter().filter_map(|&address| self.code.offset(address)).collect()
    }
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
