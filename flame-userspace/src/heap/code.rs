//! The instructions of an x86-64 file, read where they are wanted.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use iced_x86::{Decoder, DecoderOptions, Instruction};

use crate::process::ElfLayout;

/// Bytes read at a time. No instruction is longer than 15.
const PIECE: u64 = 512;

/// The code of a file, by addresses of the file's address space.
#[derive(Debug)]
pub(super) struct Code<'a> {
    file: &'a File,
    layout: &'a ElfLayout,
}

impl<'a> Code<'a> {
    pub(super) fn new(file: &'a File, layout: &'a ElfLayout) -> Self {
        Self { file, layout }
    }

    /// The offset in the file of code at an address.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.layout.code_segment(address)?;
        self.layout.offset_of_address(address)
    }

    /// At most `length` bytes of code from an address on; fewer at the end of the code, none where
    /// there is none.
    pub(super) fn bytes(&self, address: u64, length: u64) -> Vec<u8> {
        let Some(segment) = self.layout.code_segment(address) else { return Vec::new() };
        let Some(offset) = self.offset(address) else { return Vec::new() };
        let room = segment.address.saturating_add(segment.length) - address;
        let mut bytes = vec![0; length.min(room) as usize];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    /// The instructions from an address on, in the order of the text, until something that is
    /// none.
    pub(super) fn straight(&self, address: u64) -> impl Iterator<Item = Instruction> {
        let mut next = address;
        let mut rest = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if rest.as_slice().is_empty() {
                let bytes = self.bytes(next, PIECE);
                let at_end = (bytes.len() as u64) < PIECE;
                rest = decode(&bytes, next, at_end).into_iter();
            }
            let instruction: Instruction = rest.next()?;
            next = instruction.next_ip();
            Some(instruction)
        })
    }
}

/// The instructions in a run of bytes that begins at an address. One that the end cuts off is left
/// out, as is all from the first that is none; so is a last one that may have been cut off, unless
/// the code ends there.
pub(super) fn decode(bytes: &[u8], address: u64, at_end: bool) -> Vec<Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut found = Vec::new();
    while decoder.can_decode() {
        if !at_end && bytes.len() - decoder.position() < 15 {
            break;
        }
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            break;
        }
        found.push(instruction);
    }
    found
}
