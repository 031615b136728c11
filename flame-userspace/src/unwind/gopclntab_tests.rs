//! Tables of real Go programs, and damaged ones.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use super::*;
use crate::process::ElfLayout;
use crate::unwind::compile::{SLICE_BYTES, Sources, UnwindInformation};
use crate::unwind::entries::MOST_STEPS;
use crate::unwind::sliced::{RUNTIME_SLICES, SlicedTable};
use crate::unwind::source::{go_functions, text_of};

/// Go programs of the machine, of whatever versions: the go commands.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path).map(|dir| dir.join("go")).collect();
    found.push("/usr/local/go/bin/go".into());
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let versions = versions.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("go-"))
    });
    found.extend(versions.map(|path| path.join("bin/go")));
    let mut found: Vec<PathBuf> =
        found.iter().filter_map(|path| path.canonicalize().ok()).collect();
    found.sort();
    found.dedup();
    found
}

fn functions(path: &PathBuf) -> Option<GoFunctions> {
    let file = File::open(path).ok()?;
    let layout = ElfLayout::read(&file)?;
    go_functions(&file, layout.go?, &text_of(&layout))
}

fn rules_of(go: &GoFunctions, function: u32) -> Vec<Rule> {
    let mut rules = Vec::new();
    go.rules(function, &mut Steps::of_a_slice(), |_, rule| rules.push(rule));
    rules
}

#[test]
fn real_programs_have_roots_switches_and_frames_that_grow_and_shrink() {
    let mut read = 0;
    for path in programs() {
        let Some(go) = functions(&path) else { continue };
        let mut numbers = HashMap::new();
        let mut last = 0;
        go.for_each(|number, code| {
            assert!(code.start >= last, "in the order of addresses");
            last = code.start;
            numbers.insert(go.name(number).expect("a name").to_owned(), number);
        });
        for root in ["runtime.goexit", "runtime.mstart", "runtime.rt0_go", "runtime.mcall", "gogo"]
        {
            let rules = numbers.get(root).map(|&number| rules_of(&go, number));
            assert_eq!(rules, Some(vec![Rule::ROOT]), "{root} of {}", path.display());
        }
        let signal = SIGNAL_RETURNS
            .iter()
            .find_map(|name| numbers.get(std::str::from_utf8(name).expect("a text")));
        let signal = signal.expect("a return from signals");
        assert_eq!(rules_of(&go, *signal), [Rule::SIGNAL], "{}", path.display());
        let main = rules_of(&go, numbers["runtime.main"]);
        let grown = main.iter().map(|rule| rule.cfa_offset()).max().expect("a rule");
        assert!(main[0].cfa_offset() == 8 && grown > 16, "{main:?}");
        let switch = rules_of(&go, numbers["runtime.systemstack"]);
        assert!(switch.contains(&Rule::CHAIN), "{switch:?}");
        println!("{}: {} functions", path.display(), numbers.len());
        read += 1;
    }
    if read == 0 {
        println!("skipped: no Go program here");
    }
}

/// Where the code lies.
const CODE: [Range<u64>; 1] = [Range { start: 0x1000, end: 0x2000 }];

/// A table of functions that begin behind each other, the last where the one before it ends. They
/// share a name and a table of stack pointers.
fn table(starts: &[u32], name: &[u8], stack_pointers: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC_1_20.to_le_bytes().to_vec();
    bytes.extend([0, 0, 1, 8]);
    let counters = 72 + name.len() + 1;
    let functions = counters + 1 + stack_pointers.len();
    let count = starts.len() - 1;
    for word in [count, 0, 0x1000, 72, 0, 0, counters, functions] {
        bytes.extend((word as u64).to_le_bytes());
    }
    bytes.extend([name, &[0]].concat());
    // The table of stack pointers is at its offset 1, since 0 is none.
    bytes.extend([&[0], stack_pointers].concat());
    for start in starts {
        bytes.extend(start.to_le_bytes());
        bytes.extend((8 * starts.len() as u32).to_le_bytes());
    }
    for number in [0_u32, 0, 0, 0, 1, 0, 0, 0, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

/// A table of one function of 0x40 bytes: 8 more on the stack from byte 1 on, and back at 0x3f.
fn by_hand() -> Vec<u8> {
    // 0 for 1 byte, 8 for 0x3e, 0 for 1; the end.
    table(&[0, 0x40], b"main.f", &[2, 1, 16, 0x3e, 15, 1, 0])
}

#[test]
fn a_table_says_what_lies_on_the_stack() {
    let go = GoFunctions::read(by_hand(), &[], &CODE).expect("a table");
    assert_eq!(go.name(0), Some("main.f"));
    let mut rules = Vec::new();
    go.rules(0, &mut Steps::of_a_slice(), |address, rule| rules.push((address, rule)));
    let offset = |cfa, fp| Rule::offset(SP, cfa, fp).expect("it fits");
    assert_eq!(
        rules,
        [
            (0x1000, offset(8, SavedFp::Unchanged)),
            (0x1001, offset(16, SavedFp::AtCfa(-16))),
            (0x103f, offset(8, SavedFp::Unchanged)),
        ]
    );
}

#[test]
fn the_start_of_text_is_what_the_file_says_where_the_table_does_not() {
    let mut without = by_hand();
    without[24..32].fill(0);
    let code = std::slice::from_ref(&(0x5000..0x6000));
    let go = GoFunctions::read(without.clone(), &[0, 0x5100], code).expect("a table");
    assert_eq!(go.code(0), Some(0x5100..0x5140));
    assert!(GoFunctions::read(without, &[0x5fff], code).is_none(), "it does not fit");
}

#[test]
fn damaged_tables_give_functions_or_none() {
    let whole = by_hand();
    for length in 0..whole.len() {
        if let Some(go) = GoFunctions::read(whole[..length].to_vec(), &[], &CODE) {
            go.for_each(|number, _| go.rules(number, &mut Steps::of_a_slice(), |_, _| {}));
        }
    }
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        let mut damaged = whole.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % damaged.len();
            damaged[at] = (state >> 32) as u8;
        }
        if let Some(go) = GoFunctions::read(damaged, &[], &CODE) {
            go.for_each(|number, _| go.rules(number, &mut Steps::of_a_slice(), |_, _| {}));
        }
    }
}

