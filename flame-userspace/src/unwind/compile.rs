//! From unwind information to a table. Any bytes give a table or none.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use flame_common::limits::TEXT_PAGE_BITS;
use flame_common::unwind::Rule;
use gimli::{BaseAddresses, DebugFrame, LittleEndian, UnwindContext};

use super::analyze::{Analysis, gaps};
use super::entries::{Steps, cost_of_entry, for_each_function, rules_of_entry};
use super::gopclntab::GoFunctions;
use super::indexed::{Index, IndexedFunctions};
use super::scan::for_each_entry;
use super::section::FrameSection;
use super::table::{Builder, UnwindTable};
use super::translate::Slice;
use crate::process::Segment;

/// Between functions lie at most so many bytes of padding, which never run.
pub(super) const PADDING: u64 = 16;
/// Start-up code without unwind information is at most so long.
pub(super) const ENTRY: u64 = 64;

/// Code without unwind information that is analyzed in a file, in bytes at most.
pub(super) const MOST_GAPS: u64 = 16 << 20;
/// What is read of such code before and behind a slice: functions reach over its ends.
const MARGIN: u64 = 8 << 10;

/// Text pages that are compiled at one time: some tens of functions, a few of which are needed.
pub(crate) const SLICE_PAGES: u32 = 4;
pub(super) const SLICE_BYTES: u64 = (SLICE_PAGES as u64) << TEXT_PAGE_BITS;
/// Most text pages of a file: 4 GiB of text.
const MOST_PAGES: u64 = 1 << (32 - TEXT_PAGE_BITS);

/// What a file tells of its frames. Where two sources speak of the same code the first holds.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// `.eh_frame`.
    pub(super) eh_frame: Option<FrameSection>,
    /// Its search table. Then nothing else is looked at but the code.
    pub(super) index: Option<Index>,
    /// Go's functions.
    pub(super) go: Option<GoFunctions>,
    /// `.debug_frame`.
    pub(super) debug_frame: Option<Vec<u8>>,
    /// The code itself.
    pub(super) code: Option<Code>,
}

/// The code of a file.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) file: File,
    pub(super) segments: Vec<Segment>,
}

impl Code {
    /// The bytes at these addresses.
    pub(super) fn read(&self, addresses: Range<u64>) -> Option<Vec<u8>> {
        let holds = |s: &&Segment| {
            s.address <= addresses.start && addresses.end <= s.address.saturating_add(s.length)
        };
        let segment = self.segments.iter().find(holds)?;
        let offset = segment.offset.checked_add(addresses.start - segment.address)?;
        let length = addresses.end.checked_sub(addresses.start)?;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

/// The unwind information of a file, compiled a slice of its code at a time.
#[derive(Debug)]
pub(crate) struct UnwindInformation {
    pub(super) sources: Sources,
    listing: Listing,
    first_page: u64,
    pages: u32,
}

/// What each entry speaks of.
#[derive(Debug)]
enum Listing {
    /// All of it, in the order of addresses.
    Whole(Vec<Function>),
    /// By the search table.
    Indexed(IndexedFunctions),
}

/// Code that one entry speaks of.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) code: Range<u64>,
    pub(super) entry: Entry,
}

/// Where it is told how the frames of a function are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// At this offset in `.eh_frame`.
    EhFrame(usize),
    /// At this offset in `.debug_frame`.
    DebugFrame(usize),
    /// Go's function of this number.
    Go(u32),
    /// Nowhere: here the program begins.
    Start,
    /// Nowhere: the code itself has to tell.
    Code,
}

impl UnwindInformation {
    /// Reads what `sources` tell of the code in `text`; `None` if they speak of none of it. Entries
    /// that cannot be understood are left out. Where the code begins to run, at `entry`, nobody
    /// called it: loaders and some C libraries have no entry for it.
    pub(super) fn read(
        mut sources: Sources,
        text: &[Range<u64>],
        entry: Option<u64>,
    ) -> Option<Self> {
        let (listing, extent) = match (sources.index.take(), &sources.eh_frame) {
            (Some(index), Some(section)) => {
                let may_analyze = sources.code.is_some();
                let found = IndexedFunctions::new(index, section, text, entry, may_analyze)?;
                let extent = found.extent(section)?;
                (Listing::Indexed(found), extent)
            }
            _ => {
                let functions = sources.functions(text, entry);
                let start = functions.first()?.code.start;
                let end = functions.iter().map(|function| function.code.end).max()?;
                (Listing::Whole(functions), start..end)
            }
        };
        let page_of = |address: u64| address >> TEXT_PAGE_BITS;
        let first_page = page_of(extent.start);
        let pages = page_of(extent.end) - first_page + 1;
        if pages > MOST_PAGES {
            return None;
        }
        let pages = (pages as u32).next_multiple_of(SLICE_PAGES);
        Some(Self { sources, listing, first_page, pages })
    }

