//! Whole stacks of this test itself.

use std::arch::asm;
use std::collections::HashSet;

use super::*;
use flame_common::unwind::{FP, SP};

/// This thread's registers and the stack above them.
#[inline(never)]
fn capture() -> (Registers, Vec<u8>) {
    let mut registers = Registers { all_known: 1, ..Registers::default() };
    let (ip, sp, fp): (u64, u64, u64);
    // SAFETY: the instructions read registers and write the three outputs alone.
    unsafe {
        asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) ip, out(reg) sp, out(reg) fp,
             options(nomem, nostack));
    }
    registers.ip = ip;
    registers.general[usize::from(SP)] = sp;
    registers.general[usize::from(FP)] = fp;
    // The test's thread has a stack of 2 MiB, of which a little is used: the rest of its page and
    // as many pages as are mapped above.
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
    let end = maps.lines().find_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
        range.contains(&sp).then_some(range.end)
    });
    let start = sp - RED_ZONE;
    let length =
        (end.expect("the own stack is mapped") - start).min(STACK_COPY as u64 - 8) as usize;
    let mut stack = vec![0; length];
    // SAFETY: the bytes from the red zone to the end of its mapping can be read.
    unsafe { std::ptr::copy_nonoverlapping(start as *const u8, stack.as_mut_ptr(), length) };
    (registers, stack)
}

#[inline(never)]
fn recurse(depth: u32) -> (Registers, Vec<u8>) {
    let captured = if depth == 0 { capture() } else { recurse(depth - 1) };
    std::hint::black_box(captured)
}

fn walk(registers: Registers, stack: &[u8]) -> (Vec<RawFrame>, StackEnd) {
    let mut processes = ProcessTable::new(false, HashSet::new());
    let process = processes.add_running(std::process::id());
    let mut frames = vec![RawFrame::instruction_pointer(registers.ip)];
    let stopped = Stopped { end: StackEnd::NoTable, registers, stack };
    let end = Unwinder::default().finish(stopped, process, &mut processes, &mut frames);
    (frames, end)
}

#[test]
fn the_stack_of_this_thread_is_walked_to_its_root() {
    let (registers, stack) = recurse(20);
    let (frames, end) = walk(registers, &stack);
    assert_eq!(end, StackEnd::Root, "{} frames", frames.len());
    assert!(frames.len() > 25, "{} frames", frames.len());
    let calls = frames.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(calls >= 18, "recursion shows as equal frames: {calls}");
    assert!(!frames.iter().any(|frame| frame.is_guess()));
}

#[test]
fn a_stack_that_goes_on_beyond_its_copy_says_so() {
    let (registers, mut stack) = recurse(20);
    stack.resize(192, 0);
    let (frames, end) = walk(registers, &stack);
    assert_eq!(end, StackEnd::Unreadable, "a short stack that was copied whole");
    assert!(!frames.is_empty());
}

#[test]
fn an_address_without_code_ends_the_walk() {
    let mut registers = Registers { ip: 0x10, all_known: 1, ..Registers::default() };
    registers.general[usize::from(SP)] = 0x1000;
    assert_eq!(
        walk(registers, &[0; 64]),
        (vec![RawFrame::instruction_pointer(0x10)], StackEnd::Unmapped)
    );
}