#[test]
fn a_pair_of_no_code_is_the_last() {
    let first = (0x1000, Rule::offset(SP, 8, SavedFp::Unchanged).expect("it fits"));
    let cases = [
        (vec![2, 1, 16, 0, 0], vec![first]),
        (vec![2, 1, 16, 0, 15, 0x3f, 0], vec![first, (0x1001, Rule::GAP)]),
        (vec![2, 0, 16, 0x40, 0], vec![(0x1000, Rule::GAP)]),
    ];
    for (stack_pointers, expected) in cases {
        let bytes = table(&[0, 0x40], b"main.f", &stack_pointers);
        let go = GoFunctions::read(bytes, &[], &CODE).expect("a table");
        let mut rules = Vec::new();
        go.rules(0, &mut Steps::of_a_slice(), |address, rule| rules.push((address, rule)));
        assert_eq!(rules, expected, "{stack_pointers:?}");
    }
}

/// Calls for the rules of all functions as of those of one slice: how many rules there were, how
/// many steps that took, and the last function's first rule.
fn all_rules(bytes: Vec<u8>) -> (usize, usize, Option<Rule>) {
    let go = GoFunctions::read(bytes, &[], &CODE).expect("a table");
    let mut steps = Steps::of_a_slice();
    let (mut count, mut last) = (0, None);
    go.for_each(|number, _| {
        let mut first = None;
        go.rules(number, &mut steps, |_, rule| {
            count += 1;
            first.get_or_insert(rule);
        });
        last = first;
    });
    (count, steps.taken(), last)
}

#[test]
fn functions_that_share_a_long_table_take_a_bounded_number_of_steps() {
    let end = 0x1000;
    let of_one_byte: Vec<u32> = (0..=end).collect();
    let no_code = [16, 0].repeat(1 << 20);
    let (rules, steps, last) = all_rules(table(&of_one_byte, b"main.f", &no_code));
    assert_eq!((rules, steps, last), (0x1000, 0x1000, Some(Rule::GAP)));
    // Each to the end of the code.
    let overlapping: Vec<u32> = (0..end).flat_map(|start| [start, end]).collect();
    let (rules, steps, last) = all_rules(table(&overlapping, b"main.f", &[2, 1].repeat(1 << 20)));
    assert_eq!((steps, last), (MOST_STEPS, Some(Rule::GAP)));
    assert!(rules <= MOST_STEPS + 2 * end as usize, "{rules}");
}

#[test]
fn of_a_long_name_a_piece_is_looked_at() {
    let long = [&b"runtime."[..], &[b'x'; LONGEST_NAME - 10]].concat();
    let go = GoFunctions::read(table(&[0, 0x40], &long, &[2, 0x40, 0]), &[], &CODE);
    let go = go.expect("a table");
    assert_eq!(go.head_of_name(0).map(<[u8]>::len), Some(HEAD_OF_NAME));
    assert!(go.is_runtime(0) && go.name(0).is_some_and(|name| name.len() == long.len()));
    // All names that say something are shorter.
    let known = LEAVERS.iter().chain(&ORDINARY).chain(&SIGNAL_RETURNS).chain(&RUNTIME);
    assert!(known.clone().all(|name| name.len() < HEAD_OF_NAME));
    for name in LEAVERS {
        let go = GoFunctions::read(table(&[0, 0x40], name, &[2, 0x40, 0]), &[], &CODE);
        assert_eq!(rules_of(&go.expect("a table"), 0), [Rule::ROOT]);
    }
}

#[test]
fn a_runtime_that_lies_in_many_slices_is_compiled_in_part() {
    let slices = 4 * RUNTIME_SLICES as u64;
    let starts: Vec<u32> = (0..=slices).map(|slice| (slice * SLICE_BYTES) as u32).collect();
    let text = 0x1000..0x1000 + slices * SLICE_BYTES;
    let bytes = table(&starts, b"runtime.f", &[2, 0x10, 0]);
    let go = GoFunctions::read(bytes, &[], std::slice::from_ref(&text));
    let sources = Sources { go, ..Sources::default() };
    let information = UnwindInformation::read(sources, &[text], None).expect("functions");
    assert_eq!(SlicedTable::new(information, 99).compile_first().len(), RUNTIME_SLICES);
}
