//! The functions of a file by the search table of its `.eh_frame` (`.eh_frame_hdr`; Linux Standard
//! Base, "Exception Frame Header"), which linkers sort by where functions begin. The entries
//! themselves are looked at where they are asked for. What is in no table has no unwind
//! information: C++'s own unwinder knows no more either.

use std::iter;
use std::ops::Range;

use super::analyze::gaps;
use super::compile::{ENTRY, Entry, Function, MOST_GAPS, PADDING};
use super::scan::usual_code;
use super::section::FrameSection;

/// The version, and how the rest is encoded: where `.eh_frame` is, as four bytes relative to where
/// they are; the number of functions, as four bytes; the table, as pairs of four bytes relative to
/// the search table. Every linker writes it so.
const USUAL: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
/// Bytes before the pairs, and of a pair.
const HEAD: usize = 12;
const PAIR: usize = 8;

/// How many entries beside the wanted one are tried where that cannot be understood, and how many
/// of one address.
const TRIED: usize = 16;
/// Entries of no code, one behind the other, that are looked at for what begins there, at most: of
/// LLVM's own libraries 27 have been seen.
const EMPTY: usize = 256;
/// From one function to the next at most so much is looked at by samples when the code without
/// unwind information is estimated, in bytes: of those farther apart there are few.
const FAR: u64 = 64 << 10;
/// Functions that are sampled for that.
const SAMPLED: usize = 128;

/// A search table.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Vec<u8>,
    /// Where it is in memory.
    address: u64,
    count: usize,
}

/// The functions that a search table leads to.
#[derive(Debug)]
pub(super) struct IndexedFunctions {
    index: Index,
    /// What is code.
    text: Vec<Range<u64>>,
    /// Whether the code between functions is analyzed.
    has_gaps: bool,
    /// The code at which the program begins, where the table does not speak of it.
    start: Option<Range<u64>>,
}

