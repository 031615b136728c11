//! The rule of a code address: from the CPU's own memory of rules, else through the process's
//! mappings, the text page and its rows.

use flame_common::limits::{CHUNK_ROWS, PROCESS_MAPPINGS, REMEMBERED_RULES, TEXT_PAGE_BITS};
use flame_common::mapping::{MappedRange, NO_TABLE_EVER, ProcessRun, TextPage};
use flame_common::sample::StackEnd;
use flame_common::unwind::Rule;
use flame_common::unwind::search::last_at_most;

use crate::maps::{PAGES, RANGES, ROWS, RULES};

/// A CPU's rules by address. An entry holds as long as its process's mappings are the same.
#[repr(C)]
pub(crate) struct RememberedRules([Remembered; REMEMBERED_RULES]);

#[derive(Clone, Copy)]
#[repr(C)]
struct Remembered {
    address: u64,
    /// The generation of the process's mappings, which no other process ever has.
    generation: u64,
    rule: Rule,
}

const MAPPING_STEPS: u32 = PROCESS_MAPPINGS.ilog2();
const ROW_STEPS: u32 = TEXT_PAGE_BITS;

/// Finds the rule of an address. `range` is the mapping that the walk was in last.
#[inline(always)]
pub(super) fn rule_of(
    address: u64,
    run: ProcessRun,
    range: &mut MappedRange,
    remembered: &mut RememberedRules,
) -> Result<Rule, StackEnd> {
    // Fibonacci hashing: the upper bits of the product depend on all of the address.
    let slot = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    // verifier: the mask bounds the index.
    let Some(slot) = remembered.0.get_mut(slot & (REMEMBERED_RULES - 1)) else {
        return Err(StackEnd::NoTable);
    };
    let generation = u64::from(run.generation);
    if slot.address == address && slot.generation == generation {
        return Ok(slot.rule);
    }
    if run.count == 0 {
        return Err(StackEnd::NoTable);
    }
    if !range.holds(address) {
        *range = mapping_of(address, run).ok_or(StackEnd::Unmapped)?;
    }
    let rule = find(address, range)?;
    *slot = Remembered { address, generation, rule };
    Ok(rule)
}

/// The mapping that an address lies in.
#[inline(always)]
fn mapping_of(address: u64, run: ProcessRun) -> Option<MappedRange> {
    let start = |at: u32| RANGES.get(run.first.wrapping_add(at)).map(|range| range.start);
    let at = last_at_most::<MAPPING_STEPS, u64>(run.count, address, start)?;
    let range = *RANGES.get(run.first.wrapping_add(at))?;
    range.holds(address).then_some(range)
}

#[inline(always)]
fn find(address: u64, range: &MappedRange) -> Result<Rule, StackEnd> {
    if range.count == 0 {
        return if range.pages == NO_TABLE_EVER { Ok(Rule::GAP) } else { Err(StackEnd::NoTable) };
    }
    let (page, low) = range.page(address);
    if page >= u64::from(range.count) {
        return Ok(Rule::GAP);
    }
    let page = PAGES.get(range.pages.wrapping_add(page as u32)).ok_or(StackEnd::NoTable)?;
    let (first, count) = (page.first, page.count);
    if count == 0 {
        let not_yet = first == TextPage::NOT_YET.first;
        return if not_yet { Err(StackEnd::NoTable) } else { Ok(Rule::GAP) };
    }
    let rows = ROWS.get(first / CHUNK_ROWS as u32).ok_or(StackEnd::NoTable)?;
    // verifier: the mask bounds the index.
    let row = |at: u32| rows.get(first.wrapping_add(at) as usize & (CHUNK_ROWS - 1));
    let rule = last_at_most::<ROW_STEPS, u16>(count, low, |at| row(at).map(|row| row.pc_low))
        .and_then(row)
        .and_then(|row| RULES.get(u32::from(row.rule)));
    rule.copied().ok_or(StackEnd::NoTable)
}
