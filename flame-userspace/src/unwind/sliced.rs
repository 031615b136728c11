//! A file's unwind table, made a slice of its code at a time: first what is seen on stacks, then
//! the rest.

use std::collections::HashMap;

use flame_common::unwind::Rule;

use super::UnwindTable;
use super::compile::{SLICE_PAGES, UnwindInformation};

/// The table of a file, as far as it was needed.
#[derive(Debug)]
pub(super) struct SlicedTable {
    information: UnwindInformation,
    slices: HashMap<u32, UnwindTable>,
    /// All slices before this one have been compiled.
    next: u32,
}

impl SlicedTable {
    pub(super) fn new(information: UnwindInformation) -> Self {
        Self { information, slices: HashMap::new(), next: 0 }
    }

    /// What it is made from.
    pub(super) fn information(&self) -> &UnwindInformation {
        &self.information
    }

    /// The rule of an address, and the number of its slice if that was compiled for it.
    pub(super) fn rule(&mut self, address: u64) -> (Rule, Option<u32>) {
        let Some(number) = self.information.slice_of(address) else {
            return (Rule::GAP, None);
        };
        let mut fresh = None;
        let slice = self.slices.entry(number).or_insert_with(|| {
            fresh = Some(number);
            self.information.compile(number)
        });
        (slice.rule(address), fresh)
    }

    /// Compiles the next slice that nobody has asked for; `None` when all are there.
    pub(super) fn advance(&mut self) -> Option<u32> {
        let count = self.extent().1 / SLICE_PAGES;
        while self.next < count && self.slices.contains_key(&self.next) {
            self.next += 1;
        }
        let number = self.next;
        if number == count {
            return None;
        }
        self.slices.insert(number, self.information.compile(number));
        Some(number)
    }

    /// The address at which the first text page begins, and the number of pages: whole slices.
    pub(super) fn extent(&self) -> (u64, u32) {
        self.information.extent()
    }

    /// A slice that was compiled.
    pub(super) fn slice(&self, number: u32) -> Option<&UnwindTable> {
        self.slices.get(&number)
    }
}
