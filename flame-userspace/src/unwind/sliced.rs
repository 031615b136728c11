//! A file's unwind table, made a slice of its code at a time: what is seen on stacks more than now
//! and then.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use flame_common::unwind::Rule;

use super::UnwindTable;
use super::compile::{SLICE_PAGES, UnwindInformation};

/// A small file has at most so many slices: 128 KiB of code.
const SMALL: u32 = 8;
/// A slice is compiled for so many walks that come through: it takes as long as some rules by
/// themselves, and half of what runs in a large program is seen once. Where samples are taken often
/// it is compiled for the first, with those around it: else each of those walks has the target's
/// stack copied once more, and most slices are seen again soon, as are their neighbours.
const WALKS: u32 = 4;
const OFTEN_HZ: u32 = 400;
const TOGETHER: u32 = 16;
/// The most functions of a Go program's runtime that are looked for at once: it has some thousand;
/// and the most slices that they lie in.
const RUNTIME: usize = 16_384;
pub(super) const RUNTIME_SLICES: usize = 512;

/// The table of a file, as far as it was needed.
#[derive(Debug)]
pub(super) struct SlicedTable {
    information: UnwindInformation,
    slices: HashMap<u32, Arc<UnwindTable>>,
    /// Slices that were asked for.
    asked: HashMap<u32, Asked>,
    /// Whether samples are taken often.
    is_often: bool,
}

/// The walk that asks for a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// Its number.
    pub(super) walk: u64,
    /// Whether the kernel is to have the slice at once: outer frames of the walk are lost without.
    pub(super) is_urgent: bool,
}

/// Who asked for a slice.
#[derive(Debug, Default)]
struct Asked {
    /// How many walks did.
    walks: u32,
    /// The last of them.
    last: u64,
}

impl SlicedTable {
    /// For so many samples a second.
    pub(super) fn new(information: UnwindInformation, hz: u32) -> Self {
        let (slices, asked) = (HashMap::new(), HashMap::new());
        Self { information, slices, asked, is_often: hz >= OFTEN_HZ }
    }

    /// Compiles what is soon needed, which takes a few milliseconds and spares the kernel to ask
    /// for each slice: all of a small file, whose code is soon run all over, and a Go program's
    /// runtime, which works on stacks of its own: a copy of one of those does not hold the
    /// goroutine's that the walk leads to. The numbers of the slices.
    pub(super) fn compile_first(&mut self) -> Vec<u32> {
        let count = self.extent().1 / SLICE_PAGES;
        let wanted: BTreeSet<u32> = if count <= SMALL {
            (0..count).collect()
        } else {
            let mut wanted = BTreeSet::new();
            for number in self.information.go_runtime().take(RUNTIME) {
                if wanted.len() == RUNTIME_SLICES {
                    break;
                }
                wanted.insert(number);
            }
            wanted
        };
        let compiled = |&number| (number, Arc::new(self.information.compile(number)));
        self.slices = wanted.iter().map(compiled).collect();
        wanted.into_iter().collect()
    }

    /// What it is made from.
    pub(super) fn information(&self) -> &UnwindInformation {
        &self.information
    }

    /// The rule of an address that a walk comes to; the numbers of the slices that were compiled for
    /// it are added to `fresh`.
    pub(super) fn rule(&mut self, address: u64, asking: Asking, fresh: &mut Vec<u32>) -> Rule {
        let Some(number) = self.information.slice_of(address) else {
            return Rule::GAP;
        };
        if let Some(slice) = self.slices.get(&number) {
            return slice.rule(address);
        }
        if !self.is_often
            && !asking.is_urgent
            && self.note(number, asking.walk) < WALKS
            && let Some(rule) = self.information.rule(address)
        {
            return rule;
        }
        for number in self.around(number) {
            if let Entry::Vacant(place) = self.slices.entry(number) {
                place.insert(Arc::new(self.information.compile(number)));
                fresh.push(number);
            }
        }
        self.slices.get(&number).map_or(Rule::GAP, |slice| slice.rule(address))
    }

    /// Notes that a walk came through a slice; how many have.
    fn note(&mut self, number: u32, walk: u64) -> u32 {
        let asked = self.asked.entry(number).or_default();
        if asked.last != walk {
            *asked = Asked { walks: asked.walks + 1, last: walk };
        }
        asked.walks
    }

    /// What is compiled where a slice is needed.
    fn around(&self, number: u32) -> Range<u32> {
        if !self.is_often {
            return number..number + 1;
        }
        let first = number - number % TOGETHER;
        first..(first + TOGETHER).min(self.extent().1 / SLICE_PAGES)
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
    pub(super) fn slice(&self, number: u32) -> Option<&Arc<UnwindTable>> {
        self.slices.get(&number)
    }
}
