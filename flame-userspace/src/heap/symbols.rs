//! Where functions and variables of given names lie in an ELF file. Symbol tables are read in
//! pieces, so that what is held does not grow with the file: a program's names may take hundreds of
//! MiB. What is read, and what is kept of it, has limits: the file may be anything.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, ensure};
use object::Endianness;
use object::elf::{
    FileHeader64, SHF_ALLOC, SHT_DYNSYM, SHT_RELA, SHT_SYMTAB, STB_LOCAL, STT_FUNC, STT_OBJECT,
};
use object::read::elf::{FileHeader, SectionHeader as _};

use crate::process::Bounded;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;
/// The most bytes that a file's symbols, their names and its relocations may have together.
const MOST_BYTES: u64 = 1 << 30;
/// The most symbol tables of a file: linkers write one of all symbols and one for the loader.
const MOST_TABLES: usize = 4;
/// The largest number of relocations that are kept.
const MOST_SLOTS: usize = 1 << 20;
/// The most places where wanted names may be read. Names that end so count too: a program may
/// have tens of thousands that end in `free`.
const MOST_PLACES: usize = 1 << 20;
/// The most functions or variables of the wanted names.
const MOST_FOUND: usize = 4096;
/// The most sections that are looked at.
const MOST_SECTIONS: u64 = 1 << 14;
/// Bytes of a section's header, and of the file's own.
const HEADER: u64 = 64;
/// The longest name that is read of a symbol outside the file, in bytes.
const LONGEST_NAME: usize = 128;
/// Length of an `Elf64_Sym` and of an `Elf64_Rela`.
const ENTRY: usize = 24;

/// A function or variable of a wanted name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Which of the names: its index.
    pub(super) name: usize,
    /// Address in the file's address space.
    pub(super) address: u64,
    /// Its bytes; 0 if unknown.
    pub(super) size: u64,
    /// Whether the file keeps it to itself.
    pub(super) is_local: bool,
}

/// A part of a file.
#[derive(Debug, Clone, Copy)]
struct Part {
    offset: u64,
    length: u64,
}

/// The symbol tables of a file and its relocations against them.
#[derive(Debug)]
pub(super) struct SymbolTables<'a> {
    file: &'a File,
    /// Each with its names.
    tables: Vec<(Part, Part)>,
    dynamic: Option<(Part, Part)>,
    relocations: Vec<Part>,
}

impl<'a> SymbolTables<'a> {
    /// Finds the tables of a 64-bit little-endian file.
    pub(super) fn of(file: &'a File) -> anyhow::Result<Self> {
        // The file's header, section 0 where it tells the number of sections, and all of them.
        let bytes = Bounded::new(file, HEADER * (MOST_SECTIONS + 2));
        let header = FileHeader64::<Endianness>::parse(&bytes).context("read the ELF header")?;
        let endian = header.endian().context("read the byte order")?;
        ensure!(endian == Endianness::Little, "flame reads little-endian programs alone");
        let sections = header.section_headers(endian, &bytes);
        ensure!(!bytes.is_exceeded(), "the file has more than {MOST_SECTIONS} sections");
        let sections = sections.context("read the sections")?;
        let mut left = MOST_BYTES;
        let mut part = |section: &object::elf::SectionHeader64<Endianness>| {
            let (offset, length) = (section.sh_offset(endian), section.sh_size(endian));
            let rest = left.checked_sub(length).context("the file has too many symbols")?;
            left = rest;
            anyhow::Ok(Part { offset, length })
        };
        let mut found = Self { file, tables: Vec::new(), dynamic: None, relocations: Vec::new() };
        for section in sections {
            let kind = section.sh_type(endian);
            if kind == SHT_SYMTAB || kind == SHT_DYNSYM {
                let link = section.sh_link(endian) as usize;
                let names = sections.get(link).context("a symbol table without names")?;
                let table = (part(section)?, part(names)?);
                found.tables.push(table);
                ensure!(found.tables.len() <= MOST_TABLES, "the file has many symbol tables");
                if kind == SHT_DYNSYM {
                    found.dynamic = Some(table);
                }
            }
            if kind == SHT_RELA && section.sh_flags(endian) & u64::from(SHF_ALLOC) != 0 {
                found.relocations.push(part(section)?);
            }
        }
        Ok(found)
    }

    /// The functions of these names that the file defines.
    pub(super) fn functions(&self, names: &[&str]) -> anyhow::Result<Vec<Symbol>> {
        self.find(names, STT_FUNC)
    }

    /// The variables of these names that the file defines.
    pub(super) fn variables(&self, names: &[&str]) -> anyhow::Result<Vec<Symbol>> {
        self.find(names, STT_OBJECT)
    }

    fn find(&self, names: &[&str], wanted: u8) -> anyhow::Result<Vec<Symbol>> {
        let mut found = Vec::new();
        for &(symbols, strings) in &self.tables {
            let places = self.places(strings, names).context("read the symbols' names")?;
            let visit = |entry: &[u8; ENTRY]| {
                let (kind, binding) = (entry[4] & 15, entry[4] >> 4);
                let (address, size) = (u64_at(entry, 8), u64_at(entry, 16));
                let is_defined = entry[6..8] != [0, 0] && address != 0;
                let Some(&name) = places.get(&u64::from(u32_at(entry, 0))) else { return };
                if kind == wanted && is_defined && found.len() <= MOST_FOUND {
                    let is_local = binding == STB_LOCAL;
                    found.push(Symbol { name, address, size, is_local });
                }
            };
            self.entries(symbols, visit).context("read the symbols")?;
            ensure!(found.len() <= MOST_FOUND, "the file has many symbols of the same names");
        }
        Ok(found)
    }

