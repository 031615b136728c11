//! flame's own cost among the CPU samples: those that hit while the kernel served a trap of a heap
//! probe, or at the instruction after one, where a clock hits that fired in the trap. They count in a
//! sample type of their own and in no other.

use std::collections::HashSet;

use super::assemble::Frame;
use super::quality::{Quality, percent};
use super::values::Values;
use crate::aggregate::{Aggregate, Key};
use crate::process::CodeAddress;
use crate::profile::{SampleType, Unit};
use crate::symbolize::Names;

/// Kernel functions that run for probes of user code alone, and for the traps by which they are
/// hit: of x86-64, Linux 5.15 to 6.18.
const TRAPS: [&str; 10] = [
    "asm_exc_int3",
    "exc_int3",
    "asm_exc_debug",
    "exc_debug_user",
    "uprobe_notify_resume",
    "handle_swbp",
    "uprobe_handle_trampoline",
    "__x64_sys_uretprobe",
    "__do_sys_uretprobe",
    "__x64_sys_uprobe",
];

/// Moves these rows, which the probes cost, into a column of its own, if there are any.
pub(super) fn set_apart(
    cost: HashSet<Key>,
    values: &mut Values<'_>,
    frame: &mut Frame,
    quality: &mut Quality,
) {
    if cost.is_empty() {
        return;
    }
    let (mut samples, mut total) = (0, 0);
    for (_, row) in values.rows().filter(|(key, _)| cost.contains(key)) {
        samples += row[0] as u64;
        total += row[1];
    }
    let rows = values.rows().collect();
    let apart =
        Values::new(
            3,
            rows,
            |key, row| {
                if cost.contains(key) { [0, 0, row[1]] } else { [row[0], row[1], 0] }
            },
        );
    *values = apart;
    let shown = &frame.sample_types[frame.default];
    let own_type = SampleType::new(format!("flame_{}", shown.kind), shown.unit.name());
    let line = format!(
        "flame's own cost: {} ({} samples, {}) in the traps of its heap probes, in the sample type {} and the label cost=flame, and in no other number",
        own_type.unit.format(total),
        Unit::Count.format(samples as i64),
        percent(samples, quality.samples),
        own_type.kind,
    );
    frame.sample_types.push(own_type);
    frame.cost = cost;
    quality.samples = quality.samples.saturating_sub(samples);
    quality.notes.insert(0, line);
}

/// The keys whose samples hit in a trap, or where threads go on after one.
pub(super) fn keys(
    sum: &Aggregate,
    names: &Names,
    after_traps: &HashSet<CodeAddress>,
) -> HashSet<Key> {
    let mut in_trap: Vec<bool> = Vec::with_capacity(sum.stacks.frames().len());
    for (caller, address) in sum.stacks.frames() {
        let is_kernel = matches!(address, CodeAddress::Kernel(_));
        let called = || caller.is_some_and(|caller| in_trap[caller as usize]);
        let found =
            is_kernel && (called() || names.get(address).iter().any(|at| is_trap(&at.name)));
        in_trap.push(found);
    }
    let hit = |key: &&Key| {
        key.stack.is_some_and(|innermost| {
            in_trap[innermost as usize] || after_traps.contains(&sum.stacks.frame(innermost).1)
        })
    };
    sum.sums.keys().filter(hit).cloned().collect()
}

/// Whether a kernel function runs for probes alone. Compilers add to names behind a dot.
fn is_trap(name: &str) -> bool {
    let own = name.split('.').next().unwrap_or(name);
    TRAPS.contains(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_function_are_it_and_longer_names_are_not() {
        assert!(is_trap("handle_swbp") && is_trap("handle_swbp.part.0"));
        assert!(!is_trap("exc_page_fault") && !is_trap("exc_int3_other"));
    }
}
