//! The analysis of code whose unwind information is known, and of a few instructions.

use std::fs::File;

use super::*;
use crate::process::ElfLayout;
use crate::unwind::compile::{Code, SLICE_BYTES, Sources, UnwindInformation};
use crate::unwind::section::FrameSection;
use crate::unwind::source::{read_section, text_of};

fn rules(bytes: &[u8]) -> Vec<(u64, Rule)> {
    let mut rules: Vec<(u64, Rule)> = Vec::new();
    Analysis::new(bytes, 0x1000).rules(true, |address, rule| {
        if rules.last().is_none_or(|last| last.1 != rule) {
            rules.push((address, rule));
        }
    });
    rules
}

fn by(base: u8, cfa: i64, fp: SavedFp) -> Rule {
    Rule::offset(base, cfa, fp).expect("it fits")
}

#[test]
fn pushes_and_room_are_counted_and_a_return_ends_a_function() {
    // push rbx; sub rsp, 16; add rsp, 16; pop rbx; ret; push rbp; ret
    let code = [0x53, 0x48, 0x83, 0xec, 16, 0x48, 0x83, 0xc4, 16, 0x5b, 0xc3, 0x55, 0xc3];
    let plain = SavedFp::Unchanged;
    assert_eq!(
        rules(&code),
        [
            (0x1000, by(SP, 8, plain)),
            (0x1001, by(SP, 16, plain)),
            (0x1005, by(SP, 32, plain)),
            (0x1009, by(SP, 16, plain)),
            (0x100a, by(SP, 8, plain)),
            (0x100c, by(SP, 16, SavedFp::AtCfa(-16))),
        ]
    );
}

#[test]
fn a_function_may_begin_behind_a_jump_and_padding_where_no_branch_leads() {
    // push rbx; jmp to itself; padding; push rbx; ret
    let mut code = vec![0x53, 0xeb, 0xfe];
    code.resize(16, 0x90);
    code.extend([0x53, 0xc3]);
    let begins = rules(&code);
    assert!(begins.contains(&(0x1010, by(SP, 8, SavedFp::Unchanged))), "{begins:?}");
    // The same with a branch to the second part from the first, which has something on the stack.
    code[2] = 13;
    assert!(!rules(&code).contains(&(0x1010, by(SP, 8, SavedFp::Unchanged))));
}

#[test]
fn a_frame_pointer_is_used_where_one_is_kept() {
    // push rbp; mov rbp, rsp; and rsp, -32; leave; ret
    let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xe0, 0xc9, 0xc3];
    let rules = rules(&code);
    assert_eq!(rules[2], (0x1004, by(FP, 16, SavedFp::AtCfa(-16))));
    assert_eq!(rules[3], (0x1009, by(SP, 8, SavedFp::Unchanged)));
}

#[test]
fn code_that_keeps_frame_pointers_is_left_to_them() {
    // push rbp; mov rbp, rsp; pop rbp; ret: twice eight times
    let code = [0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3].repeat(16);
    assert_eq!(rules(&code), [(0x1000, Rule::GAP)]);
}

#[test]
fn an_aligned_frame_is_left_through_a_register_or_a_place() {
    // mov rax, rsp; sub rsp, 64; and rsp, -32; mov [rsp + 48], rax; xor eax, eax; mov rsp, [rsp + 48]; ret
    let code = [
        0x48, 0x89, 0xe0, 0x48, 0x83, 0xec, 64, 0x48, 0x83, 0xe4, 0xe0, 0x48, 0x89, 0x44, 0x24, 48,
        0x31, 0xc0, 0x48, 0x8b, 0x64, 0x24, 48, 0xc3,
    ];
    let rules = rules(&code);
    assert_eq!(rules[2], (0x100b, by(0, 8, SavedFp::Unchanged)));
    let stored = Rule::deref(SP, 48, 8, SavedFp::Unchanged).expect("it fits");
    assert_eq!(rules[3], (0x1010, stored));
    assert_eq!(rules[4], (0x1017, by(SP, 8, SavedFp::Unchanged)));
}

