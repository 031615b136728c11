//! How stacks go through the code of a file: for `flame doctor`.

use std::collections::BTreeMap;
use std::ops::Range;

use flame_common::unwind::Rule;

use super::analyze::gaps;
use super::compile::{Entry, PADDING, UnwindInformation};
use super::source::{self, text_of};
use crate::process::Executable;

/// What a walk goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// The file's `.eh_frame`.
    EhFrame,
    /// The unwind information for debuggers, its own or its debug file's.
    DebugFrame,
    /// The functions of Go's runtime.
    GoFunctions,
    /// What the instructions do to the stack pointer.
    Instructions,
    FramePointer,
}

/// The least that is told of: what compilers add to each library, without unwind information, is
/// less.
const LEAST_BYTES: u64 = 4096;
const LEAST_PERCENT: f64 = 1.0;

/// The ways that stacks go through a file's code, each with its share in percent: the largest
/// first.
pub(crate) fn ways(executable: &Executable) -> Vec<(Way, f64)> {
    let text = text_of(&executable.layout);
    let information = source::of_file(executable);
    shares(&information.map_or_else(
        || BTreeMap::from([(Way::FramePointer, 1)]),
        |information| information.bytes_by_way(&text),
    ))
}

fn shares(bytes: &BTreeMap<Way, u64>) -> Vec<(Way, f64)> {
    let all: u64 = bytes.values().sum();
    let share = |(&way, &own): (&Way, &u64)| (way, own, own as f64 * 100.0 / all.max(1) as f64);
    let is_told = |&(_, own, share): &(Way, u64, f64)| own >= LEAST_BYTES && share >= LEAST_PERCENT;
    let mut told: Vec<_> = bytes.iter().map(share).collect();
    told.sort_by(|one, other| other.2.total_cmp(&one.2));
    let largest = 1;
    let rest = told.split_off(largest.min(told.len()));
    told.extend(rest.into_iter().filter(is_told));
    told.into_iter().map(|(way, _, share)| (way, share)).collect()
}

impl UnwindInformation {
    /// The bytes of the code in `text` that stacks go through in each way, padding left aside.
    fn bytes_by_way(&self, text: &[Range<u64>]) -> BTreeMap<Way, u64> {
        let mut bytes = BTreeMap::new();
        let mut add = |way, own: u64| *bytes.entry(way).or_default() += own;
        let functions = self.functions();
        for (at, function) in functions.iter().enumerate() {
            let next = functions.get(at + 1).map_or(u64::MAX, |next| next.code.start);
            let code = function.code.start..function.code.end.min(next);
            let own = code.end - code.start;
            match function.entry {
                Entry::EhFrame(_) => add(Way::EhFrame, own),
                Entry::DebugFrame(_) => add(Way::DebugFrame, own),
                Entry::Go(_) => add(Way::GoFunctions, own),
                // No stack goes on from there.
                Entry::Start => {}
                Entry::Code => {
                    let read = self.ruled_bytes(&code);
                    add(Way::Instructions, read);
                    add(Way::FramePointer, own - read);
                }
            }
        }
        let covered = || functions.iter().map(|function| function.code.clone());
        let rest = text.iter().flat_map(|text| gaps(text, covered()));
        let rest = rest.map(|gap| gap.end - gap.start).filter(|&own| own >= PADDING);
        add(Way::FramePointer, rest.sum());
        bytes
    }

    /// How many bytes of some code have a rule.
    fn ruled_bytes(&self, code: &Range<u64>) -> u64 {
        let (mut bytes, mut at) = (0, code.start);
        while let Some(number) = self.slice_of(at).filter(|_| at < code.end) {
            let slice = self.compile(number);
            let end = code.end.min(self.end_of_slice(number));
            bytes += (at..end).filter(|&address| slice.rule(address) != Rule::GAP).count() as u64;
            at = end;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::process::ElfLayout;

    #[test]
    fn this_test_binary_is_walked_by_its_eh_frame() {
        let file = File::open("/proc/self/exe").expect("this test binary");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        let information = source::from_file(&file, &layout, None).expect("unwind information");
        let found = shares(&information.bytes_by_way(&text_of(&layout)));
        assert_eq!(found[0].0, Way::EhFrame);
        assert!(found[0].1 > 95.0, "{found:?}");
    }

    #[test]
    fn code_that_nothing_speaks_of_is_told_and_small_shares_are_not() {
        let bytes = BTreeMap::from([
            (Way::EhFrame, 300_000),
            (Way::Instructions, 40_000),
            (Way::FramePointer, 9_660_000),
        ]);
        assert_eq!(shares(&bytes), [(Way::FramePointer, 96.6), (Way::EhFrame, 3.0)]);
        let small = BTreeMap::from([(Way::EhFrame, 20_000), (Way::Instructions, 4_000)]);
        assert_eq!(shares(&small).len(), 1);
        let smallest = BTreeMap::from([(Way::EhFrame, 25), (Way::Instructions, 75)]);
        assert_eq!(shares(&smallest), [(Way::Instructions, 75.0)]);
    }
}
