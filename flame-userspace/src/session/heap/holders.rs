//! Who holds memory, and whose holdings grow: with names, for people. Functions that only pass on what
//! they are asked for are passed over for their callers.

use std::collections::HashMap;
use std::time::Duration;

use crate::heap::{ClosedLedger, Growth, Holder, Holds};
use crate::process::{CodeAddress, ProcessTable};
use crate::profile::{allocates, is_nameless, passes_on};
use crate::session::assemble::{file_name, nameless};
use crate::session::{HeapAges, HeapGrowth, HeapHolder};
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
    let mut functions: HashMap<(String, String), Function> = HashMap::new();
    for holder in &books.holders {
        let Named { mut stack, module, through } = named(holder, books, names, processes);
        let name = stack.swap_remove(0);
        let function = functions.entry((name, module)).or_default();
        function.holds.join(&holder.holds);
        *function.through.entry(through).or_default() += holder.holds.blocks.space.value;
    }
    let bytes = |function: &Function| function.holds.blocks.space.value;
    let mut all: Vec<_> = functions.into_iter().collect();
    all.sort_by(|(a_name, a), (b_name, b)| {
        bytes(b).total_cmp(&bytes(a)).then_with(|| a_name.cmp(b_name))
    });
    all.truncate(MOST);
    all.into_iter()
        .map(|((name, module), Function { holds, through })| {
            let most = through
                .into_iter()
                .max_by(|(a_name, a), (b_name, b)| a.total_cmp(b).then_with(|| b_name.cmp(a_name)));
            let named = Named { stack: vec![name], module, through: most.and_then(|most| most.0) };
            let growth = holds.growth(&books.moments_ns, now_ns);
            told(named, &holds, growth)
        })
        .collect()
}

/// What a function holds.
#[derive(Default)]
struct Function {
    holds: Holds,
    /// Bytes by the function that it asked for them by.
    through: HashMap<Option<String>, f64>,
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
            let named = named(holder, books, names, processes);
            told(named, &holder.holds, Some(growth))
        })
        .collect()
}

/// A holder's stack, from the function that does not only pass on what it is asked for.
struct Named {
    /// That function and its callers.
    stack: Vec<String>,
    /// Its file.
    module: String,
    /// The innermost function, where it is another one.
    through: Option<String>,
}

/// Names a holder's stack. Where all functions pass on, the outermost one asked.
fn named(holder: &Holder, books: &ClosedLedger, names: &Names, processes: &ProcessTable) -> Named {
    let mut named = Named { stack: Vec::new(), module: String::new(), through: None };
    let mut passed = true;
    // Whether nothing but functions without names stand there: an allocator may call them.
    let mut is_nobody = false;
    for address in books.sum.stacks.of(holder.stack) {
        let module = match address {
            CodeAddress::Executable(id, _) => file_name(processes, id),
            _ => String::new(),
        };
        let symbols = names.get(address);
        let nameless = symbols.is_empty().then(|| match names.start(address) {
            Some(start) => nameless(&module, start),
            None => "[no name]".to_owned(),
        });
        for name in symbols.iter().map(|symbol| symbol.name.to_string()).chain(nameless) {
            if passed || (is_nobody && allocates(&name)) {
                // Those before it only passed on.
                let before = named.stack.drain(..).next();
                named.through = named.through.or(before);
                named.module.clone_from(&module);
                passed = passes_on(&name, &module);
                is_nobody = !passed && is_nameless(&name);
            } else {
                is_nobody &= is_nameless(&name);
            }
            named.stack.push(name);
        }
        if named.stack.len() >= DEEPEST {
            break;
        }
    }
    if named.stack.is_empty() {
        named.stack.push("[no stack]".to_owned());
    }
    named.stack.truncate(DEEPEST);
    named
}

fn told(named: Named, holds: &Holds, growth: Option<Growth>) -> HeapHolder {
    let Named { stack, module, through } = named;
    let ages = holds.ages_ns().map(|(oldest_ns, median_ns)| HeapAges {
        oldest: Duration::from_nanos(oldest_ns),
        median: Duration::from_nanos(median_ns),
    });
    let (objects, bytes) = (holds.blocks.objects, holds.blocks.space);
    HeapHolder {
        stack,
        module,
        through,
        bytes: bytes.value,
        standard_error: bytes.standard_error(),
        objects: objects.value,
        ages,
        growth: growth.map(|growth| HeapGrowth {
            bytes: growth.bytes.value,
            standard_error: growth.bytes.standard_error(),
            over: Duration::from_nanos(growth.over_ns),
            rises: growth.rises,
            steps: growth.steps,
        }),
    }
}
