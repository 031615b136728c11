//! The tables that lie in the kernel's maps: where, and which make room for others.
//!
//! A slice whose rows find no room takes the place of those that have been there longest; if they
//! are still needed, the next stack through their code brings them back. Room that is given up is
//! used again only later, since a walk on another CPU may still look at it.

use std::collections::{HashMap, HashSet, VecDeque};
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

/// A slice's rows in the kernel.
#[derive(Debug)]
struct Rows {
    first: u32,
    length: u32,
    /// The numbers of its rules, each once.
    rules: Vec<u16>,
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
    slices: HashMap<Slice, Rows>,
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

    /// Writes the rows of a slice whose object has text pages. Where there is no room now, some is
    /// made: `false` asks to try again later. The slices that made room are added to `evicted`.
    pub(super) fn place(
        &mut self,
        slice: Slice,
        table: &UnwindTable,
        kernel: &mut impl KernelTables,
        evicted: &mut Vec<Slice>,
    ) -> bool {
        let Some(Some(placed)) = self.of(slice.object) else { return true };
        let pages = placed.pages + slice.number * SLICE_PAGES;
        // Each page's rows lie in one value of the map.
        let length = |start| end_of_layout(start, table.pages()) - start;
        let Some(first) = self.rows.take_with(length) else {
            // What was given up already is enough until it can be used.
            if !self.given_up.iter().any(|(_, what)| matches!(what, GivenUp::Rows(_))) {
                self.evict(kernel, evicted);
            }
            return false;
        };
        let rules: Vec<u16> =
            table.rules().iter().map(|&rule| self.rules.take(rule, kernel)).collect();
        let mut next = first;
        let mut rows = Vec::with_capacity(CHUNK_ROWS);
        let mut written = Vec::with_capacity(table.pages().len());
        for page in table.pages() {
            let first = place_page(next, page.count);
            let own = &table.rows()[page.first as usize..][..page.count as usize];
            rows.clear();
            rows.extend(own.iter().map(|row| Row { rule: rules[usize::from(row.rule)], ..*row }));
            kernel.write_rows(first, &rows);
            written.push(TextPage { first, count: page.count });
            next = first + page.count;
        }
        kernel.write_pages(pages, &written);
        self.order.push_back(slice);
        self.slices.insert(slice, Rows { first, length: next - first, rules });
        true
    }

    fn evict(&mut self, kernel: &mut impl KernelTables, evicted: &mut Vec<Slice>) {
        let mut freed = 0;
        while freed < self.at_once.max(CHUNK_ROWS as u32)
            && let Some(slice) = self.order.pop_front()
        {
            let Some(rows) = self.slices.remove(&slice) else { continue };
            if let Some(Some(placed)) = self.of(slice.object) {
                let pages = placed.pages + slice.number * SLICE_PAGES;
                kernel.write_pages(pages, &[TextPage::NOT_YET; SLICE_PAGES as usize]);
            }
            freed += rows.length;
            self.given_up.push_back((Instant::now(), GivenUp::Rows(rows)));
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
        let rows = self.slices.extract_if(|slice, _| of_gone(slice));
        self.given_up.extend(rows.map(|(_, rows)| (now, GivenUp::Rows(rows))));
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
