//! Files whose symbols are made to take time or memory.

use std::time::{Duration, Instant};

use object::elf::SHT_STRTAB;

use super::*;
use crate::process::test_elf::{
    SECTION_COUNT, TestSection, function, headers, sparse, with_symbols,
};

/// Long enough for a slow machine. Without limits these files take hours, or 50 GB of memory.
const SOON: Duration = Duration::from_secs(10);

fn section(kind: u32, offset: u64, length: u64, link: u32) -> TestSection {
    TestSection { kind, flags: u64::from(SHF_ALLOC), offset, length, link, info: 0 }
}

/// Why a file has no symbols to offer, which is known soon.
fn refused(file: &File, name: &str) -> String {
    let began = Instant::now();
    let found = SymbolTables::of(file).and_then(|tables| tables.functions(&[name]));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    format!("{:#}", found.expect_err("it is refused"))
}

#[test]
fn sections_are_counted_before_they_are_read() {
    let count = 800_000_000;
    let first = TestSection { length: count, ..Default::default() };
    let mut bytes = headers(&[], &[first]);
    bytes[SECTION_COUNT..SECTION_COUNT + 2].fill(0);
    let why = refused(&sparse(&bytes, HEADER * (count + 2)), "malloc");
    assert!(why.contains("sections"), "{why}");
    // As many as there may be are read.
    for (count, is_read) in [(MOST_SECTIONS, true), (MOST_SECTIONS + 1, false)] {
        let first = TestSection { length: count, ..Default::default() };
        let mut bytes = headers(&[], &[first]);
        bytes[SECTION_COUNT..SECTION_COUNT + 2].fill(0);
        let file = sparse(&bytes, HEADER * (count + 2));
        assert_eq!(SymbolTables::of(&file).is_ok(), is_read, "{count}");
    }
}

#[test]
fn tables_that_are_told_many_times_are_not_read_each_time() {
    let large = 1 << 30;
    let names = section(SHT_STRTAB, 4096, large, 0);
    for kind in [SHT_SYMTAB, SHT_DYNSYM, SHT_RELA] {
        for length in [large, large / 4, 24] {
            let mut sections = vec![section(kind, 4096, length, 0); MOST_SECTIONS as usize - 1];
            sections.insert(0, if length == 24 { section(SHT_STRTAB, 0, 1, 0) } else { names });
            if kind == SHT_RELA && length == 24 {
                continue;
            }
            let why = refused(&sparse(&headers(&[], &sections), 2 * large), "malloc");
            assert!(why.contains("many symbol"), "{why}");
        }
    }
}

#[test]
fn names_and_symbols_without_end_are_refused() {
    let name = b"malloc\0";
    let file = with_symbols(&[], name, &[function(0, 0x1000), function(0, 0x2000)], 0);
    let tables = SymbolTables::of(&file).expect("symbols");
    assert_eq!(tables.functions(&["malloc"]).expect("two").len(), 2);
    let symbols: Vec<_> = (1..10_000).map(|address| function(0, address)).collect();
    let why = refused(&with_symbols(&[], name, &symbols, 0), "malloc");
    assert!(why.contains("of the same names"), "{why}");
    let why =
        refused(&with_symbols(&[], &name.repeat(2 * MOST_PLACES), &symbols[..1], 0), "malloc");
    assert!(why.contains("end alike"), "{why}");
}
