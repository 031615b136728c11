//! Growth in a heap profile: two more sample types, and what they mean.

use std::collections::HashMap;

use super::growth::ClosedGrowth;
use crate::aggregate::{Aggregate, Key, Stack, Stacks};
use crate::heap::{ClosedLedger, Estimate, HeapRow};
use crate::process::{CodeAddress, ExecutableId, ProcessTable};
use crate::profile::{STATED, SampleType, Unit};

/// What grew in a part of a session.
pub(super) struct Grown {
    /// By the stacks of the heap's own sum. What was allocated is what was touched, and what is in
    /// use is what is there.
    pub(super) rows: HashMap<Key, HeapRow>,
    total: HeapRow,
    held_at_exit: Estimate,
    intervals: (u64, u64),
}

impl Grown {
    /// Puts the stacks into a sum that is there.
    pub(super) fn new(closed: ClosedGrowth, sum: &mut Aggregate, processes: &ProcessTable) -> Self {
        let ClosedGrowth { mut books, intervals } = closed;
        begin_with_callers(&mut books, processes);
        let place = sum.absorb(books.sum);
        let own = |key: Key| Key { stack: place(key.stack), ..key };
        Self {
            rows: books.rows.into_iter().map(|(key, row)| (own(key), row)).collect(),
            total: books.total,
            held_at_exit: books.held_at_exit.space,
            intervals,
        }
    }

    /// The columns.
    pub(super) fn sample_types() -> [SampleType; 2] {
        ["growth_space", "resident_space"].map(|kind| SampleType::new(kind, "bytes"))
    }

    /// A row's estimates, in the order of the columns.
    pub(super) fn columns(row: &HeapRow) -> [Estimate; 2] {
        [row.allocated.space, row.in_use.space]
    }

    /// What the numbers are, as lines for the profile's comments.
    pub(super) fn comments(&self) -> Vec<String> {
        let (least, most) = self.intervals;
        let mut lines = vec![
            "growth_space: anonymous memory first touched since the start (pages got from the kernel), by the stack that touched it, whether an allocator was called or not; what was given back since is not taken off. A leak whose blocks others freed before shows at those others, who then touch new memory in their place".to_owned(),
            "resident_space: what of growth_space the processes have at the end, or had at their exit; memory that a program freed and its allocator keeps is in it".to_owned(),
            format!(
                "growth: pages sampled by {least} to {most} bytes; {STATED}growth_space {:.1} %, resident_space {:.1} %",
                self.total.allocated.space.relative_error() * 100.0,
                self.total.in_use.space.relative_error() * 100.0,
            ),
        ];
        if self.held_at_exit.value > 0.0 {
            let held = Unit::Bytes.format(self.held_at_exit.rounded());
            lines.push(format!("resident_space, of processes at their exit: {held}"));
        }
        lines
    }
}

/// Files whose frames are left out where they are a stack's innermost, as those of allocators are
/// in the stacks of allocations: how an allocator came to touch a page tells nothing.
const LIBRARIES: [&str; 6] =
    ["libc.so", "libc-2.", "ld-musl-", "libjemalloc", "libtcmalloc", "libmimalloc"];

/// Has each stack begin with what called the C library or the allocator.
fn begin_with_callers(books: &mut ClosedLedger, processes: &ProcessTable) {
    let ClosedLedger { sum, rows, .. } = books;
    let mut known: HashMap<ExecutableId, bool> = HashMap::new();
    let mut is_library = |address| match address {
        CodeAddress::Executable(id, _) => *known.entry(id).or_insert_with(|| {
            let name = processes.executable(id).path.file_name().unwrap_or_default();
            LIBRARIES.iter().any(|library| name.to_string_lossy().starts_with(library))
        }),
        _ => false,
    };
    let mut shorten =
        |key: Key| Key { stack: caller(&sum.stacks, key.stack, &mut is_library), ..key };
    for (key, row) in std::mem::take(rows) {
        let sum = rows.entry(shorten(key)).or_default();
        sum.allocated += row.allocated;
        sum.in_use += row.in_use;
    }
    for (key, (count, value)) in std::mem::take(&mut sum.sums) {
        let (counts, values) = sum.sums.entry(shorten(key)).or_default();
        *counts += count;
        *values += value;
    }
}

/// The stack without its innermost frames of libraries; as it is if there are no others.
fn caller(
    stacks: &Stacks,
    stack: Stack,
    is_library: &mut impl FnMut(CodeAddress) -> bool,
) -> Stack {
    let mut at = stack;
    while let Some(frame) = at {
        let (caller, address) = stacks.frame(frame);
        if !is_library(address) {
            return at;
        }
        at = caller;
    }
    stack
}
