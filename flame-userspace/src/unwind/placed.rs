//! The tables that lie in the kernel's maps: where, and which make room for others.
//!
//! Slices of the same content share their rows: copies of a file, as container images have them, take
//! up no more than one. What counts is the content, and not what files say of themselves.
//!
//! A slice whose rows find no room takes the place of those that have been there longest; if they
//! are still needed, the next stack through their code brings them back. Room that is given up is
//! used again only later, since a walk on another CPU may still look at it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_common::limits::CHUNK_ROWS;
use flame_common::mapping::TextPage;
use flame_common::unwind::Row;

use super::compile::SLICE_PAGES;
use super::extents::Extents;
use super::rules::RuleNumbers;
use super::{KernelTables, Object, Slice, UnwindTable};

/// How long the kernel programs may still look at what was replaced: a child that they gave its
/// parent's run does until its own is told.
pub(super) const STILL_SEEN: Duration = Duration::from_millis(500);

/// The part of all rows that makes room at one time, so that it need not be done for each slice.
const EVICTED_AT_ONCE: u32 = 16;

/// A table in the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Index of the first text page.
    pub(super) pages: u32,
    /// The address at which the table's first page begins, and the number of pages.
    pub(super) extent: (u64, u32),
}

/// Rows in the kernel.
#[derive(Debug)]
struct Rows {
    first: u32,
    length: u32,
    /// The numbers of their rules, each once.
    rules: Vec<u16>,
    /// The text pages that lead to them.
    pages: Vec<TextPage>,
    /// How many slices have these.
    slices: u32,
}

/// Room that is given up.
#[derive(Debug)]
enum GivenUp {
    Rows(Rows),
    Pages { first: u32, count: u32 },
}

/// All tables in the kernel.
#[derive(Debug)]
pub(super) struct PlacedTables {
    rows: Extents,
    /// Of all rows, those of one eviction.
    at_once: u32,
    pages: Extents,
    rules: RuleNumbers,
    /// `None` for code that has no table, or found no room.
    objects: HashMap<Object, Option<Placed>>,
    slices: HashMap<Slice, Arc<UnwindTable>>,
    /// The rows of each content that a slice has.
    contents: foldhash::HashMap<Arc<UnwindTable>, Rows>,
    /// The slices by age, and some that are not there any more.
    order: VecDeque<Slice>,
    given_up: VecDeque<(Instant, GivenUp)>,
}

impl PlacedTables {
    pub(super) fn new(kernel: &impl KernelTables) -> Self {
        let (rows, pages) = kernel.room();
        Self {
            rows: Extents::new(0, rows),
            at_once: rows / EVICTED_AT_ONCE,
            pages: Extents::new(0, pages),
            rules: RuleNumbers::new(),
            objects: HashMap::new(),
            slices: HashMap::new(),
            contents: foldhash::HashMap::default(),
            order: VecDeque::new(),
            given_up: VecDeque::new(),
        }
    }

    /// Where the table of an object is; `None` if it has not been begun, `Some(None)` if there is
    /// none.
    #[expect(clippy::option_option, reason = "not begun and without a table are not the same")]
    pub(super) fn of(&self, object: Object) -> Option<Option<Placed>> {
        self.objects.get(&object).copied()
    }

    /// Gives an object's table its text pages, which have no rows yet; whether there was room.
    pub(super) fn begin(
        &mut self,
        object: Object,
        extent: Option<(u64, u32)>,
        kernel: &mut impl KernelTables,
    ) -> bool {
        let placed =
            extent.and_then(|extent| Some(Placed { pages: self.pages.take(extent.1)?, extent }));
        if let Some(Placed { pages, extent: (_, count) }) = placed {
            kernel.write_pages(pages, &vec![TextPage::NOT_YET; count as usize]);
        }
        self.objects.insert(object, placed);
        placed.is_some() || extent.is_none()
    }

    /// Puts in a slice whose object has text pages. Where there is no room for its rows now, some is
    /// made: `false` asks to try again later. The slices that made room are added to `evicted`.
    pub(super) fn place(
        &mut self,
        slice: Slice,
        table: &Arc<UnwindTable>,
        kernel: &mut impl KernelTables,
        evicted: &mut Vec<Slice>,
    ) -> bool {
        let Some(Some(placed)) = self.of(slice.object) else { return true };
        if !self.contents.contains_key(table) {
            let Some(rows) = self.write_rows(table, kernel) else {
                // What was given up already is enough until it can be used.
                if !self.given_up.iter().any(|(_, what)| matches!(what, GivenUp::Rows(_))) {
                    self.evict(kernel, evicted);
                }
                return false;
            };
            self.contents.insert(Arc::clone(table), rows);
        }
        let Some(rows) = self.contents.get_mut(table) else { return false };
        rows.slices += 1;
        kernel.write_pages(placed.pages + slice.number * SLICE_PAGES, &rows.pages);
        self.order.push_back(slice);
        self.slices.insert(slice, Arc::clone(table));
        true
    }

