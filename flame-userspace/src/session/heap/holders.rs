//! Who holds memory, and whose holdings grow: with names, for people.

use std::collections::HashMap;
use std::time::Duration;

use crate::heap::{ClosedLedger, Growth, Holder, Holds};
use crate::process::{CodeAddress, ProcessTable};
use crate::session::{HeapGrowth, HeapHolder};
use crate::symbolize::Names;

/// The most holders, and the most whose holdings grow, that are told.
const MOST: usize = 20;
/// The most functions of a stack that are told.
const DEEPEST: usize = 8;

/// The functions that hold most, most first.
pub(super) fn heaviest(
    books: &ClosedLedger,
    names: &Names,
    processes: &ProcessTable,
    now_ns: u64,
) -> Vec<HeapHolder> {
    let mut functions: HashMap<Vec<String>, (String, Holds)> = HashMap::new();
    for holder in &books.holders {
        let (mut stack, module) = named(holder, books, names, processes);
        stack.truncate(1);
        functions.entry(stack).or_insert_with(|| (module, Holds::default())).1.join(&holder.holds);
    }
    let mut all: Vec<_> = functions.into_iter().collect();
    all.sort_by(|(a_stack, (_, a)), (b_stack, (_, b))| {
        let bytes = |holds: &Holds| holds.blocks.space.value;
        bytes(b).total_cmp(&bytes(a)).then_with(|| a_stack.cmp(b_stack))
    });
    all.truncate(MOST);
    all.into_iter()
        .map(|(stack, (module, holds))| {
            let growth = holds.growth(&books.moments_ns, now_ns);
            told(stack, module, &holds, growth)
        })
        .collect()
}

/// The stacks whose holdings grow and not by chance, the fastest first.
pub(super) fn growing(
    books: &ClosedLedger,
    names: &Names,
    processes: &ProcessTable,
    now_ns: u64,
) -> Vec<HeapHolder> {
    let growth = |holder: &Holder| holder.holds.growth(&books.moments_ns, now_ns);
    let steady = books.holders.iter().filter_map(|holder| {
        growth(holder).filter(Growth::is_steady).map(|growth| (growth, holder))
    });
    let mut steady: Vec<_> = steady.collect();
    steady.sort_by(|(a, _), (b, _)| b.bytes.value.total_cmp(&a.bytes.value));
    steady.truncate(MOST);
    steady
        .into_iter()
        .map(|(growth, holder)| {
            let (stack, module) = named(holder, books, names, processes);
            told(stack, module, &holder.holds, Some(growth))
        })
        .collect()
}

/// The innermost functions of a holder's stack, and the module of the first.
fn named(
    holder: &Holder,
    books: &ClosedLedger,
    names: &Names,
    processes: &ProcessTable,
) -> (Vec<String>, String) {
    let mut stack = Vec::new();
    let mut module = String::new();
    for address in books.sum.stacks.of(holder.stack) {
        if stack.is_empty()
            && let CodeAddress::Executable(id, _) = address
        {
            let path = &processes.executable(id).path;
            module = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        }
        let symbols = names.get(address);
        if symbols.is_empty() {
            stack.push("[no name]".to_owned());
        }
        stack.extend(symbols.iter().map(|symbol| symbol.name.clone()));
        if stack.len() >= DEEPEST {
            break;
        }
    }
    stack.truncate(DEEPEST);
    (stack, module)
}

fn told(stack: Vec<String>, module: String, holds: &Holds, growth: Option<Growth>) -> HeapHolder {
    let (oldest_ns, median_ns) = holds.ages_ns();
    let (objects, bytes) = (holds.blocks.objects, holds.blocks.space);
    HeapHolder {
        stack,
        module,
        bytes: bytes.value,
        standard_error: bytes.standard_error(),
        objects: objects.value,
        oldest: Duration::from_nanos(oldest_ns),
        median: Duration::from_nanos(median_ns),
        growth: growth.map(|growth| HeapGrowth {
            bytes: growth.bytes.value,
            standard_error: growth.bytes.standard_error(),
            over: Duration::from_nanos(growth.over_ns),
            rises: growth.rises,
            steps: growth.steps,
        }),
    }
}
