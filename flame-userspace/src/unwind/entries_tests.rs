//! Entries of any size, made by hand.

use gimli::{DebugFrame, LittleEndian};

use super::*;
use crate::unwind::scan::for_each_entry;

/// A `.debug_frame` of a header and an entry, so many bytes long behind their lengths, and the name
/// that tells what the header adds. Returns where the entry is.
fn debug_frame(header: usize, entry: usize, name: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = (header as u32).to_le_bytes().to_vec();
    bytes.extend([0xff, 0xff, 0xff, 0xff, 1]);
    bytes.extend([name, &[0, 1, 0x78, 16]].concat());
    // CFA = rsp + 8, the return address below it.
    bytes.extend([0x0c, 7, 8, 0x90, 1]);
    bytes.resize(4 + header, 0);
    let at = bytes.len();
    bytes.extend((entry as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend([0x1000_u64, 0x10].map(u64::to_le_bytes).concat());
    bytes.resize(at + 4 + entry, 0);
    (bytes, at)
}

/// Whether the entry is listed, and whether it has rules.
fn is_read((bytes, at): &(Vec<u8>, usize)) -> (bool, bool) {
    let mut section = DebugFrame::new(bytes, LittleEndian);
    section.set_address_size(8);
    let bases = BaseAddresses::default();
    let (mut listed, mut ruled) = (false, false);
    for_each_function(&section, &bases, |_, _| listed = true);
    let context = &mut UnwindContext::new();
    rules_of_entry(&section, &bases, *at, context, |_, _| ruled = true);
    (listed, ruled)
}

#[test]
fn entries_and_headers_are_read_up_to_a_size() {
    let read = |header, entry, name: &[u8]| is_read(&debug_frame(header, entry, name));
    assert_eq!(read(20, 24, b""), (true, true));
    assert_eq!(read(LARGEST_HEADER, LARGEST_ENTRY, b""), (true, true));
    assert_eq!(read(LARGEST_HEADER + 1, 24, b""), (false, false));
    assert_eq!(read(20, LARGEST_ENTRY + 1, b""), (false, false));
    // A name that has to be read again for each entry: of signal frames, over and over.
    assert_eq!(read(100, 24, &[b'S'; LONGEST_NAME - 1]), (true, true));
    assert_eq!(read(100, 24, &[b'S'; LONGEST_NAME]), (false, false));
}

#[test]
fn a_cost_is_what_an_entry_and_its_header_claim() {
    let (bytes, at) = debug_frame(20, 24, b"");
    let section = DebugFrame::new(&bytes, LittleEndian);
    let bases = BaseAddresses::default();
    assert_eq!(cost_of_entry(&section, &bases, at), Some(20 + 24));
    for other in 0..bytes.len() + 8 {
        let cost = cost_of_entry(&section, &bases, other);
        assert!(cost.is_none_or(|cost| cost <= LARGEST_ENTRY + LARGEST_HEADER));
    }
    let mut steps = Steps::of_a_slice();
    assert!(!steps.take(MOST_STEPS + 1) && steps.take(MOST_STEPS) && !steps.take(1));
}

#[test]
fn a_large_header_of_an_eh_frame_is_not_understood() {
    let listed = |header: usize| {
        let mut bytes = (header as u32).to_le_bytes().to_vec();
        bytes.extend([0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1]);
        bytes.resize(4 + header, 0);
        let back = bytes.len() as u32 + 4;
        bytes.extend([16, back, 0, 8, 0].map(u32::to_le_bytes).concat());
        let mut count = 0;
        for_each_entry(&bytes, 0x1000, |_, _| count += 1);
        count
    };
    assert_eq!((listed(20), listed(LARGEST_HEADER), listed(LARGEST_HEADER + 4)), (1, 1, 0));
}
