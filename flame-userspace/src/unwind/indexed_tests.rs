//! The search table beside the section itself, and damaged files.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::process::{ElfLayout, Section};
use crate::unwind::compile::{Code, SLICE_BYTES, SLICE_PAGES, Sources, UnwindInformation};
use crate::unwind::scan::{extent_of_entry, for_each_entry};
use crate::unwind::source::{from_file, read_section, text_of};
use crate::unwind::test_files::{Mapped, mapped};

/// A file's information as read entry by entry, with no search table.
fn by_section(file: &File, layout: &ElfLayout) -> Option<UnwindInformation> {
    let section = layout.unwind_section?;
    let eh_frame = Some(FrameSection::whole(read_section(file, section)?, section.address));
    let file = file.try_clone().expect("an open file");
    let code = Some(Code { file, segments: layout.segments.clone() });
    let sources = Sources { eh_frame, code, ..Sources::default() };
    UnwindInformation::read(sources, &text_of(layout), layout.entry)
}

#[test]
fn a_search_table_gives_the_rules_that_the_section_gives() {
    let mut compared = 0;
    for Mapped { path, file, layout } in mapped() {
        let whole = by_section(&file, &layout).expect("unwind information");
        let indexed = from_file(&file, &layout, None).expect("unwind information");
        let (functions, others) = (whole.functions(), indexed.functions());
        let codes = |all: &[Function]| -> Vec<_> {
            all.iter().map(|function| (function.code.clone(), function.entry)).collect()
        };
        assert_eq!(codes(&functions), codes(&others), "{path}");
        for (number, other) in slices_of(&indexed) {
            let start = indexed.extent().0 + u64::from(number) * SLICE_BYTES;
            let Some(of_whole) = whole.slice_of(start).filter(|_| whole.extent().0 <= start) else {
                continue;
            };
            if whole.extent().0 % SLICE_BYTES != indexed.extent().0 % SLICE_BYTES {
                continue;
            }
            let one = whole.compile(of_whole);
            for address in (start..start + SLICE_BYTES).step_by(7) {
                let rule = other.rule(address);
                assert_eq!(one.rule(address), rule, "{path} {address:#x}");
                let alone = indexed.rule(address).unwrap_or(rule);
                assert_eq!(alone, rule, "{path} {address:#x} alone");
                compared += 1;
            }
        }
    }
    assert!(compared > 100_000, "{compared}");
}

fn slices_of(
    information: &UnwindInformation,
) -> impl Iterator<Item = (u32, crate::unwind::UnwindTable)> {
    (0..information.extent().1 / SLICE_PAGES).map(|number| (number, information.compile(number)))
}

/// The search table of this test binary, and where its section is.
fn own() -> (File, ElfLayout, Vec<u8>, u64, Section) {
    let file = File::open("/proc/self/exe").expect("this test binary");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let (address, length) = layout.unwind_index.expect("a search table");
    let mut bytes = vec![0; length as usize];
    let offset = layout.offset_of_address(address).expect("in the file");
    file.read_exact_at(&mut bytes, offset).expect("a readable table");
    let section = layout.unwind_section.expect("unwind information");
    (file, layout, bytes, address, section)
}

#[test]
fn a_search_table_that_is_not_as_usual_is_left_aside() {
    let (_, _, bytes, address, section) = own();
    let read = |bytes: &[u8], length| {
        Index::read(bytes.to_vec(), address, section.address, length).is_some()
    };
    assert!(read(&bytes, section.length));
    assert!(!read(&bytes, 8), "entries beyond the section");
    assert!(!read(&bytes[..bytes.len() - 1], section.length), "cut off");
    assert!(!read(&[], section.length));
    let mut swapped = bytes.clone();
    let (one, other) = swapped[HEAD..].split_at_mut(PAIR);
    one.swap_with_slice(&mut other[..PAIR]);
    assert!(!read(&swapped, section.length), "not sorted");
    let mut other = bytes.clone();
    other[3] = 0x1b;
    assert!(!read(&other, section.length), "another encoding");
}

