//! An unwind table of a piece of code, by text pages.

use std::hash::{Hash as _, Hasher};

use flame_common::limits::{CHUNK_ROWS, TEXT_PAGE_BITS};
use flame_common::mapping::TextPage;
use flame_common::unwind::search::last_at_most;
use flame_common::unwind::{Row, Rule};
use foldhash::HashMap;

/// The rules of some code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct UnwindTable {
    /// The number of the first text page: its address over the page's size.
    first_page: u64,
    /// The pages from the first on, their rows by index into `rows`.
    pages: Vec<TextPage>,
    rows: Vec<Row>,
    /// The rules by the number that the rows know them by.
    rules: Vec<Rule>,
}

impl UnwindTable {
    /// The rule of an address.
    pub(crate) fn rule(&self, address: u64) -> Rule {
        let page = (address >> TEXT_PAGE_BITS).checked_sub(self.first_page);
        let page = page.and_then(|page| self.pages.get(usize::try_from(page).ok()?));
        let Some(page) = page.filter(|page| page.count > 0) else {
            return Rule::GAP;
        };
        let low = (address & ((1 << TEXT_PAGE_BITS) - 1)) as u16;
        let row = |at: u32| self.rows.get((page.first + at) as usize);
        let found =
            last_at_most::<TEXT_PAGE_BITS, u16>(page.count, low, |at| row(at).map(|r| r.pc_low));
        let rule = found.and_then(row).and_then(|row| self.rules.get(usize::from(row.rule)));
        rule.copied().unwrap_or(Rule::GAP)
    }

    /// The text pages, their rows by index into [`rows`](Self::rows).
    pub(crate) fn pages(&self) -> &[TextPage] {
        &self.pages
    }

    /// All rows.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rules by number.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    #[cfg(test)]
    pub(crate) fn of_rules(first_page: u64, pages: &[&[(u16, Rule)]]) -> Self {
        let mut builder = Builder::new();
        for (page, rows) in pages.iter().enumerate() {
            for &(low, rule) in *rows {
                let at = ((first_page + page as u64) << TEXT_PAGE_BITS) + u64::from(low);
                let number = builder.number(rule);
                builder.push(at, number);
            }
        }
        builder.finish(first_page, pages.len() as u32)
    }
}

/// Makes a table from rows in the order of their addresses.
#[derive(Debug)]
pub(super) struct Builder {
    rows: Vec<(u64, u16)>,
    rules: Vec<Rule>,
    numbers: HashMap<Rule, u16>,
    /// Rules that were asked for, and their numbers, each in the place that its word gives: nearly
    /// all rows have one of a few.
    recent: [(Rule, u16); 1 << RECENT_BITS],
}

/// As a power of two, how many rules are at hand without a look into the dictionary.
const RECENT_BITS: u32 = 5;

/// Finishes with the word that it was given.
#[derive(Default)]
struct Word(u64);

impl Hasher for Word {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The place of a rule among the recent, by multiplication with 2^64 over the golden ratio.
fn place_of(rule: Rule) -> usize {
    let mut word = Word::default();
    rule.hash(&mut word);
    (word.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - RECENT_BITS)) as usize
}