    /// Whether the file defines data or code of this name for others to use.
    pub(super) fn defines(&self, name: &str) -> anyhow::Result<bool> {
        let Some((symbols, strings)) = self.dynamic else { return Ok(false) };
        let places = self.places(strings, &[name]).context("read the symbols' names")?;
        let mut is_defined = false;
        self.entries(symbols, |entry| {
            is_defined |=
                entry[6..8] != [0, 0] && places.contains_key(&u64::from(u32_at(entry, 0)));
        })?;
        Ok(is_defined)
    }

    /// The name behind each slot of the global offset table through which functions are called:
    /// by the slot's address in the file's address space.
    pub(super) fn slots(&self) -> anyhow::Result<HashMap<u64, String>> {
        const GLOB_DAT: u32 = 6;
        const JUMP_SLOT: u32 = 7;
        let mut slots = Vec::new();
        for &part in &self.relocations {
            let visit = |entry: &[u8; ENTRY]| {
                let kind = u32_at(entry, 8);
                if matches!(kind, GLOB_DAT | JUMP_SLOT) && slots.len() < MOST_SLOTS {
                    slots.push((u64_at(entry, 0), u32_at(entry, 12)));
                }
            };
            self.entries(part, visit).context("read the relocations")?;
        }
        let Some((symbols, strings)) = self.dynamic else { return Ok(HashMap::new()) };
        Ok(slots
            .into_iter()
            .filter_map(|(slot, index)| Some((slot, self.name_of(symbols, strings, index)?)))
            .collect())
    }

    fn name_of(&self, symbols: Part, strings: Part, index: u32) -> Option<String> {
        let at = u64::from(index) * ENTRY as u64;
        let mut name = [0; 4];
        if at >= symbols.length {
            return None;
        }
        self.file.read_exact_at(&mut name, symbols.offset.checked_add(at)?).ok()?;
        let at = u64::from(u32::from_le_bytes(name));
        let room = strings.length.checked_sub(at)?.min(LONGEST_NAME as u64) as usize;
        let mut text = vec![0; room];
        self.file.read_exact_at(&mut text, strings.offset.checked_add(at)?).ok()?;
        let end = text.iter().position(|&byte| byte == 0)?;
        text.truncate(end);
        String::from_utf8(text).ok()
    }

    /// Each entry of a table.
    fn entries(&self, part: Part, mut visit: impl FnMut(&[u8; ENTRY])) -> anyhow::Result<()> {
        let mut piece = vec![0; ENTRY * 8192];
        let mut at = 0;
        let whole = part.length - part.length % ENTRY as u64;
        while at < whole {
            let length = (whole - at).min(piece.len() as u64) as usize;
            let offset = part.offset.checked_add(at).context("an offset beyond any file")?;
            self.file.read_exact_at(&mut piece[..length], offset)?;
            let (entries, _) = piece[..length].as_chunks::<ENTRY>();
            entries.iter().for_each(&mut visit);
            at += length as u64;
        }
        Ok(())
    }

    /// At which offsets of a table of names each of these may be read. A name may be the end of a
    /// longer one, as linkers share ends.
    fn places(&self, part: Part, names: &[&str]) -> anyhow::Result<HashMap<u64, usize>> {
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        let mut by_end: HashMap<[u8; 2], Vec<usize>> = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(end) = name.as_bytes().last_chunk::<2>() {
                by_end.entry(*end).or_default().push(index);
            }
        }
        let mut places = HashMap::new();
        // What was read, with enough of what lay before it to hold the longest name.
        let mut window: Vec<u8> = Vec::new();
        let mut at = 0;
        while at < part.length {
            let length = (part.length - at).min(PIECE as u64) as usize;
            let kept = window.len().min(longest);
            window.drain(..window.len() - kept);
            window.resize(kept + length, 0);
            let offset = part.offset.checked_add(at).context("an offset beyond any file")?;
            self.file.read_exact_at(&mut window[kept..], offset)?;
            let start = at - kept as u64;
            for (end, _) in window.iter().enumerate().skip(kept).filter(|(_, byte)| **byte == 0) {
                let text = &window[..end];
                let Some(last) = text.last_chunk::<2>() else { continue };
                for &index in by_end.get(last).into_iter().flatten() {
                    if text.ends_with(names[index].as_bytes()) {
                        places.insert(start + (end - names[index].len()) as u64, index);
                    }
                }
            }
            ensure!(places.len() <= MOST_PLACES, "the file has many names that end alike");
            at += length as u64;
        }
        Ok(places)
    }
}

fn u32_at(entry: &[u8; ENTRY], at: usize) -> u32 {
    entry[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(entry: &[u8; ENTRY], at: usize) -> u64 {
    entry[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
#[path = "symbols_tests.rs"]
mod tests;
