//! Fuzz targets: the compiler of tables over any unwind information and any file, and the step
//! over any stack.

#![expect(
    clippy::missing_panics_doc,
    reason = "a target of fuzzing panics where it finds something"
)]

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::FromRawFd as _;

use flame_common::limits::{CHUNK_ROWS, USER_FRAMES};
use flame_common::unwind::{FP, Memory, Registers, Rule, SP, SavedFp, Step, step};

use super::compile::{SLICE_PAGES, Sources, UnwindInformation};
use super::evaluate::Frame;
use super::gopclntab::GoFunctions;
use super::section::FrameSection;
use super::{UnwindTable, source};
use crate::process::ElfLayout;

/// Most slices that are looked at of a table: a few bytes can speak of 4 GiB of code.
const SLICES: u32 = 32;
/// Where a walk's stack is.
const STACK: u64 = 0x7ffc_0000_0000;

/// Compiles tables from an `.eh_frame`.
pub fn eh_frame(data: &[u8]) {
    tables(data, |bytes, address, _| Sources {
        eh_frame: Some(FrameSection::whole(bytes, address)),
        ..Sources::default()
    });
}

/// Compiles tables from a `.debug_frame`.
pub fn debug_frame(data: &[u8]) {
    tables(data, |bytes, _, _| Sources { debug_frame: Some(bytes), ..Sources::default() });
}

/// Compiles tables from a `.gopclntab`.
pub fn gopclntab(data: &[u8]) {
    tables(data, |bytes, address, text| Sources {
        go: GoFunctions::read(bytes, &[address], std::slice::from_ref(text)),
        ..Sources::default()
    });
}

/// Compiles tables from a section whose address, and the place and size of the code that it is to
/// speak of, are in the first 16 bytes.
fn tables(data: &[u8], sources: impl FnOnce(Vec<u8>, u64, &Range<u64>) -> Sources) {
    let mut rest = data;
    let (Some(address), Some(start), Some(length)) =
        (word(&mut rest), half(&mut rest), half(&mut rest))
    else {
        return;
    };
    let text = start..start + length;
    let sources = sources(rest.to_vec(), address, &text);
    if let Some(information) = UnwindInformation::read(sources, &[text], Some(start)) {
        check(&information);
        compute(&information, rest);
    }
}

/// Goes on by expressions, over a stack that is the section itself.
fn compute(information: &UnwindInformation, bytes: &[u8]) {
    let start = information.extent().0;
    let mut registers = Registers { ip: start, all_known: 1, ..Registers::default() };
    for (number, register) in registers.general.iter_mut().enumerate() {
        *register = STACK + 8 * number as u64;
    }
    let mut memory = Words { start: STACK, bytes, reads: 0 };
    for address in [start, start + 1, start + 0x100, start + 0x1001] {
        let mut frame = Frame::new(registers);
        for _ in 0..8 {
            memory.reads = 0;
            let next = frame.compute(information, address, &mut memory);
            assert!(memory.reads < 18 * 256, "{} words read", memory.reads);
            if !matches!(next, Some(Ok(_))) {
                break;
            }
        }
        information.described(address);
    }
}

/// Reads the layout of any file, asks it everything, and compiles its tables.
pub fn elf(data: &[u8]) {
    let Some(file) = file_of(data) else { return };
    let Some(layout) = ElfLayout::read(&file) else { return };
    for segment in &layout.segments {
        for offset in [segment.offset, segment.offset.wrapping_add(segment.length), u64::MAX, 0] {
            layout.address_of_offset(offset);
            layout.offset_of_address(offset);
            layout.code_segment(offset);
            layout.address_of_mapping(offset, segment.length);
            layout.address_of_mapping(offset, u64::MAX);
        }
    }
    if let Some(information) = source::from_file(&file, &layout, None) {
        check(&information);
    }
}

/// A file in memory with these bytes.
fn file_of(data: &[u8]) -> Option<File> {
    // SAFETY: the name is a string that lives through the call.
    let descriptor = unsafe { libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return None;
    }
    // SAFETY: the call just returned this descriptor, and nobody else has it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(data).ok()?;
    Some(file)
}

