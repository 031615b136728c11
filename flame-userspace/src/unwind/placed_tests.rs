//! Tables over maps in memory: eight values of rows, and text pages for eight slices.

use flame_common::unwind::{Rule, SavedFp};

use super::*;
use crate::unwind::test_maps::Maps;

const EXTENT: u32 = 8 * SLICE_PAGES;

fn slice(number: u32) -> Slice {
    Slice { object: Object::Vdso, number }
}

fn large() -> Arc<UnwindTable> {
    holding(4000)
}

/// A table of so many, 200 and one rows.
fn holding(rows: u16) -> Arc<UnwindTable> {
    let full: Vec<(u16, Rule)> =
        (0..rows).map(|n| (n, if n % 2 == 0 { Rule::ROOT } else { Rule::SIGNAL })).collect();
    Arc::new(UnwindTable::of_rules(7, &[&full, &full[..200], &[(0, Rule::PLT11)]]))
}

fn begun(maps: &mut Maps) -> PlacedTables {
    let mut tables = PlacedTables::new(maps);
    assert!(tables.begin(Object::Vdso, Some((7 << 12, EXTENT)), maps));
    tables
}

#[test]
fn a_placed_table_gives_the_same_rules_and_no_page_crosses_a_value() {
    let mut maps = Maps::new();
    let mut tables = begun(&mut maps);
    let table = large();
    assert!(tables.place(slice(1), &table, &mut maps, &mut Vec::new()));
    let pages = &maps.pages[SLICE_PAGES as usize..];
    for (number, (own, kernel)) in table.pages().iter().zip(pages).enumerate() {
        let value = |row: u32| row as usize / CHUNK_ROWS;
        assert_eq!(value(kernel.first), value(kernel.first + kernel.count - 1));
        assert_eq!(own.count, kernel.count);
        for at in 0..own.count {
            let row = maps.rows[(kernel.first + at) as usize];
            let address = ((7 + number as u64) << 12) + u64::from(row.pc_low);
            assert_eq!(maps.rule(row.rule), table.rule(address));
        }
    }
    assert!(maps.pages[..SLICE_PAGES as usize].iter().all(|page| *page == TextPage::NOT_YET));
}

#[test]
fn the_oldest_slices_make_room_which_is_used_when_nobody_looks_at_it_any_more() {
    let mut maps = Maps::new();
    let mut tables = begun(&mut maps);
    let table = |number: u32| holding(4000 - number as u16);
    let (mut placed, mut evicted) = (0, Vec::new());
    while tables.place(slice(placed), &table(placed), &mut maps, &mut evicted) {
        placed += 1;
    }
    assert_eq!(placed, 4);
    assert_eq!(evicted, [slice(0)]);
    assert!(maps.pages[..SLICE_PAGES as usize].iter().all(|page| *page == TextPage::NOT_YET));
    assert_ne!(maps.pages[SLICE_PAGES as usize], TextPage::NOT_YET);
    // Nothing more goes while room is on its way.
    assert!(!tables.place(slice(placed), &table(placed), &mut maps, &mut evicted));
    assert_eq!(evicted.len(), 1);
    tables.reclaim(Instant::now());
    assert!(!tables.place(slice(placed), &table(placed), &mut maps, &mut evicted));
    tables.reclaim(Instant::now() + STILL_SEEN);
    assert!(tables.place(slice(placed), &table(placed), &mut maps, &mut evicted));
}

#[test]
fn copies_of_a_file_have_their_rows_once_until_the_last_goes() {
    let mut maps = Maps::new();
    let mut tables = begun(&mut maps);
    // Two of them, as objects would have them: the second is compiled from the other file.
    for number in [1, 2] {
        assert!(tables.place(slice(number), &large(), &mut maps, &mut Vec::new()));
    }
    let pages = |maps: &Maps, number: u32| {
        let first = (number * SLICE_PAGES) as usize;
        maps.pages[first..first + large().pages().len()].to_vec()
    };
    assert_eq!(pages(&maps, 1), pages(&maps, 2));
    assert!(tables.place(slice(3), &holding(3999), &mut maps, &mut Vec::new()));
    assert_ne!(pages(&maps, 3)[0].first, pages(&maps, 1)[0].first);
    let keeps_all = |tables: &PlacedTables| tables.given_up.is_empty();
    assert_eq!(tables.release(&large()), 0);
    assert!(keeps_all(&tables), "the other copy needs them");
    assert!(tables.release(&large()) > 4200);
    assert!(!keeps_all(&tables));
    assert_eq!(tables.contents.len(), 1);
}

#[test]
fn what_no_process_has_mapped_is_given_up_with_all_its_room() {
    let mut maps = Maps::new();
    let mut tables = begun(&mut maps);
    assert!(tables.place(slice(0), &large(), &mut maps, &mut Vec::new()));
    assert!(tables.keep(&HashSet::from([Object::Vdso])).is_empty());
    assert!(tables.of(Object::Vdso).is_some());
    assert_eq!(tables.keep(&HashSet::new()), [Object::Vdso]);
    assert!(tables.of(Object::Vdso).is_none());
    tables.reclaim(Instant::now() + STILL_SEEN);
    let (rows, pages) = maps.room();
    assert_eq!((tables.rows.take(rows), tables.pages.take(pages)), (Some(0), Some(0)));
}

#[test]
fn a_number_that_nobody_uses_is_given_to_another_rule() {
    let mut maps = Maps::new();
    let mut numbers = RuleNumbers::new();
    // Each found by a register that rows cannot name.
    let [first, second, third] = [8, 16, 24].map(|cfa| {
        Rule::offset(10, cfa, SavedFp::Unchanged).expect("a rule that is none of the usual")
    });
    let [number, again] = [first; 2].map(|rule| numbers.take(rule, &mut maps));
    assert_eq!(number, again);
    numbers.give_back(number);
    assert_ne!(numbers.take(second, &mut maps), number);
    numbers.give_back(number);
    assert_eq!(numbers.take(third, &mut maps), number);
    assert_eq!(maps.rule(number), third);
    let root = numbers.take(Rule::ROOT, &mut maps);
    assert_eq!(maps.rule(root), Rule::ROOT);
    numbers.give_back(root);
    assert_eq!(maps.rules.len(), 2, "a usual rule takes no room");
}

#[test]
fn text_that_finds_no_pages_is_told() {
    let mut maps = Maps::new();
    let mut tables = PlacedTables::new(&maps);
    assert!(!tables.begin(Object::Vdso, Some((0, 9 * SLICE_PAGES)), &mut maps));
    assert!(matches!(tables.of(Object::Vdso), Some(None)));
}
