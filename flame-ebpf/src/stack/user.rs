//! The user stack, walked by frame pointers.

use flame_common::frame::RawFrame;
use flame_common::limits::{SAMPLE_FRAMES, USER_FRAMES};
use flame_common::sample::{SampleBuffer, StackEnd};
use flame_common::unwind::frame_pointer::{Cursor, step};

use crate::memory::UserStack;
use crate::task::UserRegisters;

/// Writes the user frames behind the first `offset` of the buffer; returns their number and why
/// there are no more.
#[inline(always)]
pub(crate) fn walk(
    registers: Option<UserRegisters>,
    offset: usize,
    buffer: &mut SampleBuffer,
) -> (usize, StackEnd) {
    let Some(registers) = registers else {
        return (0, StackEnd::NoUserStack);
    };
    put(buffer, offset, RawFrame::instruction_pointer(registers.ip));
    let mut at = Cursor { fp: registers.fp, sp: registers.sp };
    for count in 1..USER_FRAMES {
        match step(at, &UserStack) {
            Ok((caller, return_address)) => {
                put(buffer, offset + count, RawFrame::return_address(return_address));
                at = caller;
            }
            Err(end) => return (count, end),
        }
    }
    (USER_FRAMES, StackEnd::Truncated)
}

#[inline(always)]
fn put(buffer: &mut SampleBuffer, index: usize, frame: RawFrame) {
    // verifier: the mask bounds the index where a comparison would be optimized away.
    if let Some(slot) = buffer.frames.get_mut(index & (SAMPLE_FRAMES - 1)) {
        *slot = frame.0;
    }
}