impl Builder {
    /// The number of the rule for code that no table speaks of.
    pub(super) const GAP: u16 = 0;

    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            rules: vec![Rule::GAP, Rule::EXPRESSION],
            numbers: HashMap::from_iter([(Rule::GAP, Self::GAP), (Rule::EXPRESSION, 1)]),
            recent: [(Rule::GAP, Self::GAP); 1 << RECENT_BITS],
        }
    }

    /// The number of a rule. Where there are too many, the rules beyond have to be computed.
    pub(super) fn number(&mut self, rule: Rule) -> u16 {
        let (known, number) = &mut self.recent[place_of(rule)];
        if *known != rule {
            (*known, *number) = (rule, Self::look_up(&mut self.rules, &mut self.numbers, rule));
        }
        *number
    }

    fn look_up(rules: &mut Vec<Rule>, numbers: &mut HashMap<Rule, u16>, rule: Rule) -> u16 {
        if let Some(&number) = numbers.get(&rule) {
            return number;
        }
        let Ok(number) = u16::try_from(rules.len()) else {
            return 1;
        };
        rules.push(rule);
        numbers.insert(rule, number);
        number
    }

    /// From `address` on the rule holds. Rows that say nothing further are left out.
    pub(super) fn push(&mut self, address: u64, number: u16) {
        if self.rows.last().is_some_and(|&(last, _)| last == address) {
            self.rows.pop();
        }
        if self.rows.last().map_or(Self::GAP, |&(_, before)| before) != number {
            self.rows.push((address, number));
        }
    }

    /// The table of `count` text pages from `first_page` on; rows outside are left out.
    pub(super) fn finish(self, first_page: u64, count: u32) -> UnwindTable {
        let page_of = |address: u64| address >> TEXT_PAGE_BITS;
        let before = self.rows.partition_point(|(address, _)| page_of(*address) < first_page);
        let mut holds = before.checked_sub(1).map_or(Self::GAP, |last| self.rows[last].1);
        let mut pages = Vec::new();
        let mut rows: Vec<Row> = Vec::with_capacity(self.rows.len() + count as usize);
        let mut waiting = self.rows[before..].iter().copied().peekable();
        for page in first_page..first_page + u64::from(count) {
            let first = rows.len();
            rows.push(Row { pc_low: 0, rule: holds });
            while let Some((address, number)) = waiting.next_if(|(at, _)| page_of(*at) == page) {
                let pc_low = (address & ((1 << TEXT_PAGE_BITS) - 1)) as u16;
                if pc_low == 0 {
                    rows.pop();
                }
                rows.push(Row { pc_low, rule: number });
                holds = number;
            }
            let count = rows.len() - first;
            if count == 1 && rows[first].rule == Self::GAP {
                rows.pop();
                pages.push(TextPage::default());
            } else {
                pages.push(TextPage { first: first as u32, count: count as u32 });
            }
        }
        debug_assert!(pages.iter().all(|page| page.count as usize <= CHUNK_ROWS));
        UnwindTable { first_page, pages, rows, rules: self.rules }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_from_its_row_to_the_next_across_pages() {
        let table = UnwindTable::of_rules(
            5,
            &[&[(0x10, Rule::ROOT)], &[], &[(0x20, Rule::GAP), (0x30, Rule::SIGNAL)]],
        );
        for (address, rule) in [
            (0x4fff, Rule::GAP),
            (0x5000, Rule::GAP),
            (0x500f, Rule::GAP),
            (0x5010, Rule::ROOT),
            (0x5fff, Rule::ROOT),
            (0x6000, Rule::ROOT),
            (0x701f, Rule::ROOT),
            (0x7020, Rule::GAP),
            (0x7030, Rule::SIGNAL),
            (0x7fff, Rule::SIGNAL),
            (0x8000, Rule::GAP),
            (u64::MAX, Rule::GAP),
        ] {
            assert_eq!(table.rule(address), rule, "{address:#x}");
        }
    }

    #[test]
    fn rows_that_say_nothing_further_are_left_out() {
        let table = UnwindTable::of_rules(1, &[&[(0, Rule::ROOT), (8, Rule::ROOT)]]);
        assert_eq!(table.rows().len(), 1);
    }

    #[test]
    fn what_lies_outside_is_left_out_and_what_came_before_holds_on() {
        let mut builder = Builder::new();
        let (root, signal) = (builder.number(Rule::ROOT), builder.number(Rule::SIGNAL));
        builder.push(0x1800, root);
        builder.push(0x2400, signal);
        builder.push(0x9000, Builder::GAP);
        let table = builder.finish(2, 1);
        assert_eq!(table.rule(0x2000), Rule::ROOT);
        assert_eq!(table.rule(0x2400), Rule::SIGNAL);
        assert_eq!((table.rule(0x1800), table.rule(0x3000)), (Rule::GAP, Rule::GAP));
    }
}
