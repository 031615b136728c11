//! What tables must have, and damaged files.

use std::fs::{self, File};

use flame_common::unwind::{SP, SavedFp};

use super::*;
use crate::process::ElfLayout;
use crate::unwind::entries::{LARGEST_ENTRY, MOST_STEPS};
use crate::unwind::source::{read_section, text_of};

fn of_eh_frame(
    bytes: Vec<u8>,
    address: u64,
    text: &[Range<u64>],
    entry: Option<u64>,
) -> Option<UnwindInformation> {
    let eh_frame = Some(FrameSection::whole(bytes, address));
    let sources = Sources { eh_frame, ..Sources::default() };
    UnwindInformation::read(sources, text, entry)
}

fn all_slices(information: &UnwindInformation) -> Vec<UnwindTable> {
    (0..information.extent().1 / SLICE_PAGES).map(|slice| information.compile(slice)).collect()
}

#[test]
fn the_c_library_has_a_root_a_signal_frame_and_stubs() {
    let maps = fs::read_to_string("/proc/self/maps").expect("own mappings");
    let Some(path) = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with("libc.so")))
    else {
        println!("skipped: no C library of its own");
        return;
    };
    let file = File::open(path).expect("the C library");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let section = layout.unwind_section.expect("unwind information");
    let bytes = read_section(&file, section).expect("a readable section");
    let text = text_of(&layout);
    let information = of_eh_frame(bytes, section.address, &text, layout.entry);
    let slices = all_slices(&information.expect("unwind information"));
    for rule in [Rule::ROOT, Rule::SIGNAL, Rule::PLT11] {
        let has = slices.iter().any(|slice| slice.rules().contains(&rule));
        assert!(has, "{rule:?} in {path}");
    }
}

#[test]
fn damaged_bytes_give_a_table_or_none_in_time() {
    let file = File::open("/proc/self/exe").expect("this test binary");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let section = layout.unwind_section.expect("unwind information");
    let mut bytes = read_section(&file, section).expect("a readable section");
    bytes.truncate(20_000);
    let text = text_of(&layout);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let mut damaged = bytes.clone();
        for _ in 0..20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % damaged.len();
            damaged[at] = (state >> 32) as u8;
        }
        let information = of_eh_frame(damaged, section.address, &text, layout.entry);
        let slices = information.as_ref().map(all_slices).unwrap_or_default();
        assert!(slices.iter().map(|slice| slice.rows().len()).sum::<usize>() < 1_000_000);
    }
    assert!(of_eh_frame(Vec::new(), 0, &text, None).is_none());
    assert!(of_eh_frame(vec![0xff; 64], 0, &text, None).is_none());
}

/// Where the code is that entries made by hand speak of, and where their section and its search
/// table are.
const TEXT: u64 = 0x10_0000;
const SECTION: u64 = 0x20_0000;
const INDEX: u64 = 0x70_0000;

/// An `.eh_frame` of `length` bytes with one header and as many entries, for one byte of code each,
/// each of which claims all that lies behind it; and its search table.
fn overlapping(count: usize, length: usize) -> (Vec<u8>, Vec<u8>) {
    /// Bytes from one entry to the next.
    const STEP: usize = 20;
    let mut bytes = vec![20, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b];
    // CFA = rsp + 8, the return address below it.
    bytes.extend([0x0c, 7, 8, 0x90, 1, 0, 0]);
    let first = bytes.len();
    let tail = first + count * STEP;
    let mut pairs = Vec::new();
    for number in 0..count {
        let at = bytes.len();
        let code = TEXT + number as u64;
        let here = SECTION + at as u64 + 8;
        // Its own data are the other entries: instructions that do nothing follow.
        let data = tail - (at + STEP - 1);
        let head = [length - at - 4, at + 4, code.wrapping_sub(here) as usize, 1];
        bytes.extend(head.map(|word| (word as u32).to_le_bytes()).concat());
        bytes.extend([data as u8 | 0x80, (data >> 7) as u8 | 0x80, (data >> 14) as u8, 0]);
        let entry = (SECTION + at as u64).wrapping_sub(INDEX) as u32;
        pairs.extend((code.wrapping_sub(INDEX) as u32).to_le_bytes());
        pairs.extend(entry.to_le_bytes());
    }
    bytes.resize(length, 0);
    let mut index = vec![1, 0x1b, 0x03, 0x3b];
    index.extend((SECTION.wrapping_sub(INDEX + 4) as u32).to_le_bytes());
    index.extend((count as u32).to_le_bytes());
    index.extend(pairs);
    (bytes, index)
}

/// That by the search table, with the section in a file and at hand.
fn by_index(count: usize, length: usize) -> [UnwindInformation; 2] {
    let (bytes, index) = overlapping(count, length);
    let path = std::env::temp_dir().join(format!("flame-entries-{}-{length}", std::process::id()));
    fs::write(&path, &bytes).expect("room for a file");
    let file = File::open(&path).expect("the file");
    fs::remove_file(&path).expect("the file");
    let text = TEXT..TEXT + SLICE_BYTES;
    [FrameSection::in_file(file, 0, length, SECTION), FrameSection::whole(bytes, SECTION)].map(
        |section| {
            let index = Index::read(index.clone(), INDEX, SECTION, length as u64);
            let sources = Sources { eh_frame: Some(section), index, ..Sources::default() };
            let text = std::slice::from_ref(&text);
            UnwindInformation::read(sources, text, None).expect("functions")
        },
    )
}

#[test]
fn entries_that_lie_over_each_other_take_a_bounded_number_of_steps() {
    let count = 2000;
    for information in by_index(count, LARGEST_ENTRY) {
        let mut work = Work::new();
        let table = information.compile_in(&mut work, 0);
        let steps = work.steps.taken();
        assert!((MOST_STEPS - LARGEST_ENTRY..=MOST_STEPS).contains(&steps), "{steps}");
        assert_eq!(table.rule(TEXT), Rule::offset(SP, 8, SavedFp::Unchanged).expect("it fits"));
        assert_eq!(table.rule(TEXT + count as u64 - 1), Rule::GAP);
    }
}

#[test]
fn entries_that_are_too_large_are_not_read() {
    for (in_file, information) in [true, false].into_iter().zip(by_index(100, 1 << 20)) {
        assert_eq!(information.functions().len(), 0);
        let mut work = Work::new();
        let table = information.compile_in(&mut work, 0);
        assert_eq!((table.rule(TEXT), table.rule(TEXT + 99)), (Rule::GAP, Rule::GAP));
        assert_eq!(work.steps.taken(), 0);
        let section = information.sources.eh_frame.expect("a section");
        assert_eq!(section.with_entry(24, |_, _| ()).is_none(), in_file, "read from the file");
    }
}

#[test]
fn an_entry_that_is_not_understood_does_not_have_the_rule_of_the_one_before() {
    let (mut bytes, _) = overlapping(3, 24 + 3 * 20);
    // Each is as long as it should be; the second has an instruction that there is not.
    for at in [24, 44, 64] {
        bytes[at..at + 4].copy_from_slice(&16_u32.to_le_bytes());
        bytes[at + 16..at + 20].fill(0);
    }
    bytes[44 + 17] = 0x3f;
    let text = TEXT..TEXT + SLICE_BYTES;
    let information = of_eh_frame(bytes, SECTION, &[text], None).expect("functions");
    let table = information.compile(0);
    let rules = [TEXT, TEXT + 1, TEXT + 2].map(|address| table.rule(address));
    let rule = Rule::offset(SP, 8, SavedFp::Unchanged).expect("it fits");
    assert_eq!(rules, [rule, Rule::GAP, rule]);
}
