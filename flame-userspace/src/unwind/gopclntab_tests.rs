//! Tables of real Go programs, and damaged ones.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use super::*;
use crate::process::ElfLayout;
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
    go.rules(function, |_, rule| rules.push(rule));
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

/// A table of one function of 0x40 bytes: 8 more on the stack from byte 1 on, and back at 0x3f.
fn by_hand() -> Vec<u8> {
    let mut bytes = MAGIC_1_20.to_le_bytes().to_vec();
    bytes.extend([0, 0, 1, 8]);
    for word in [1_u64, 0, 0x1000, 72, 0, 0, 80, 96] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"main.f\0\0");
    // The table of stack pointers is at its offset 1, since 0 is none: 0 for 1 byte, 8 for 0x3e,
    // 0 for 1; the end.
    bytes.extend([0, 2, 1, 16, 0x3e, 15, 1, 0]);
    bytes.resize(96, 0);
    for number in [0_u32, 16, 0x40, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [0_u32, 0, 0, 0, 1, 0, 0, 0, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn a_table_says_what_lies_on_the_stack() {
    let go = GoFunctions::read(by_hand(), &[], &[0x1000..0x2000]).expect("a table");
    assert_eq!(go.name(0), Some("main.f"));
    let mut rules = Vec::new();
    go.rules(0, |address, rule| rules.push((address, rule)));
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
    let code = [0x5000..0x6000];
    let go = GoFunctions::read(without.clone(), &[0, 0x5100], &code).expect("a table");
    assert_eq!(go.code(0), Some(0x5100..0x5140));
    assert!(GoFunctions::read(without, &[0x5fff], &code).is_none(), "it does not fit");
}

#[test]
fn damaged_tables_give_functions_or_none() {
    let whole = by_hand();
    for length in 0..whole.len() {
        if let Some(go) = GoFunctions::read(whole[..length].to_vec(), &[], &[0x1000..0x2000]) {
            go.for_each(|number, _| go.rules(number, |_, _| {}));
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
        if let Some(go) = GoFunctions::read(damaged, &[], &[0x1000..0x2000]) {
            go.for_each(|number, _| go.rules(number, |_, _| {}));
        }
    }
}
