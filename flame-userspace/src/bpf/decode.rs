//! A sample's bytes on the ring, understood. Total: any bytes give a sample or an error.

use flame_common::frame::RawFrame;
use flame_common::sample::{HEADER_BYTES, SampleKind, StackEnd};
use flame_common::unwind::{REGISTER_WORDS, Registers};

use crate::aggregate::{RawSample, StackCopy};

/// Why bytes are no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Fewer or more bytes than the header says.
    Length,
    /// A kind of sample that this version does not know.
    Kind,
    /// A reason for the stack's end that this version does not know.
    End,
}

/// Understands one sample.
pub(crate) fn decode(bytes: &[u8]) -> Result<RawSample, DecodeError> {
    let (header, frames) = bytes.split_at_checked(HEADER_BYTES).ok_or(DecodeError::Length)?;
    let long = |at: usize| u64::from_ne_bytes(chunk(header, at));
    let word = |at: usize| u32::from_ne_bytes(chunk(header, at));
    let short = |at: usize| usize::from(u16::from_ne_bytes(chunk(header, at)));
    let (kernel, user) = (short(52), short(54));
    let copied = word(60) as usize;
    let (frames, copy) = frames.split_at_checked((kernel + user) * 8).ok_or(DecodeError::Length)?;
    let copy = stack_copy(copy, copied)?;
    let mut addresses = frames.chunks_exact(8).map(|eight| u64::from_ne_bytes(chunk(eight, 0)));
    let comm = &header[64..80];
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    Ok(RawSample {
        time_ns: long(0),
        value: long(8),
        id: long(16),
        interval: long(24),
        address: long(32),
        pid: word(40),
        tid: word(44),
        kind: SampleKind::try_from(word(48)).map_err(|_| DecodeError::Kind)?,
        user_end: StackEnd::try_from(word(56)).map_err(|_| DecodeError::End)?,
        comm: String::from_utf8_lossy(&comm[..end]).into_owned(),
        kernel: addresses.by_ref().take(kernel).collect(),
        user: addresses.map(RawFrame).collect(),
        copy,
    })
}

/// Understands registers and `copied` bytes of stack; nothing may be there where none was copied.
fn stack_copy(bytes: &[u8], copied: usize) -> Result<Option<Box<StackCopy>>, DecodeError> {
    if copied == 0 {
        return if bytes.is_empty() { Ok(None) } else { Err(DecodeError::Length) };
    }
    let (saved, stack) = bytes.split_at_checked(REGISTER_WORDS * 8).ok_or(DecodeError::Length)?;
    if stack.len() != copied {
        return Err(DecodeError::Length);
    }
    let mut registers = Registers {
        ip: u64::from_ne_bytes(chunk(saved, 128)),
        is_return: u32::from_ne_bytes(chunk(saved, 136)),
        all_known: u32::from_ne_bytes(chunk(saved, 140)),
        ..Registers::default()
    };
    for (register, eight) in registers.general.iter_mut().zip(saved.chunks_exact(8)) {
        *register = u64::from_ne_bytes(chunk(eight, 0));
    }
    Ok(Some(Box::new(StackCopy { registers, stack: stack.to_owned() })))
}

/// `N` bytes at `at` of a slice that is known to be long enough.
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut chunk = [0; N];
    chunk.copy_from_slice(&bytes[at..at + N]);
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(5u64.to_ne_bytes());
        bytes.extend(10_000u64.to_ne_bytes());
        bytes.extend([90u64, 91, 92].map(u64::to_ne_bytes).concat());
        for number in [7u32, 8, 0] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend(2u16.to_ne_bytes());
        bytes.extend((StackEnd::Root as u32).to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(b"worker\0\0\0\0\0\0\0\0\0\0");
        for frame in [0xffff_ffff_8000_0000, RawFrame::instruction_pointer(1).0, 2] {
            bytes.extend(frame.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_sample_reads_back() {
        let sample = decode(&sample()).expect("a sample");
        assert_eq!((sample.time_ns, sample.value, sample.pid, sample.tid), (5, 10_000, 7, 8));
        assert_eq!((sample.id, sample.interval, sample.address), (90, 91, 92));
        assert_eq!(sample.comm, "worker");
        assert_eq!(sample.kernel, [0xffff_ffff_8000_0000]);
        assert_eq!(sample.user, [RawFrame::instruction_pointer(1), RawFrame::return_address(2)]);
        assert_eq!(sample.user_end, StackEnd::Root);
    }

    #[test]
    fn a_copied_stack_reads_back_with_its_registers() {
        let mut bytes = sample();
        bytes[60] = 24;
        for number in 0..17u64 {
            bytes.extend((100 + number).to_ne_bytes());
        }
        bytes.extend([1u32, 0].map(u32::to_ne_bytes).concat());
        bytes.extend(1..=24);
        let copy = decode(&bytes).expect("a sample").copy.expect("a copy");
        assert_eq!((copy.registers.general[0], copy.registers.sp()), (100, 107));
        assert_eq!((copy.registers.ip, copy.registers.is_return), (116, 1));
        assert_eq!(copy.registers.all_known, 0);
        assert_eq!(copy.stack, (1..=24).collect::<Vec<u8>>());
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Err(DecodeError::Length));
        }
        bytes[60] = 0;
        assert_eq!(decode(&bytes), Err(DecodeError::Length));
    }

    #[test]
    fn a_sample_of_another_length_is_refused() {
        let whole = sample();
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), Err(DecodeError::Length));
        }
        assert_eq!(decode(&[whole.as_slice(), &[0]].concat()), Err(DecodeError::Length));
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let mut bytes = sample();
        bytes[48] = 9;
        assert_eq!(decode(&bytes), Err(DecodeError::Kind));
        let mut bytes = sample();
        bytes[56] = 99;
        assert_eq!(decode(&bytes), Err(DecodeError::End));
    }
}