    /// Writes rows that no slice has yet; `None` without room.
    fn write_rows(&mut self, table: &UnwindTable, kernel: &mut impl KernelTables) -> Option<Rows> {
        // Each page's rows lie in one value of the map.
        let length = |start| end_of_layout(start, table.pages()) - start;
        let first = self.rows.take_with(length)?;
        let rules: Vec<u16> =
            table.rules().iter().map(|&rule| self.rules.take(rule, kernel)).collect();
        let mut next = first;
        let mut rows = Vec::with_capacity(CHUNK_ROWS);
        let mut pages = Vec::with_capacity(table.pages().len());
        for page in table.pages() {
            let first = place_page(next, page.count);
            let own = &table.rows()[page.first as usize..][..page.count as usize];
            rows.clear();
            rows.extend(own.iter().map(|row| Row { rule: rules[usize::from(row.rule)], ..*row }));
            kernel.write_rows(first, &rows);
            pages.push(TextPage { first, count: page.count });
            next = first + page.count;
        }
        Some(Rows { first, length: next - first, rules, pages, slices: 0 })
    }

    /// A slice does without its rows; they are given up with their last. The number of them.
    fn release(&mut self, table: &Arc<UnwindTable>) -> u32 {
        let Some(rows) = self.contents.get_mut(table) else { return 0 };
        rows.slices -= 1;
        if rows.slices > 0 {
            return 0;
        }
        let Some(rows) = self.contents.remove(table) else { return 0 };
        let length = rows.length;
        self.given_up.push_back((Instant::now(), GivenUp::Rows(rows)));
        length
    }

    fn evict(&mut self, kernel: &mut impl KernelTables, evicted: &mut Vec<Slice>) {
        let mut freed = 0;
        while freed < self.at_once.max(CHUNK_ROWS as u32)
            && let Some(slice) = self.order.pop_front()
        {
            let Some(table) = self.slices.remove(&slice) else { continue };
            if let Some(Some(placed)) = self.of(slice.object) {
                let pages = placed.pages + slice.number * SLICE_PAGES;
                kernel.write_pages(pages, &[TextPage::NOT_YET; SLICE_PAGES as usize]);
            }
            freed += self.release(&table);
            evicted.push(slice);
        }
    }

    /// Gives up the tables of all objects but those in use; those that went.
    pub(super) fn keep(&mut self, used: &HashSet<Object>) -> Vec<Object> {
        let gone: Vec<Object> =
            self.objects.keys().copied().filter(|object| !used.contains(object)).collect();
        if gone.is_empty() {
            return gone;
        }
        let now = Instant::now();
        for object in &gone {
            if let Some(Some(placed)) = self.objects.remove(object) {
                let (first, count) = (placed.pages, placed.extent.1);
                self.given_up.push_back((now, GivenUp::Pages { first, count }));
            }
        }
        let of_gone = |slice: &Slice| !used.contains(&slice.object);
        let tables: Vec<_> = self.slices.extract_if(|slice, _| of_gone(slice)).collect();
        for (_, table) in tables {
            self.release(&table);
        }
        self.order.retain(|slice| !of_gone(slice));
        gone
    }

    /// Makes what was given up long enough ago free room.
    pub(super) fn reclaim(&mut self, now: Instant) {
        while let Some((_, what)) =
            self.given_up.pop_front_if(|(since, _)| now.duration_since(*since) >= STILL_SEEN)
        {
            match what {
                GivenUp::Pages { first, count } => self.pages.give_back(first, count),
                GivenUp::Rows(rows) => {
                    self.rows.give_back(rows.first, rows.length);
                    rows.rules.into_iter().for_each(|number| self.rules.give_back(number));
                }
            }
        }
    }
}

/// Where the rows of a page go that would begin at `next`: into one value of the map.
fn place_page(next: u32, count: u32) -> u32 {
    let chunk = CHUNK_ROWS as u32;
    if next % chunk + count > chunk { next.next_multiple_of(chunk) } else { next }
}

/// Where the rows of all pages end that begin at `start`.
fn end_of_layout(start: u32, pages: &[TextPage]) -> u32 {
    pages.iter().fold(start, |next, page| place_page(next, page.count).saturating_add(page.count))
}

#[cfg(test)]
#[path = "placed_tests.rs"]
mod tests;
