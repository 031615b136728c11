//! The user stack, walked by unwind tables, and by frame pointers where there are none.

use core::ffi::c_void;
use core::hint::cold_path;

use aya_ebpf::helpers::generated::bpf_loop;
use flame_common::frame::RawFrame;
use flame_common::limits::{SAMPLE_FRAMES, STACK_COPY, USER_FRAMES, USER_FRAMES_WITHOUT_LOOP};
use flame_common::sample::{SampleBuffer, StackEnd};
use flame_common::unwind::{Registers, Step, Usual, step, step_usual};

use super::table::Trail;
use super::{RememberedRules, copy, return_probe, table};
use crate::config::config;
use crate::known::Known;
use crate::memory::Window;
use crate::scratch::Scratch;

/// Where a walk stands. Kept in a map: for the verifier a frame begins with nothing known, so that
/// it looks at one frame and not at hundreds.
#[repr(C)]
pub(crate) struct Walk {
    /// The registers of the frame that was reached.
    pub(crate) registers: Registers,
    /// The process, and its mappings.
    pub(crate) known: Known,
    trail: Trail,
    /// Index of the first user frame in the buffer.
    first: u64,
    /// Frames so far.
    pub(super) frames: u64,
    /// Whether the last frame is a guess, by frame pointer.
    guessed: u64,
    /// Why the walk ended, a [`StackEnd`].
    end: u64,
    pub(super) window: Window,
}

/// A walk's outcome.
pub(crate) struct UserStack {
    pub(crate) frames: usize,
    /// Why the walk ended, a [`StackEnd`].
    pub(crate) end: u32,
    /// Bytes of stack behind the frames.
    pub(crate) copied: usize,
    /// Whether it led to a process or to a file of which user space has yet to hear, or is deeper than
    /// a copy goes, so that its outer frames are lost until user space has heard of its code. Else it
    /// is enough to hear of further code of a known file in a while.
    pub(crate) is_news: bool,
}

impl UserStack {
    #[inline(always)]
    fn without_copy(frames: usize, end: u32) -> Self {
        Self { frames, end, copied: 0, is_news: false }
    }
}

/// What a frame's step is given, by address.
struct Context {
    walk: *mut Walk,
    remembered: *mut RememberedRules,
    buffer: *mut SampleBuffer,
}

/// Writes the user frames behind the first `first` of the buffer, from the registers in
/// `scratch.walk`. `innermost` gives those once more: what has to be computed starts over, since
/// the walk keeps no more than the registers that its rules need.
#[inline(always)]
pub(crate) fn walk(
    scratch: &mut Scratch,
    has_user: bool,
    first: usize,
    time_ns: u64,
    innermost_registers: impl FnOnce(&mut Registers),
) -> UserStack {
    if !has_user {
        return UserStack::without_copy(0, StackEnd::NoUserStack as u32);
    }
    let walk = &mut *scratch.walk;
    let innermost = match walk.registers.is_return {
        0 => RawFrame::instruction_pointer(walk.registers.ip),
        _ => RawFrame::return_address(walk.registers.ip),
    };
    put(scratch.buffer, first, innermost);
    walk.trail.begin(walk.known.run);
    walk.first = first as u64;
    walk.frames = 1;
    walk.guessed = 0;
    walk.end = StackEnd::Truncated as u64;
    walk.window.clear();
    let mut context = Context {
        walk: &raw mut *scratch.walk,
        remembered: &raw mut *scratch.remembered,
        buffer: &raw mut *scratch.buffer,
    };
    run(&mut context);
    let walk = &*scratch.walk;
    let frames = walk.frames as usize;
    // verifier: as numbers. A table of reasons would be read at an index that it does not bound.
    let end = walk.end as u32;
    let goes_on = end == StackEnd::NoTable as u32
        || end == StackEnd::Expression as u32
        || end == StackEnd::Unmapped as u32
        || end == StackEnd::Truncated as u32;
    if !goes_on {
        return UserStack::without_copy(frames, end);
    }
    let is_news = end == StackEnd::Unmapped as u32
        || end == StackEnd::NoTable as u32 && walk.trail.is_without_table();
    if end == StackEnd::Expression as u32 {
        innermost_registers(&mut scratch.walk.registers);
    }
    match copy::take(&scratch.walk.registers, first + frames, time_ns, scratch.buffer) {
        Some(0) => UserStack::without_copy(frames, StackEnd::Unreadable as u32),
        Some(copied) => {
            let is_deep = end == StackEnd::NoTable as u32 && copied == STACK_COPY;
            UserStack { frames, end, copied, is_news: is_news || is_deep }
        }
        None => UserStack { is_news, ..UserStack::without_copy(frames, end) },
    }
}

