//! The instructions of an x86-64 file, read where they are wanted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use iced_x86::{Decoder, DecoderOptions, Instruction};

use crate::process::ElfLayout;

/// Bytes that are read at a time and kept.
const PIECE: u64 = 4096;
/// No instruction is longer.
const LONGEST: u64 = 15;
/// The most pieces that are kept at a time.
const MOST_PIECES: usize = 1024;

/// The code of a file, by addresses of the file's address space.
#[derive(Debug)]
pub(super) struct Code<'a> {
    file: &'a File,
    layout: &'a ElfLayout,
    /// By their first addresses; each goes on until no instruction that begins in it is cut off.
    pieces: RefCell<HashMap<u64, Rc<[u8]>>>,
}

impl<'a> Code<'a> {
    pub(super) fn new(file: &'a File, layout: &'a ElfLayout) -> Self {
        Self { file, layout, pieces: RefCell::default() }
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
        std::iter::from_fn(move || {
            let instruction = self.at(next)?;
            next = instruction.next_ip();
            Some(instruction)
        })
    }

    /// The instruction at an address.
    fn at(&self, address: u64) -> Option<Instruction> {
        // The piece begins with its first byte of code.
        let segment = self.layout.code_segment(address)?;
        let start = (address - address % PIECE).max(segment.address);
        let piece = self.piece(start);
        let bytes = piece.get((address - start) as usize..)?;
        let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
        let instruction = decoder.can_decode().then(|| decoder.decode())?;
        (!instruction.is_invalid()).then_some(instruction)
    }

    fn piece(&self, start: u64) -> Rc<[u8]> {
        let mut pieces = self.pieces.borrow_mut();
        if pieces.len() >= MOST_PIECES && !pieces.contains_key(&start) {
            pieces.clear();
        }
        let read = || self.bytes(start, PIECE + LONGEST).into();
        Rc::clone(pieces.entry(start).or_insert_with(read))
    }
}

/// The instructions in a run of bytes that begins at an address, until something that is none.
pub(super) fn decode(bytes: &[u8], address: u64) -> impl Iterator<Item = Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()))
        .take_while(|instruction| !instruction.is_invalid())
}