impl Index {
    /// The search table with these bytes, at an address; `None` if it is not as usual or does not
    /// lead into `section`, which has so many bytes.
    pub(super) fn read(bytes: Vec<u8>, address: u64, section: u64, length: u64) -> Option<Self> {
        if bytes.first_chunk() != Some(&USUAL) {
            return None;
        }
        let count = u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?) as usize;
        let pairs = bytes.get(HEAD..)?.get(..count.checked_mul(PAIR)?)?;
        // The signed distances sort as the addresses do.
        let (pairs, _) = pairs.as_chunks::<PAIR>();
        let distance = |pair: &[u8; PAIR], at: usize| {
            i32::from_le_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]])
        };
        let leads_into = |pair: &[u8; PAIR]| {
            let entry = address.wrapping_add_signed(distance(pair, 4).into());
            entry.wrapping_sub(section) < length
        };
        let is_sorted = pairs.is_sorted_by_key(|pair| distance(pair, 0));
        let stays = |pair: Option<&[u8; PAIR]>| {
            address.checked_add_signed(distance(pair?, 0).into()).filter(|&at| at < u64::MAX)
        };
        let is_usable = is_sorted && pairs.iter().all(leads_into);
        stays(pairs.first()).and(stays(pairs.last()))?;
        is_usable.then_some(Self { bytes, address, count })
    }

    /// Where `.eh_frame` is, as the search table says.
    pub(super) fn section(&self) -> Option<u64> {
        self.word(4).map(|distance| (self.address + 4).wrapping_add_signed(distance))
    }

    fn word(&self, at: usize) -> Option<i64> {
        Some(i32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?).into())
    }

    /// Where the function of a number begins.
    fn start(&self, number: usize) -> u64 {
        let distance = self.word(HEAD + number * PAIR).unwrap_or_default();
        self.address.wrapping_add_signed(distance)
    }

    /// The offset of its entry in the section at this address.
    fn entry(&self, number: usize, section: u64) -> usize {
        let distance = self.word(HEAD + number * PAIR + 4).unwrap_or_default();
        self.address.wrapping_add_signed(distance).wrapping_sub(section) as usize
    }

    /// How many functions begin before an address.
    fn before(&self, address: u64) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.start(middle) < address { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl IndexedFunctions {
    /// Bytes of the search table.
    pub(super) fn bytes(&self) -> usize {
        self.index.bytes.len()
    }

    /// The functions in `text`, of which those between are analyzed if `may_analyze`; `None` if
    /// there are none. The program begins at `entry`.
    pub(super) fn new(
        index: Index,
        section: &FrameSection,
        text: &[Range<u64>],
        entry: Option<u64>,
        may_analyze: bool,
    ) -> Option<Self> {
        let mut found = Self { index, text: text.to_vec(), has_gaps: false, start: None };
        found.extent(section)?;
        found.has_gaps = may_analyze && found.estimated_gaps(section) <= MOST_GAPS;
        found.start = entry.and_then(|entry| found.beginning(entry, section));
        Some(found)
    }

    /// From the first code that is spoken of to the end of the last.
    pub(super) fn extent(&self, section: &FrameSection) -> Option<Range<u64>> {
        let first = (0..self.index.count).find(|&n| self.is_text(self.index.start(n)))?;
        let last = (first..self.index.count).rev().find(|&n| self.is_text(self.index.start(n)))?;
        let (mut start, mut end) = (self.index.start(first), self.index.start(last) + 1);
        if let Some(function) = self.function(last, section) {
            end = function.code.end;
        }
        if self.has_gaps {
            start = self.text.iter().map(|text| text.start).min()?;
            end = self.text.iter().map(|text| text.end).max()?;
        }
        let begins = self.start.clone().unwrap_or(start..end);
        Some(start.min(begins.start)..end.max(begins.end))
    }

    /// The functions that begin in `code`, in the order of addresses, with the last that begins
    /// before and the first behind.
    pub(super) fn within(&self, code: &Range<u64>, section: &FrameSection) -> Vec<Function> {
        let begin = self.index.before(code.start.saturating_add(1));
        let end = self.index.before(code.end).max(begin);
        let function = |number| self.function(number, section);
        let before = (begin.saturating_sub(TRIED)..begin).rev().find_map(function);
        let behind = (end..self.index.count.min(end + TRIED)).find_map(function);
        let low = before.as_ref().map_or(0, |function| function.code.start);
        let high = behind.as_ref().map_or(u64::MAX, |function| function.code.start);
        let inner = (begin..end).filter(|&number| !self.is_hidden(number)).filter_map(function);
        let mut all: Vec<Function> = before.into_iter().chain(inner).chain(behind).collect();
        if let Some(code) = self.start.clone().filter(|start| (low..high).contains(&start.start)) {
            all.push(Function { code, entry: Entry::Start });
            all.sort_by_key(|function| function.code.start);
        }
        if self.has_gaps {
            self.add_gaps(low..high, &mut all);
        }
        all
    }

    /// Adds the code between functions of a part of the code.
    fn add_gaps(&self, part: Range<u64>, all: &mut Vec<Function>) {
        let covered = || all.iter().map(|function| function.code.clone());
        let text = self.text.iter().map(|text| text.start.max(part.start)..text.end.min(part.end));
        let gaps = text.filter(|text| !text.is_empty()).flat_map(|text| gaps(&text, covered()));
        let gaps: Vec<_> = gaps.filter(|gap| gap.end - gap.start >= PADDING).collect();
        all.extend(gaps.into_iter().map(|code| Function { code, entry: Entry::Code }));
        all.sort_by_key(|function| function.code.start);
    }

    /// The function of a number, if its entry can be understood and it is code.
    fn function(&self, number: usize, section: &FrameSection) -> Option<Function> {
        let start = self.index.start(number);
        let mut entry = self.index.entry(number, section.address());
        let mut code = section.code_of(entry)?;
        if code.is_empty() && code.start == start {
            (code, entry) = self.behind_an_empty_one(number, entry, section)?;
        }
        let within = |text: &Range<u64>| text.start <= code.start && code.end <= text.end;
        let is_code = !code.is_empty() && code.start == start;
        let is_code = is_code && self.text.iter().any(within);
        is_code.then_some(Function { code, entry: Entry::EhFrame(entry) })
    }

    /// What else begins where a function of no code does. Compilers write functions that are never
    /// reached as nothing at all, where the next one begins, and of two entries for one address lld
    /// tells only the first in its table: the others lie behind it.
    fn behind_an_empty_one(
        &self,
        number: usize,
        entry: usize,
        section: &FrameSection,
    ) -> Option<(Range<u64>, usize)> {
        let start = self.index.start(number);
        if number + 1 < self.index.count && self.index.start(number + 1) == start {
            return None;
        }
        let behind = iter::successors(Some(entry), |&entry| section.behind(entry));
        // Headers lie between, too.
        let codes = behind.take(EMPTY).filter_map(|at| Some((section.code_of(at)?, at)));
        let mut same = codes.take_while(|(code, _)| code.start == start);
        same.find(|(code, _)| !code.is_empty())
    }

    /// Whether so many more functions begin where this one does that it is not looked at.
    fn is_hidden(&self, number: usize) -> bool {
        let other = number + TRIED;
        other < self.index.count && self.index.start(other) == self.index.start(number)
    }

    fn is_text(&self, address: u64) -> bool {
        self.text.iter().any(|text| text.contains(&address))
    }

    /// The code at which the program begins, unless a function is known there.
    fn beginning(&self, start: u64, section: &FrameSection) -> Option<Range<u64>> {
        let text = self.text.iter().find(|text| text.contains(&start))?;
        let around = self.within(&(start..start + 1), section);
        let mut around = around.into_iter().filter(|function| function.entry != Entry::Code);
        let is_known = around.clone().any(|function| function.code.contains(&start));
        let next = around.find(|function| function.code.start > start);
        let end = next.map_or(u64::MAX, |next| next.code.start).min(start.saturating_add(ENTRY));
        (!is_known).then_some(start..end.min(text.end))
    }

    /// Bytes of the code that no entry speaks of, of which only their order of magnitude matters:
    /// where functions begin close to each other, samples have to do.
    fn estimated_gaps(&self, section: &FrameSection) -> u64 {
        if self.text.iter().map(|text| text.end - text.start).sum::<u64>() <= MOST_GAPS {
            return 0;
        }
        let count = self.index.count;
        let step = count.div_ceil(SAMPLED);
        let first = self.index.start(0);
        let mut sum = self.text_in(0..first);
        for number in 0..count {
            let start = self.index.start(number);
            let next = if number + 1 < count { self.index.start(number + 1) } else { u64::MAX };
            let is_far = next - start > FAR;
            if !is_far && number % step > 0 {
                continue;
            }
            let entry = self.index.entry(number, section.address());
            let code = section.peek::<16>(entry);
            let code = code.and_then(|head| usual_code(&head, section.address(), entry));
            let code = code.filter(|code| code.start == start);
            let gap = self.text_in(code.map_or(start, |code| code.end).min(next)..next);
            if gap >= PADDING {
                sum = sum.saturating_add(if is_far { gap } else { gap * step as u64 });
            }
        }
        sum
    }

    /// Bytes of text in a stretch.
    fn text_in(&self, part: Range<u64>) -> u64 {
        let shared =
            |text: &Range<u64>| text.end.min(part.end).saturating_sub(text.start.max(part.start));
        self.text.iter().map(shared).sum()
    }
}

#[cfg(test)]
#[path = "indexed_tests.rs"]
mod tests;