/// Steps until the walk ends.
#[inline(always)]
fn run(context: &mut Context) {
    if config!(has_loop) == 0 {
        for index in 1..USER_FRAMES_WITHOUT_LOOP {
            if frame(index as u64, context) != 0 {
                break;
            }
        }
        return;
    }
    let callback = frame as extern "C" fn(u64, *mut Context) -> i64;
    // SAFETY: the helper (Linux 5.17) calls `frame` with the context, which outlives the call, and
    // holds the addresses of map values that live as long as the program runs.
    unsafe {
        bpf_loop(USER_FRAMES as u32 - 1, callback as *mut c_void, (&raw mut *context).cast(), 0);
    }
}

/// One frame: the callback of `bpf_loop`; not 0 ends the walk.
// verifier: a function of its own, which is looked at once.
#[inline(never)]
extern "C" fn frame(_index: u64, context: *mut Context) -> i64 {
    // SAFETY: `run` passes a context whose pointers are those of `Scratch`, which nobody uses
    // meanwhile.
    let (walk, remembered, buffer) = unsafe {
        let context = &*context;
        (&mut *context.walk, &mut *context.remembered, &mut *context.buffer)
    };
    match advance(walk, remembered) {
        Ok(found) => {
            let index = walk.first.wrapping_add(walk.frames) as usize;
            put(buffer, index, found);
            walk.frames = walk.frames.wrapping_add(1);
            0
        }
        Err(end) => {
            walk.end = end as u64;
            1
        }
    }
}

#[inline(always)]
fn advance(walk: &mut Walk, remembered: &mut RememberedRules) -> Result<RawFrame, StackEnd> {
    let address = walk.registers.lookup();
    let number = match table::number_of(address, walk.known.run, &mut walk.trail, remembered) {
        Err(StackEnd::Unmapped) => return without_code(walk),
        found => found?,
    };
    let found = if let Some(rule) = Usual::of_number(number) {
        step_usual(&mut walk.registers, rule, &mut walk.window)?
    } else {
        cold_path();
        step(&mut walk.registers, table::rule_of(number)?, &mut walk.window)?
    };
    walk.guessed = u64::from(found == Step::Guessed);
    Ok(found.frame(&walk.registers))
}

/// What there is to do at an address at which no code is known.
#[inline(always)]
fn without_code(walk: &mut Walk) -> Result<RawFrame, StackEnd> {
    if let Some(mended) = return_probe::mend(walk) {
        return Ok(mended);
    }
    // The guess that led there was wrong.
    if walk.guessed != 0 {
        walk.frames = walk.frames.wrapping_sub(1);
        return Err(StackEnd::NoFramePointer);
    }
    Err(StackEnd::Unmapped)
}

#[inline(always)]
fn put(buffer: &mut SampleBuffer, index: usize, frame: RawFrame) {
    // verifier: the mask bounds the index where a comparison would be optimized away.
    if let Some(slot) = buffer.body.get_mut(index & (SAMPLE_FRAMES - 1)) {
        *slot = frame.0;
    }
}
