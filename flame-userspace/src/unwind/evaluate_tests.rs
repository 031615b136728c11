//! Computed steps beside those of rules, and of entries made by hand.

use super::*;
use crate::unwind::compile::{SLICE_BYTES, Sources};
use crate::unwind::section::FrameSection;
use crate::unwind::source::{read_section, text_of};
use crate::unwind::test_files::{Mapped, mapped};
use crate::unwind::test_memory::{Scattered, scattered};

#[test]
fn where_a_rule_says_all_the_computed_step_is_the_same() {
    let mut compared = 0;
    for Mapped { path, file, layout } in mapped() {
        let section = layout.unwind_section.expect("unwind information");
        let bytes = read_section(&file, section).expect("a readable section");
        let eh_frame = Some(FrameSection::whole(bytes, section.address));
        let sources = Sources { eh_frame, ..Sources::default() };
        let Some(information) = UnwindInformation::read(sources, &text_of(&layout), None) else {
            continue;
        };
        let (start, pages) = information.extent();
        for address in (start..start + u64::from(pages) * 4096).step_by(61) {
            let slice = information.slice_of(address).expect("within the extent");
            if address % SLICE_BYTES < 61 {
                compared += compare(&information, slice, &path);
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

/// Compares the steps at some addresses of a slice.
fn compare(information: &UnwindInformation, slice: u32, path: &str) -> usize {
    let table = information.compile(slice);
    let start = information.extent().0 + u64::from(slice) * SLICE_BYTES;
    let mut compared = 0;
    for address in (start..start + SLICE_BYTES).step_by(37) {
        let rule = table.rule(address);
        if information.function(address).is_none() || rule == Rule::EXPRESSION || rule == Rule::GAP
        {
            continue;
        }
        let (mut ruled, mut computed) = (Frame::new(scattered()), Frame::new(scattered()));
        // A lazy-binding stub is told by its own address.
        (ruled.registers.ip, computed.registers.ip) = (address, address);
        let by_rule = ruled.step(rule, &mut Scattered);
        let found = computed.compute(information, address, &mut Scattered);
        let at = format!("{path} at {address:#x}: {rule:?}");
        assert_eq!(found, Some(by_rule), "{at}");
        let of = |frame: &Frame| (frame.registers.ip, frame.registers.sp(), frame.registers.fp());
        // A row takes a frame pointer that is undefined for unchanged.
        let fp_known = computed.known & 1 << FP != 0;
        let other = if fp_known {
            of(&computed)
        } else {
            (of(&computed).0, of(&computed).1, ruled.registers.fp())
        };
        assert_eq!(of(&ruled), other, "{at}");
        compared += 1;
    }
    compared
}

/// Where the code lies.
const CODE: [std::ops::Range<u64>; 1] = [std::ops::Range { start: 0x1000, end: 0x2000 }];

/// The information of code at 0x1000, 0x100 bytes long, by instructions of `.debug_frame`.
fn by_hand(instructions: &[u8]) -> UnwindInformation {
    // Version 1, no augmentation, units of 1 and -8, return address in 16; CFA = sp + 8, return
    // address at CFA - 8.
    let head = [1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1];
    let mut bytes = Vec::new();
    let mut push = |id: u32, rest: &[u8]| {
        bytes.extend((rest.len() as u32 + 4).to_le_bytes());
        bytes.extend(id.to_le_bytes());
        bytes.extend(rest);
    };
    push(u32::MAX, &head);
    let code = [0x1000_u64.to_le_bytes(), 0x100_u64.to_le_bytes()].concat();
    push(0, &[&code[..], instructions].concat());
    let sources = Sources { debug_frame: Some(bytes), ..Sources::default() };
    UnwindInformation::read(sources, &CODE, None).expect("one entry")
}

fn computed(instructions: &[u8]) -> (Option<Result<Step, StackEnd>>, Frame) {
    let information = by_hand(instructions);
    let mut frame = Frame::new(scattered());
    (frame.compute(&information, 0x1010, &mut Scattered), frame)
}

#[test]
fn registers_that_no_row_holds_are_restored() {
    // DW_CFA_offset rbx at CFA - 16; DW_CFA_register r12 in rdx; DW_CFA_register ra in rdi.
    let (found, frame) = computed(&[0x83, 2, 0x09, 12, 1, 0x09, 16, 5]);
    assert_eq!(found, Some(Ok(Step::Called)));
    let was = scattered();
    let cfa = was.sp() + 8;
    assert_eq!(frame.registers.sp(), cfa);
    assert_eq!(frame.registers.general[3], Scattered.word(cfa - 16).expect("any word"));
    assert_eq!(frame.registers.general[12], was.general[1]);
    assert_eq!(frame.registers.ip, was.general[5], "the return address is in a register");
    assert_eq!(frame.registers.general[13], was.general[13], "kept by every function");
    assert_eq!(frame.register(Register(11)), Some(was.general[11]), "nothing says otherwise");
}

#[test]
fn expressions_give_places_values_and_the_cfa() {
    // CFA = *(rbx + 16) + 32; r15 = CFA - 1 (a value); r14 at CFA + 8.
    let (found, frame) = computed(&[
        0x0f, 5, 0x73, 16, 0x06, 0x23,
        32, // def_cfa_expression: breg3 16, deref, plus_uconst 32
        0x16, 15, 2, 0x31, 0x1c, // val_expression r15: lit1, minus
        0x10, 14, 2, 0x23, 8, // expression r14: plus_uconst 8
    ]);
    let was = scattered();
    let cfa = Scattered.word(was.general[3] + 16).expect("any word") + 32;
    assert!(cfa > was.sp(), "the memory's words are chosen so");
    assert_eq!(found, Some(Ok(Step::Called)));
    assert_eq!(frame.registers.general[15], cfa - 1);
    assert_eq!(frame.registers.general[14], Scattered.word(cfa + 8).expect("any word"));
}

#[test]
fn the_innermost_function_alone_may_have_taken_its_return_address_off_the_stack() {
    // CFA = sp; DW_CFA_register ra in rdi.
    let instructions = [0x0c, 7, 0, 0x09, 16, 5];
    let (found, frame) = computed(&instructions);
    assert_eq!(found, Some(Ok(Step::Called)));
    assert_eq!(
        (frame.registers.ip, frame.registers.sp()),
        (scattered().general[5], scattered().sp())
    );
    let mut caller = Frame::new(Registers { is_return: 1, ..scattered() });
    let found = caller.compute(&by_hand(&instructions), 0x1010, &mut Scattered);
    assert_eq!(found, Some(Err(StackEnd::Implausible)), "such a walk might not end");
}

#[test]
fn what_does_not_end_or_lacks_a_register_is_given_up() {
    let (endless, _) = computed(&[0x0f, 3, 0x2f, 0xfd, 0xff]); // skip -3
    assert_eq!(endless, Some(Err(StackEnd::Expression)));
    let growing = [0x0f, 4, 0x30, 0x2f, 0xfc, 0xff]; // lit0, skip -4
    assert_eq!(computed(&growing).0, Some(Err(StackEnd::Expression)));
    let vector = [0x0f, 3, 0x90, 33, 6]; // regx 33: no general register
    assert_eq!(computed(&vector).0, Some(Err(StackEnd::Expression)));
    let information = by_hand(&[0x0c, 12, 8]); // CFA = r12 + 8
    let mut caller = Frame::new(Registers { all_known: 0, ..scattered() });
    let found = caller.compute(&information, 0x1010, &mut Scattered);
    assert_eq!(found, Some(Err(StackEnd::Expression)), "what was there is not known any more");
}

#[test]
fn an_undefined_return_address_is_the_root() {
    assert_eq!(computed(&[0x07, 16]).0, Some(Err(StackEnd::Root)));
}