    /// Bytes of memory that it takes, at most.
    pub(super) fn bytes(&self) -> usize {
        let Sources { eh_frame, go, debug_frame, .. } = &self.sources;
        let listing = match &self.listing {
            Listing::Whole(functions) => size_of_val(functions.as_slice()),
            Listing::Indexed(indexed) => indexed.bytes(),
        };
        listing
            + eh_frame.as_ref().map_or(0, FrameSection::length)
            + go.as_ref().map_or(0, GoFunctions::bytes)
            + debug_frame.as_ref().map_or(0, Vec::len)
    }

    /// The address at which the first text page begins, and the number of pages: whole slices.
    pub(crate) fn extent(&self) -> (u64, u32) {
        (self.first_page << TEXT_PAGE_BITS, self.pages)
    }

    /// What each entry speaks of, in the order of addresses.
    pub(super) fn functions(&self) -> Cow<'_, [Function]> {
        self.around(&(0..u64::MAX))
    }

    /// The functions that begin in a part of the code, the last that begins before and the first
    /// behind; there may be more.
    fn around(&self, code: &Range<u64>) -> Cow<'_, [Function]> {
        match (&self.listing, &self.sources.eh_frame) {
            (Listing::Whole(all), _) => {
                let begin = all.partition_point(|f| f.code.start <= code.start).saturating_sub(1);
                let end = all.partition_point(|f| f.code.start < code.end).max(begin);
                Cow::Borrowed(&all[begin..all.len().min(end + 1)])
            }
            (Listing::Indexed(indexed), Some(section)) => Cow::Owned(indexed.within(code, section)),
            (Listing::Indexed(_), None) => Cow::Borrowed(&[]),
        }
    }

    /// Where the slice of a number ends.
    pub(super) fn end_of_slice(&self, number: u32) -> u64 {
        self.extent().0 + (u64::from(number) + 1) * SLICE_BYTES
    }

    /// The number of the slice that an address lies in, if the information reaches there.
    pub(super) fn slice_of(&self, address: u64) -> Option<u32> {
        let into = address.checked_sub(self.extent().0)?;
        let slice = u32::try_from(into / SLICE_BYTES).ok()?;
        (slice < self.pages / SLICE_PAGES).then_some(slice)
    }

    /// The slices in which the functions of Go's runtime begin, one for each function.
    pub(super) fn go_runtime(&self) -> impl Iterator<Item = u32> {
        let is_runtime = |function: &&Function| match (function.entry, &self.sources.go) {
            (Entry::Go(number), Some(go)) => go.is_runtime(number),
            _ => false,
        };
        let all: &[Function] = match &self.listing {
            Listing::Whole(all) => all,
            Listing::Indexed(_) => &[],
        };
        all.iter().filter(is_runtime).filter_map(|function| self.slice_of(function.code.start))
    }

    /// The function that an address lies in.
    pub(super) fn function(&self, address: u64) -> Option<Function> {
        let around = self.around(&(address..address.saturating_add(1)));
        let behind = around.partition_point(|function| function.code.start <= address);
        let function = around.get(behind.checked_sub(1)?)?;
        function.code.contains(&address).then(|| function.clone())
    }

    /// Where the function begins that an address lies in, and its name if the tables have it.
    pub(super) fn described(&self, address: u64) -> Option<(u64, Option<String>)> {
        let function = self.function(address).filter(|f| f.entry != Entry::Code)?;
        let name = match (function.entry, &self.sources.go) {
            (Entry::Go(number), Some(go)) => go.name(number).map(str::to_owned),
            _ => None,
        };
        Some((function.code.start, name))
    }

    /// Compiles a slice.
    pub(super) fn compile(&self, slice: u32) -> UnwindTable {
        self.compile_in(&mut Work::new(), slice)
    }

    fn compile_in(&self, work: &mut Work, slice: u32) -> UnwindTable {
        let start = self.extent().0 + u64::from(slice) * SLICE_BYTES;
        let mut builder = Builder::new();
        // The function that reaches into the slice from before is the last that begins there.
        let functions = self.around(&(start..start + SLICE_BYTES));
        let begins_before = functions.partition_point(|f| f.code.start <= start);
        let mut at = begins_before.saturating_sub(1);
        while let Some(function) = functions.get(at)
            && function.code.start < start + SLICE_BYTES
        {
            at += 1;
            let next = functions.get(at).map_or(u64::MAX, |next| next.code.start);
            let slice = start..start + SLICE_BYTES;
            self.rows(function, next, slice, work, |address, rule| {
                let number = builder.number(rule);
                builder.push(address, number);
            });
        }
        builder.finish(start >> TEXT_PAGE_BITS, SLICE_PAGES)
    }

    /// The rule that a slice's table has for an address, from its function alone; `None` where that
    /// is as much work as the slice.
    pub(super) fn rule(&self, address: u64) -> Option<Rule> {
        let functions = self.around(&(address..address.saturating_add(1)));
        let behind = functions.partition_point(|function| function.code.start <= address);
        let Some(function) = behind.checked_sub(1).and_then(|at| functions.get(at)) else {
            return Some(Rule::GAP);
        };
        if function.entry == Entry::Code {
            return None;
        }
        let next = functions.get(behind).map_or(u64::MAX, |next| next.code.start);
        let mut found = Rule::GAP;
        self.rows(function, next, address..address, &mut Work::new(), |from, rule| {
            if from <= address {
                found = rule;
            }
        });
        Some(found)
    }

    /// Calls back with a function's rows, of which those from `next` on are another's. Where it
    /// ends, and nothing but padding comes behind, its last holds on. What cannot be understood, or
    /// is more than `work` allows, has no rule.
    fn rows(
        &self,
        function: &Function,
        next: u64,
        slice: Range<u64>,
        work: &mut Work,
        mut row: impl FnMut(u64, Rule),
    ) {
        if next <= function.code.start {
            return;
        }
        let mut from = function.code.start;
        let mut push = |address: u64, rule: Rule| {
            let address = address.clamp(function.code.start, function.code.end);
            if address >= from && address < next {
                row(address, rule);
                from = address;
            }
        };
        // Until its entry tells one: not the last rule of the function before.
        push(function.code.start, Rule::GAP);
        match function.entry {
            Entry::Start => push(function.code.start, Rule::ROOT),
            Entry::EhFrame(offset) => {
                let cost = |section: &FrameSection| {
                    section.with_entry(offset, |s, bases| cost_of_entry(s, bases, offset))?
                };
                if let Some(section) = &self.sources.eh_frame
                    && cost(section).is_some_and(|cost| work.steps.take(cost))
                    && section.usual_rows(offset, &mut push).is_none()
                {
                    section.with_entry(offset, |section, bases| {
                        let context = work.context.get_or_insert_default();
                        rules_of_entry(section, bases, offset, context, push);
                    });
                }
            }
            Entry::DebugFrame(offset) => {
                if let Some((section, bases)) = self.sources.debug_frame()
                    && let Some(cost) = cost_of_entry(&section, &bases, offset)
                    && work.steps.take(cost)
                {
                    let context = work.context.get_or_insert_default();
                    rules_of_entry(&section, &bases, offset, context, push);
                }
            }
            Entry::Go(number) => {
                if let Some(go) = &self.sources.go {
                    go.rules(number, &mut work.steps, push);
                }
            }
            Entry::Code => {
                if let Some(code) = &self.sources.code {
                    analyze(code, &function.code, slice, push);
                }
            }
        }
        let end = function.code.end;
        if next > end && next - end >= PADDING {
            row(end, Rule::GAP);
        }
    }
}