/// What holds of a table whatever it was made from.
fn check(information: &UnwindInformation) {
    let (start, pages) = information.extent();
    assert_eq!(pages % SLICE_PAGES, 0);
    let slices = pages / SLICE_PAGES;
    for number in (0..slices).take(SLICES as usize).chain(slices.checked_sub(1)) {
        let table = information.compile(number);
        assert_eq!(table.pages().len(), SLICE_PAGES as usize);
        for page in table.pages() {
            check_page(&table, page.first as usize, page.count as usize);
        }
        let at = start + (u64::from(number * SLICE_PAGES) << 12);
        assert_eq!(information.slice_of(at), Some(number));
        table.rule(at);
        information.rule(at);
    }
}

/// A page's rows are sorted, begin at its start, fit into a value of the kernel's map and have
/// rules.
fn check_page(table: &UnwindTable, first: usize, count: usize) {
    let rows = &table.rows()[if count == 0 { 0..0 } else { first..first + count }];
    assert!(rows.len() <= CHUNK_ROWS);
    assert!(rows.first().is_none_or(|row| row.pc_low == 0));
    assert!(rows.is_sorted_by(|one, next| one.pc_low < next.pc_low));
    assert!(rows.iter().all(|row| usize::from(row.rule) < table.rules().len()));
}

/// A stack of any words, which repeats itself a few times and then ends.
struct Words<'a> {
    start: u64,
    bytes: &'a [u8],
    reads: usize,
}

impl Memory for Words<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.reads += 1;
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let times = 4;
        if self.bytes.is_empty() || at / self.bytes.len() >= times {
            return None;
        }
        let word = self.bytes.get(at % self.bytes.len()..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*word))
    }
}

/// Walks over any stack by any rules.
pub fn stack(data: &[u8]) {
    let mut rest = data;
    let mut registers = Registers { all_known: 1, ..Registers::default() };
    let (Some(ip), Some(sp), Some(fp), Some(rules)) =
        (word(&mut rest), word(&mut rest), word(&mut rest), word(&mut rest))
    else {
        return;
    };
    registers.ip = ip;
    registers.general[usize::from(SP)] = sp;
    registers.general[usize::from(FP)] = fp;
    let mut memory = Words { start: sp & !7, bytes: rest, reads: 0 };
    for frame in 0..USER_FRAMES {
        // One of eight rules, by a byte of the address as a table would.
        let kind = rules >> (registers.lookup() % 8 * 8) & 0xff;
        let before = registers;
        memory.reads = 0;
        let result = step(&mut registers, rule(kind as u8), &mut memory);
        assert!(memory.reads <= 18, "frame {frame} read {} words", memory.reads);
        match result {
            Ok(Step::Called | Step::Guessed) => assert!(registers.sp() > before.sp()),
            Ok(Step::Interrupted) => {}
            Err(_) => return,
        }
    }
}

/// Some rule for each byte: every kind, with small and large offsets.
fn rule(byte: u8) -> Rule {
    let offset = [8, 16, 24, 64, 4096, -8, 1 << 20, -(1 << 24)][usize::from(byte >> 3 & 7)];
    let fp = [SavedFp::Unchanged, SavedFp::AtCfa(-16), SavedFp::AtBase(0), SavedFp::AtCfa(8)]
        [usize::from(byte >> 6)];
    let made = match byte & 7 {
        0 => Rule::offset(SP, offset, fp),
        1 => Rule::offset(FP, offset, fp),
        2 => Rule::deref(SP, offset, 8, fp),
        3 => Rule::offset(10, offset, fp),
        4 => Some(Rule::GAP),
        5 => Some(Rule::SIGNAL),
        6 => Some(Rule::PLT11),
        _ => Some(Rule::EXPRESSION),
    };
    made.unwrap_or(Rule::ROOT)
}

/// Takes eight bytes off as a number.
fn word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

/// Takes four bytes off as a number.
fn half(bytes: &mut &[u8]) -> Option<u64> {
    let (half, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u64::from(u32::from_le_bytes(*half)))
}
