//! A function, as far as unwind information speaks of it, in sixteen bytes: a large program has a
//! hundred thousand.

use std::ops::Range;

/// Code that one entry speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    start: u64,
    length: u32,
    /// What kind of entry, in the highest bits, and its offset or number.
    entry: u32,
}

/// Where it is told how the frames of a function are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// At this offset in `.eh_frame`.
    EhFrame(u32),
    /// At this offset in `.debug_frame`.
    DebugFrame(u32),
    /// Go's function of this number.
    Go(u32),
    /// Nowhere: here the program begins.
    Start,
    /// Nowhere: the code itself has to tell.
    Code,
}

/// Bits of an offset or a number: more than the largest section that is read has bytes.
const VALUE_BITS: u32 = 29;

impl Function {
    /// The function of this code; `None` if it or its entry is larger than any real one.
    pub(super) fn new(code: &Range<u64>, entry: Entry) -> Option<Self> {
        let length = u32::try_from(code.end.checked_sub(code.start)?).ok()?;
        let (kind, value) = match entry {
            Entry::EhFrame(offset) => (0, offset),
            Entry::DebugFrame(offset) => (1, offset),
            Entry::Go(number) => (2, number),
            Entry::Start => (3, 0),
            Entry::Code => (4, 0),
        };
        let fits = value >> VALUE_BITS == 0;
        fits.then_some(Self { start: code.start, length, entry: kind << VALUE_BITS | value })
    }

    /// Where it begins.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Behind its last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.length)
    }

    /// Its addresses.
    pub(super) fn code(&self) -> Range<u64> {
        self.start..self.end()
    }

    /// What speaks of it.
    pub(super) fn entry(&self) -> Entry {
        let value = self.entry & ((1 << VALUE_BITS) - 1);
        match self.entry >> VALUE_BITS {
            0 => Entry::EhFrame(value),
            1 => Entry::DebugFrame(value),
            2 => Entry::Go(value),
            3 => Entry::Start,
            _ => Entry::Code,
        }
    }

    /// Sorts by where functions begin; of those that begin at one place the first entry is first.
    pub(super) fn sort(functions: &mut [Self]) {
        functions.sort_unstable_by_key(|function| (function.start, function.entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_and_what_is_too_large_does_not_go_in() {
        let largest = (1 << VALUE_BITS) - 1;
        let code = u64::MAX - 8..u64::MAX;
        let entries = [
            Entry::EhFrame(largest),
            Entry::DebugFrame(7),
            Entry::Go(0),
            Entry::Start,
            Entry::Code,
        ];
        for entry in entries {
            let function = Function::new(&code, entry).expect("small");
            assert_eq!((function.code(), function.entry()), (code.clone(), entry));
        }
        assert!(Function::new(&code, Entry::Go(largest + 1)).is_none());
        assert!(Function::new(&(0..1 << 32), Entry::Start).is_none());
        assert_eq!(size_of::<Function>(), 16);
    }
}