/// What the functions of a slice share while they are compiled.
#[derive(Debug)]
struct Work {
    steps: Steps,
    /// Made for the first entry that needs it.
    context: Option<UnwindContext<usize>>,
}

impl Work {
    const fn new() -> Self {
        Self { steps: Steps::of_a_slice(), context: None }
    }
}

impl Sources {
    /// What each entry of each source speaks of, in the order of addresses.
    fn functions(&self, text: &[Range<u64>], entry: Option<u64>) -> Vec<Function> {
        let mut functions = Functions { text, all: Vec::new() };
        if let Some(section) = &self.eh_frame {
            functions.add(|found| {
                for_each_entry(&section.bytes(), section.address(), |code, at| {
                    found(code, Entry::EhFrame(at));
                });
            });
        }
        if let Some(go) = &self.go {
            functions.add(|found| go.for_each(|number, code| found(code, Entry::Go(number))));
        }
        if let Some((section, bases)) = self.debug_frame() {
            functions.add(|found| {
                for_each_function(&section, &bases, |fde, _| {
                    found(
                        fde.initial_address()..fde.end_address(),
                        Entry::DebugFrame(fde.offset()),
                    );
                });
            });
        }
        if let Some(start) = entry {
            functions.add_start(start);
        }
        if self.code.is_some() && !functions.all.is_empty() {
            functions.add_gaps();
        }
        functions.all
    }