#[test]
fn entries_that_say_other_than_the_table_are_left_out() {
    let (file, layout, bytes, address, section) = own();
    let mut index =
        Index::read(bytes, address, section.address, section.length).expect("a usual table");
    let length = section.length as usize;
    let frames = FrameSection::in_file(file, section.offset, length, section.address);
    // The first function's entry in the place of the second's.
    let first = index.bytes[HEAD + 4..HEAD + PAIR].to_owned();
    index.bytes[HEAD + PAIR + 4..HEAD + 2 * PAIR].copy_from_slice(&first);
    let second = index.start(1);
    let indexed = IndexedFunctions::new(index, &frames, &text_of(&layout), None, false);
    let around = indexed.expect("functions").within(&(second..second + 1), &frames);
    assert!(around.iter().all(|function| function.code.start != second), "{around:?}");
}

#[test]
fn of_many_functions_at_one_address_a_few_are_looked_at() {
    let (file, layout, bytes, address, section) = own();
    let mut index =
        Index::read(bytes, address, section.address, section.length).expect("a usual table");
    let first = index.bytes[HEAD..HEAD + PAIR].to_owned();
    index.bytes[HEAD..].chunks_exact_mut(PAIR).for_each(|pair| pair.copy_from_slice(&first));
    assert!(index.count > 10 * TRIED);
    let start = index.start(0);
    let frames =
        FrameSection::in_file(file, section.offset, section.length as usize, section.address);
    let indexed = IndexedFunctions::new(index, &frames, &text_of(&layout), None, false);
    let around = indexed.expect("functions").within(&(start - 1..start + 1), &frames);
    assert_eq!(around.iter().filter(|f| f.code.start == start).count(), TRIED);
}

/// As lld links what LLVM makes of a function that is never reached.
#[test]
fn a_function_of_no_code_does_not_hide_the_one_that_begins_there() {
    let (file, layout, bytes, address, section) = own();
    let mut index =
        Index::read(bytes, address, section.address, section.length).expect("a usual table");
    let mut of_section = read_section(&file, section).expect("a readable section");
    let mut entries = Vec::new();
    for_each_entry(&of_section, section.address, |code, at| entries.push((code, at)));
    let behind = |at| extent_of_entry(&of_section, at).expect("an entry").end;
    // Two entries side by side, of which the first is made one of no code where the second begins.
    let side_by_side = |pair: &&[(Range<u64>, usize)]| behind(pair[0].1) == pair[1].1;
    let pair = entries.windows(2).find(side_by_side).expect("two entries side by side");
    let ((_, empty), (code, whole)) = (pair[0].clone(), pair[1].clone());
    let distance = code.start.wrapping_sub(section.address + empty as u64 + 8) as u32;
    of_section[empty + 8..empty + 12].copy_from_slice(&distance.to_le_bytes());
    of_section[empty + 12..empty + 16].fill(0);
    let number = (0..index.count).find(|&n| index.start(n) == code.start).expect("in the table");
    let entry = (section.address + empty as u64).wrapping_sub(address) as u32;
    let at = HEAD + number * PAIR + 4;
    index.bytes[at..at + 4].copy_from_slice(&entry.to_le_bytes());
    let frames = FrameSection::whole(of_section, section.address);
    let indexed = IndexedFunctions::new(index, &frames, &text_of(&layout), None, false);
    let around = indexed.expect("functions").within(&(code.start..code.start + 1), &frames);
    let found: Vec<_> = around.iter().filter(|f| f.code.start == code.start).collect();
    assert!(
        matches!(*found, [f] if f.code == code && f.entry == Entry::EhFrame(whole)),
        "{found:?}"
    );
}

#[test]
fn a_file_that_shrinks_gives_no_functions() {
    let (file, layout, bytes, address, section) = own();
    let index = Index::read(bytes, address, section.address, section.length);
    let path = std::env::temp_dir().join(format!("flame-shrunk-{}", std::process::id()));
    fs::write(&path, [0; 100]).expect("room for a file");
    let shrunk = File::open(&path).expect("the file");
    fs::remove_file(&path).expect("the file");
    drop(file);
    let length = section.length as usize;
    let frames = FrameSection::in_file(shrunk, section.offset, length, section.address);
    let text = text_of(&layout);
    let indexed = IndexedFunctions::new(index.expect("a usual table"), &frames, &text, None, true);
    let around = indexed.expect("functions").within(&(text[0].start..text[0].end), &frames);
    assert!(around.iter().all(|function| function.entry == Entry::Code), "{around:?}");
}
