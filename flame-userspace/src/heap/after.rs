//! Where a thread goes on after a probe's trap. The processor's way into a trap and out of it lets
//! no clock interrupt it: a sampling clock that fires meanwhile hits at the next instruction of the
//! program.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use iced_x86::{Decoder, DecoderOptions, FlowControl};

/// No instruction is longer.
const LONGEST: usize = 15;

/// The offsets in a file of the instructions that may come after the one at an offset. Those of
/// computed jumps are not known.
pub(crate) fn after(file: &File, offset: u64) -> Vec<u64> {
    let mut bytes = [0; LONGEST];
    if file.read_exact_at(&mut bytes, offset).is_err() {
        return Vec::new();
    }
    following(&bytes, offset)
}

fn following(bytes: &[u8], offset: u64) -> Vec<u64> {
    // Offsets stand for addresses: a function's code lies in one segment.
    let instruction = Decoder::with_ip(64, bytes, offset, DecoderOptions::NONE).decode();
    let target = instruction.near_branch_target();
    match instruction.flow_control() {
        FlowControl::Next => vec![instruction.next_ip()],
        FlowControl::ConditionalBranch => vec![instruction.next_ip(), target],
        FlowControl::UnconditionalBranch | FlowControl::Call => vec![target],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_the_next_instruction_or_where_a_branch_leads() {
        // push r12; je +5; jmp -2; ret; jmp *rax
        assert_eq!(following(&[0x41, 0x54], 0x100), [0x102]);
        assert_eq!(following(&[0x74, 0x05], 0x100), [0x102, 0x107]);
        assert_eq!(following(&[0xeb, 0xfe], 0x100), [0x100]);
        assert_eq!(following(&[0xc3], 0x100), [0u64; 0]);
        assert_eq!(following(&[0xff, 0xe0], 0x100), [0u64; 0]);
    }
}