    /// `.debug_frame`, ready to be read.
    pub(super) fn debug_frame(&self) -> Option<(DebugFrame<Slice<'_>>, BaseAddresses)> {
        let mut section = DebugFrame::new(self.debug_frame.as_ref()?, LittleEndian);
        section.set_address_size(8);
        Some((section, BaseAddresses::default()))
    }
}

/// The functions of a file, gathered from its sources.
struct Functions<'a> {
    /// What is code.
    text: &'a [Range<u64>],
    /// In the order of addresses.
    all: Vec<Function>,
}

impl Functions<'_> {
    /// Adds a source's functions where none is known yet.
    fn add(&mut self, source: impl FnOnce(&mut dyn FnMut(Range<u64>, Entry))) {
        let known = self.all.len();
        let (text, all) = (self.text, &mut self.all);
        source(&mut |code, entry| {
            let within = |text: &Range<u64>| text.start <= code.start && code.end <= text.end;
            let before = all[..known].partition_point(|f| f.code.start < code.end);
            let is_known = before > 0 && all[before - 1].code.end > code.start;
            if !code.is_empty() && !is_known && text.iter().any(within) {
                all.push(Function { code, entry });
            }
        });
        if self.all.len() > known {
            self.sort();
        }
    }

    /// Adds the code between functions.
    fn add_gaps(&mut self) {
        let covered = || self.all.iter().map(|function| function.code.clone());
        let gaps = self.text.iter().flat_map(|text| gaps(text, covered()));
        let gaps: Vec<_> = gaps.filter(|gap| gap.end - gap.start >= PADDING).collect();
        // Compilers that leave all of a large program without unwind information let it keep frame
        // pointers instead.
        if gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>() <= MOST_GAPS {
            self.all.extend(gaps.into_iter().map(|code| Function { code, entry: Entry::Code }));
            self.sort();
        }
    }

    /// Sorts by where functions begin: small keys first, since there may be a hundred thousand.
    fn sort(&mut self) {
        if self.all.is_sorted_by_key(|function| function.code.start) {
            return;
        }
        let starts = self.all.iter().map(|function| function.code.start);
        let mut keys: Vec<(u64, u32)> = starts.zip(0..).collect();
        keys.sort_unstable();
        self.all = keys.into_iter().map(|(_, at)| self.all[at as usize].clone()).collect();
    }

    /// Adds the code at which a program begins.
    fn add_start(&mut self, start: u64) {
        let next = self.all.iter().map(|f| f.code.start).filter(|&at| at > start).min();
        let end = next.unwrap_or(u64::MAX).min(start.saturating_add(ENTRY));
        let in_text = self.text.iter().find(|text| text.contains(&start));
        if let Some(text) = in_text {
            let code = start..end.min(text.end);
            self.add(|found| found(code, Entry::Start));
        }
    }
}

/// Calls back with the rules of a part of the code that nothing speaks of.
fn analyze(code: &Code, gap: &Range<u64>, slice: Range<u64>, push: impl FnMut(u64, Rule)) {
    let start = gap.start.max(slice.start.saturating_sub(MARGIN));
    let end = gap.end.min(slice.end.saturating_add(MARGIN));
    if let Some(bytes) = code.read(start..end) {
        Analysis::new(&bytes, start).rules(start == gap.start, push);
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
