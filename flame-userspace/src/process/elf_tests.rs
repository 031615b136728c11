//! Layouts of real files, and of files made to take time or memory.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::*;
use crate::process::test_elf::{SECTION_COUNT, TestSection, TestSegment, headers, sparse};

#[test]
fn the_layout_of_this_test_binary_is_read() {
    let file = File::open("/proc/self/exe").expect("this test binary");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let code = layout.segments.iter().find(|s| s.executable).expect("it has code");
    assert!(layout.has_symbols);
    assert_eq!(layout.address_of_offset(code.offset), Some(code.address));
    assert_eq!(layout.offset_of_address(code.address + 1), Some(code.offset + 1));
    assert_eq!(layout.code_segment(code.address + code.length - 1), Some(*code));
    assert_eq!(layout.code_segment(code.address + code.length), None);
    assert_eq!(layout.address_of_offset(u64::MAX), None);
}

#[test]
fn a_mapping_of_code_may_begin_where_another_segment_ends() {
    // As lld lays out: the code's addresses are a page above its offsets.
    let segment =
        |address, offset, length, executable| Segment { address, offset, length, executable };
    let segments = vec![segment(0, 0, 0x11bbc, false), segment(0x12bc0, 0x11bc0, 0x9000, true)];
    let layout = ElfLayout { segments, ..ElfLayout::default() };
    assert_eq!(layout.address_of_mapping(0x11000, 0xa000), Some(0x12000));
    assert_eq!(layout.address_of_mapping(0x13000, 0x1000), Some(0x14000), "a part of it");
    assert_eq!(layout.address_of_mapping(0, 0x11000), None, "no code");
    assert_eq!(layout.address_of_mapping(u64::MAX, 0x1000), None);
}

#[test]
fn a_truncated_file_is_refused_at_any_length() {
    let whole = std::fs::read("/proc/self/exe").expect("this test binary");
    let path = std::env::temp_dir().join(format!("flame-elf-{}", std::process::id()));
    for length in (0..4096).step_by(7).chain([whole.len() / 2]) {
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .expect("a temporary file");
        file.write_all(&whole[..length]).expect("room for it");
        // Without a panic; what can be read of half a file may be read.
        let layout = ElfLayout::read(&file);
        assert!(length > 64 || layout.is_none());
    }
    std::fs::remove_file(&path).expect("the temporary file");
}

/// A file of zeroes but for its beginning, which counts what is read of it.
struct Counted {
    beginning: Cursor<Vec<u8>>,
    length: u64,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.beginning.position());
        let length = left.min(to.len() as u64) as usize;
        let at = self.beginning.position();
        let known = Read::read(&mut self.beginning, &mut to[..length])?;
        to[known..length].fill(0);
        self.beginning.set_position(at + length as u64);
        self.read.set(self.read.get() + length as u64);
        Ok(length)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if to == SeekFrom::End(0) {
            return Ok(self.length);
        }
        Seek::seek(&mut self.beginning, to)
    }
}

/// The layout of a file of this length that begins so, and the bytes that were read for it.
fn counted(beginning: Vec<u8>, length: u64) -> (Option<ElfLayout>, u64) {
    let read = Rc::new(Cell::new(0));
    let beginning = Cursor::new(beginning);
    let layout = ElfLayout::read_from(Counted { beginning, length, read: Rc::clone(&read) });
    (layout, read.get())
}

const LARGE: u64 = 20 << 20;

#[test]
fn notes_of_any_number_and_size_are_not_read_whole() {
    let notes = |length| {
        let at = |offset| TestSegment { kind: elf::PT_NOTE, offset, length, ..Default::default() };
        headers(&(0..65_534).map(at).collect::<Vec<_>>(), &[])
    };
    let all_headers = notes(0).len() as u64;
    for length in [16 << 20, LARGEST_NOTES + 1] {
        let (layout, read) = counted(notes(length), LARGE);
        assert_eq!(layout.expect("what else there is").build_id, None);
        assert!(read < all_headers + 1024, "{read} bytes");
    }
    let (layout, read) = counted(notes(LARGEST_NOTES), LARGE);
    assert!(layout.is_some());
    assert!(read < all_headers + 1024 + MOST_NOTES as u64 * LARGEST_NOTES, "{read} bytes");
    // As a file, which some process may have mapped.
    let began = Instant::now();
    assert!(ElfLayout::read(&sparse(&notes(16 << 20), LARGE)).is_some());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_build_id_is_found_behind_notes_that_are_too_large() {
    let note =
        |offset, length| TestSegment { kind: elf::PT_NOTE, offset, length, ..Default::default() };
    let own = [4_u32, 4, elf::NT_GNU_BUILD_ID].map(u32::to_le_bytes).concat();
    let own = [&own[..], b"GNU\0", &[1, 2, 3, 4]].concat();
    let at = headers(&[note(0, 0), note(0, 0)], &[]).len() as u64;
    let mut bytes = headers(&[note(0, 1 << 20), note(at, own.len() as u64)], &[]);
    bytes.extend(&own);
    let (layout, _) = counted(bytes, LARGE);
    assert_eq!(layout.expect("an ELF file").build_id, Some(vec![1, 2, 3, 4]));
}

#[test]
fn more_sections_than_may_be_read_are_refused() {
    // Where the header says 0, section 0 tells the number.
    let count = 800_000_000;
    let mut bytes = headers(&[], &[TestSection { length: count, ..Default::default() }]);
    bytes[SECTION_COUNT..SECTION_COUNT + 2].fill(0);
    let (layout, read) = counted(bytes, 64 * (count + 2));
    assert_eq!(layout, None);
    assert!(read < 1024, "{read} bytes");
}

#[test]
fn more_segments_than_linkers_make_are_refused() {
    let loaded = |number: u64| TestSegment {
        kind: elf::PT_LOAD,
        flags: elf::PF_X,
        address: number << 12,
        length: 4096,
        ..Default::default()
    };
    // As many as fit into what may be read, the most that linkers may make, and some more.
    for (count, is_read) in [(290_000, false), (MOST_SEGMENTS, true), (MOST_SEGMENTS + 1, false)] {
        let segments: Vec<_> = (0..count as u64).map(loaded).collect();
        let section = TestSection { info: count as u32, ..Default::default() };
        let began = Instant::now();
        let (layout, read) = counted(headers(&segments, &[section]), LARGE);
        assert_eq!(layout.map(|layout| layout.segments.len()), is_read.then_some(count));
        assert!(read <= MOST_BYTES, "{read} bytes");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