#[test]
fn what_holds_at_a_branch_holds_at_its_target() {
    // push rbx; jmp +2; pop rbx (from below); ret; test; jne -5; hlt
    let code = [0x53, 0xeb, 2, 0x5b, 0xc3, 0x85, 0xc0, 0x75, 0xfa, 0xf4];
    let rules = rules(&code);
    let plain = |cfa| by(SP, cfa, SavedFp::Unchanged);
    let expected =
        [(0x1000, plain(8)), (0x1001, plain(16)), (0x1004, plain(8)), (0x1005, plain(16))];
    assert_eq!(rules, expected);
    // Of an alias through a table nothing is known: jmp rax; nop
    let unknown = [0xff, 0xe0, 0x31, 0xc0, 0xc3];
    assert_eq!(self::rules(&unknown)[1], (0x1002, Rule::GAP));
}

#[test]
fn code_that_takes_its_return_address_has_no_caller() {
    // pop rdi; call r9: how a thread begins in musl's __clone
    assert_eq!(rules(&[0x5f, 0x41, 0xff, 0xd1])[1], (0x1001, Rule::ROOT));
}

#[test]
fn a_return_from_a_signal_is_known_by_its_system_call() {
    // nop; mov rax, 15; syscall: as a return address it is looked up by the byte before
    let code = [0x90, 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05];
    assert_eq!(rules(&code).last(), Some(&(0x1000, Rule::SIGNAL)));
}

#[test]
fn on_code_with_unwind_information_both_say_the_same() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let path = path.into_iter().find(|path| path.contains("libc.so")).unwrap_or("/proc/self/exe");
    let file = File::open(path).expect("a mapped file");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let section = layout.unwind_section.expect("unwind information");
    let bytes = read_section(&file, section);
    let eh_frame = bytes.map(|bytes| FrameSection::whole(bytes, section.address));
    let code = Some(Code { file, segments: layout.segments.clone() });
    let text = text_of(&layout);
    let sources = Sources { eh_frame, code, ..Sources::default() };
    let known = UnwindInformation::read(sources, &text, None).expect("unwind information");
    let slices = known.extent().1 / crate::unwind::compile::SLICE_PAGES;
    let (mut same, mut other, mut silent) = (0, 0, 0);
    for slice in 0..slices {
        let table = known.compile(slice);
        let start = known.extent().0 + u64::from(slice) * SLICE_BYTES;
        let end = (start + SLICE_BYTES).min(text.iter().map(|text| text.end).max().unwrap_or(0));
        let start = start.max(text[0].start);
        let Some(bytes) = known.sources.code.as_ref().and_then(|code| code.read(start..end)) else {
            continue;
        };
        Analysis::new(&bytes, start).rules(false, |address, found| {
            let expected = table.rule(address);
            let is_function = known
                .function(address)
                .is_some_and(|f| f.entry != crate::unwind::compile::Entry::Code);
            if !is_function || expected == Rule::EXPRESSION || expected == Rule::SIGNAL {
                return;
            }
            // By whatever register: where both are by the same, the numbers have to agree.
            if found == Rule::GAP {
                silent += 1;
            } else if found.base() != expected.base() || found.cfa_offset() == expected.cfa_offset()
            {
                same += 1;
            } else {
                other += 1;
            }
        });
    }
    let (told, all) = (same + other, same + other + silent);
    println!("{path}: {told} of {all} instructions told, {other} wrongly");
    assert!(told * 100 > all * 80 && other * 100 < told * 12, "{same} {other} {silent}");
}

#[test]
fn any_bytes_give_rules_or_none() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..600)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 24) as u8
            })
            .collect();
        let mut last = 0;
        Analysis::new(&bytes, u64::MAX - 10_000).rules(true, |address, _| {
            assert!(address >= last);
            last = address;
        });
    }
}

#[test]
fn what_lies_between_is_found() {
    let covered = [10..20, 15..18, 30..40, 90..120];
    assert_eq!(gaps(&(0..100), covered.iter().cloned()), [0..10, 20..30, 40..90]);
    assert_eq!(gaps(&(0..100), std::iter::once(0..100)), []);
    assert_eq!(gaps(&(0..100), std::iter::empty()).first(), Some(&(0..100)));
}
