//! The rule of a code address: from the CPU's own memory of rules, else through the process's
//! mappings, the text page and its rows.

use core::hint::cold_path;

use flame_common::limits::{CHUNK_ROWS, PROCESS_MAPPINGS, REMEMBERED_RULES, TEXT_PAGE_BITS};
use flame_common::mapping::{MappedRange, NO_TABLE_EVER, ProcessRun, TextPage};
use flame_common::sample::StackEnd;
use flame_common::unwind::Rule;
use flame_common::unwind::search::last_at_most;

use crate::config::config;
use crate::maps::{PAGES, RANGES, ROWS, RULES};

/// A CPU's rules by address. An entry holds as long as its process's mappings are the same.
// Aligned, so that they lie in as few pages as can be.
#[repr(C, align(4096))]
pub(crate) struct RememberedRules([Remembered; REMEMBERED_RULES]);

/// ```text
/// bits 16-63  of the address and of the generation of the process's mappings, which no other process
///             ever has
/// bits 0-15   the rule's number, of one that is told whole: the dictionary may change
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Remembered(u64);

/// Where a rule is remembered, and as what.
#[derive(Clone, Copy)]
struct Mark(u64);

impl Mark {
    /// Multiplicative hashing: that of two places agrees in the 58 bits that are used once in 2^57 of
    /// all keys, and nobody can choose places for which it does, since the keys are secret.
    #[inline(always)]
    fn of(address: u64, generation: u32) -> Self {
        let place =
            address.wrapping_add(u64::from(generation).wrapping_mul(config!(remember_by)[0]));
        Self(place.wrapping_mul(config!(remember_by)[1]))
    }

    #[inline(always)]
    fn index(self) -> usize {
        (self.0 >> (u64::BITS - REMEMBERED_RULES.ilog2())) as usize
    }

    #[inline(always)]
    fn remember(self, number: u16) -> Remembered {
        Remembered(self.0 << REMEMBERED_RULES.ilog2() & !0xffff | u64::from(number))
    }

    /// The rule's number, if it is remembered here.
    #[inline(always)]
    fn recall(self, remembered: Remembered) -> Option<u16> {
        let number = remembered.0 as u16;
        let is_here = self.remember(number).0 == remembered.0 && Rule::is_whole(number);
        if is_here { Some(number) } else { None }
    }
}

const MAPPING_STEPS: u32 = PROCESS_MAPPINGS.ilog2();
const ROW_STEPS: u32 = TEXT_PAGE_BITS;

/// What a walk leaves to the next.
#[repr(C)]
pub(super) struct Trail {
    /// The mapping that was looked up last, and the generation of the mappings that it is of.
    range: MappedRange,
    generation: u64,
}

impl Trail {
    /// Begins a walk through a process.
    #[inline(always)]
    pub(super) fn begin(&mut self, run: ProcessRun) {
        let generation = u64::from(run.generation);
        if self.generation != generation {
            (self.range, self.generation) = (MappedRange::default(), generation);
        }
    }

    /// Whether the code that was looked up last has no table yet at all.
    #[inline(always)]
    pub(super) fn is_without_table(&self) -> bool {
        self.range.count == 0
    }
}

/// Finds the number of an address's rule.
#[inline(always)]
pub(super) fn number_of(
    address: u64,
    run: ProcessRun,
    trail: &mut Trail,
    remembered: &mut RememberedRules,
) -> Result<u16, StackEnd> {
    let mark = Mark::of(address, run.generation);
    // verifier: the mask bounds the index.
    let Some(entry) = remembered.0.get_mut(mark.index() & (REMEMBERED_RULES - 1)) else {
        return Err(StackEnd::NoTable);
    };
    if let Some(number) = mark.recall(*entry) {
        return Ok(number);
    }
    cold_path();
    if run.count == 0 {
        return Err(StackEnd::NoTable);
    }
    if !trail.range.holds(address) {
        trail.range = mapping_of(address, run).ok_or(StackEnd::Unmapped)?;
    }
    let number = find(address, &trail.range)?;
    *entry = mark.remember(number);
    Ok(number)
}

/// The rule of a number.
#[inline(always)]
pub(super) fn rule_of(number: u16) -> Result<Rule, StackEnd> {
    let rule = Rule::of_number(number);
    rule.or_else(|| RULES.get(u32::from(number)).copied()).ok_or(StackEnd::NoTable)
}

/// The mapping that an address lies in.
#[inline(always)]
fn mapping_of(address: u64, run: ProcessRun) -> Option<MappedRange> {
    let start = |at: u32| RANGES.get(run.first.wrapping_add(at)).map(|range| range.start);
    let at = last_at_most::<MAPPING_STEPS, u64>(run.count, address, start)?;
    let range = *RANGES.get(run.first.wrapping_add(at))?;
    range.holds(address).then_some(range)
}

/// The number of the rule of an address in a mapping.
#[inline(always)]
fn find(address: u64, range: &MappedRange) -> Result<u16, StackEnd> {
    if range.count == 0 {
        return if range.pages == NO_TABLE_EVER {
            Ok(Rule::GAP_NUMBER)
        } else {
            Err(StackEnd::NoTable)
        };
    }
    let (page, low) = range.page(address);
    if page >= u64::from(range.count) {
        return Ok(Rule::GAP_NUMBER);
    }
    let page = PAGES.get(range.pages.wrapping_add(page as u32)).ok_or(StackEnd::NoTable)?;
    let (first, count) = (page.first, page.count);
    if count == 0 {
        let not_yet = first == TextPage::NOT_YET.first;
        return if not_yet { Err(StackEnd::NoTable) } else { Ok(Rule::GAP_NUMBER) };
    }
    let rows = ROWS.get(first / CHUNK_ROWS as u32).ok_or(StackEnd::NoTable)?;
    // verifier: the mask bounds the index.
    let row = |at: u32| rows.get(first.wrapping_add(at) as usize & (CHUNK_ROWS - 1));
    last_at_most::<ROW_STEPS, u16>(count, low, |at| row(at).map(|row| row.pc_low))
        .and_then(row)
        .map_or(Err(StackEnd::NoTable), |row| Ok(row.rule))
}
