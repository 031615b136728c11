//! A file's unwind table, made a slice of its code at a time: what is seen on stacks.

use std::collections::HashMap;

use flame_common::unwind::Rule;

use super::UnwindTable;
use super::compile::UnwindInformation;

/// The table of a file, as far as it was needed.
#[derive(Debug)]
pub(super) struct SlicedTable {
    information: UnwindInformation,
    slices: HashMap<u32, UnwindTable>,
}

impl SlicedTable {
    pub(super) fn new(information: UnwindInformation) -> Self {
        Self { information, slices: HashMap::new() }
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

    /// Lets go of a slice; it is compiled again when it is asked for.
    pub(super) fn drop_slice(&mut self, number: u32) {
        self.slices.remove(&number);
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
