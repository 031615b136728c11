//! What flame reads of an ELF file itself: where its code is loaded, and its build ID. Names and
//! lines are blazesym's.

use std::fs::File;

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::ReadCacheOps;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};
use object::{Endianness, ReadRef, SectionIndex};

use super::bounded::Bounded;

/// A loadable part of an executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Address in the file's own address space (`p_vaddr`).
    pub(crate) address: u64,
    /// Offset in the file (`p_offset`).
    pub(crate) offset: u64,
    /// Bytes in the file (`p_filesz`).
    pub(crate) length: u64,
    pub(crate) executable: bool,
}

/// Where an executable's parts lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ElfLayout {
    pub(crate) segments: Vec<Segment>,
    pub(crate) build_id: Option<Vec<u8>>,
    /// Whether function names can be had from the file itself: it has a `.symtab`.
    pub(crate) has_symbols: bool,
    /// Whether lines can be had from the file itself: it has a `.debug_info`.
    pub(crate) has_debug_info: bool,
    /// Where the name of its separate debug file is in the file (`.gnu_debuglink`).
    pub(crate) debug_link: Option<Section>,
    /// Address and length of the search table of its unwind information (`PT_GNU_EH_FRAME`).
    pub(crate) unwind_index: Option<(u64, u64)>,
    /// Where its unwind information is in the file (`.eh_frame`).
    pub(crate) unwind_section: Option<Section>,
    /// Where debuggers' unwind information is in the file (`.debug_frame`).
    pub(crate) debug_frame: Option<Section>,
    /// Where Go's own tables are.
    pub(crate) go: Option<GoSections>,
    /// The machine that its code is for (`e_machine`).
    pub(crate) machine: u16,
    /// Where it begins to run, if it is a program or a loader (`e_entry`).
    pub(crate) entry: Option<u64>,
}

/// A part of a file with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    /// Address in the file's own address space.
    pub(crate) address: u64,
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Bytes in the file.
    pub(crate) length: u64,
    /// Whether the bytes are compressed (`SHF_COMPRESSED`).
    pub(crate) compressed: bool,
}

/// What Go's linker writes for its runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoSections {
    /// Its functions (`.gopclntab`).
    pub(crate) functions: Section,
    /// Where the parts of the program are (`.go.module`, since Go 1.26).
    pub(crate) module: Option<Section>,
    /// Address of `.text`.
    pub(crate) text: u64,
}

/// The most that is read of a file for its layout, in bytes. Real files have far below a tenth.
const MOST_BYTES: u64 = 16 << 20;
/// The most loadable parts of a file: each look-up goes through all of them. Linkers make fewer
/// than 20.
const MOST_SEGMENTS: usize = 256;
/// The most segments of notes that are looked at, and the most bytes of one: linkers make two or
/// three of some hundred bytes.
const MOST_NOTES: usize = 64;
const LARGEST_NOTES: u64 = 64 << 10;

/// The sections of Go's functions: the second is that of position-independent programs.
const GO_FUNCTIONS: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];

impl ElfLayout {
    /// Reads the layout of a file; `None` if it is no ELF file, damaged, or has more of anything
    /// than linkers make.
    pub(crate) fn read(file: &File) -> Option<Self> {
        Self::read_from(file)
    }

    fn read_from(file: impl ReadCacheOps) -> Option<Self> {
        let bytes = Bounded::new(file, MOST_BYTES);
        let layout = match (&bytes).read_bytes_at(0, 16).ok()?.get(4)? {
            1 => Self::parse::<FileHeader32<Endianness>>(&bytes),
            2 => Self::parse::<FileHeader64<Endianness>>(&bytes),
            _ => None,
        };
        layout.filter(|_| !bytes.is_exceeded())
    }

    fn parse<'a, Elf: FileHeader<Endian = Endianness>>(bytes: impl ReadRef<'a>) -> Option<Self> {
        let header = Elf::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let entry: u64 = header.e_entry(endian).into();
        let mut layout = Self {
            machine: header.e_machine(endian),
            entry: (entry != 0).then_some(entry),
            ..Self::default()
        };
        let mut notes = 0;
        for segment in header.program_headers(endian, bytes).ok()? {
            let length: u64 = segment.p_filesz(endian).into();
            match segment.p_type(endian) {
                elf::PT_LOAD => {
                    if layout.segments.len() == MOST_SEGMENTS {
                        return None;
                    }
                    layout.segments.push(Segment {
                        address: segment.p_vaddr(endian).into(),
                        offset: segment.p_offset(endian).into(),
                        length,
                        executable: segment.p_flags(endian) & elf::PF_X != 0,
                    });
                }
                elf::PT_GNU_EH_FRAME => {
                    layout.unwind_index = Some((segment.p_vaddr(endian).into(), length));
                }
                elf::PT_NOTE
                    if layout.build_id.is_none()
                        && notes < MOST_NOTES
                        && length <= LARGEST_NOTES =>
                {
                    notes += 1;
                    layout.build_id = build_id(segment, endian, bytes);
                }
                _ => {}
            }
        }
        if let Ok(sections) = header.sections(endian, bytes) {
            use object::read::elf::SectionHeader as _;
            layout.has_symbols =
                sections.iter().any(|section| section.sh_type(endian) == elf::SHT_SYMTAB);
            // At one time: a read for each would take longer than all the rest.
            let names = header.shstrndx(endian, bytes).ok();
            let names = names.and_then(|at| sections.section(SectionIndex(at as usize)).ok());
            let names = names.and_then(|names| names.data(endian, bytes).ok()).unwrap_or_default();
            let is_named = |section: &Elf::SectionHeader, name: &[u8]| {
                let rest = names.get(section.sh_name(endian) as usize..);
                let rest = rest.and_then(|rest| rest.strip_prefix(name));
                rest.is_some_and(|rest| rest.first() == Some(&0))
            };
            let section = |name: &[u8]| {
                let found = sections.iter().find(|section| is_named(section, name))?;
                // A separate debug file has the headers alone of what the file itself has.
                (found.sh_type(endian) != elf::SHT_NOBITS).then(|| Section {
                    address: found.sh_addr(endian).into(),
                    offset: found.sh_offset(endian).into(),
                    length: found.sh_size(endian).into(),
                    compressed: found.sh_flags(endian).into() & u64::from(elf::SHF_COMPRESSED) != 0,
                })
            };
            if layout.build_id.is_none() {
                // Debug files of eu-strip have the program's headers of segments, and their notes
                // elsewhere.
                let notes = sections.iter().find(|s| is_named(s, b".note.gnu.build-id"));
                let notes = notes.filter(|notes| notes.sh_size(endian).into() <= LARGEST_NOTES);
                let notes = notes.and_then(|notes| notes.notes(endian, bytes).ok().flatten());
                layout.build_id = notes.and_then(|notes| build_id_of(notes, endian));
            }
            layout.unwind_section = section(b".eh_frame");
            layout.debug_frame = section(b".debug_frame");
            layout.debug_link = section(b".gnu_debuglink");
            layout.has_debug_info = section(b".debug_info").is_some();
            layout.go = GO_FUNCTIONS.iter().find_map(|name| section(name)).map(|functions| {
                let text = section(b".text").map_or(0, |text| text.address);
                GoSections { functions, module: section(b".go.module"), text }
            });
        }
        Some(layout)
    }

    /// The address in the file's own address space of the byte at a file offset, if code or data
    /// is loaded from there.
    pub(crate) fn address_of_offset(&self, offset: u64) -> Option<u64> {
        let holds = |s: &&Segment| (s.offset..s.offset.saturating_add(s.length)).contains(&offset);
        // Of segments that share a page the executable one is meant.
        let segment =
            self.segments.iter().filter(holds).max_by_key(|segment| segment.executable)?;
        Some(offset.wrapping_sub(segment.offset).wrapping_add(segment.address))
    }

    /// The address in the file's own address space at which a mapping of code begins. Mappings
    /// begin at pages and segments need not: at the mapping's own offset another segment may lie,
    /// with another distance between offsets and addresses.
    pub(crate) fn address_of_mapping(&self, offset: u64, length: u64) -> Option<u64> {
        let shared = |s: &Segment| {
            let end = s.offset.saturating_add(s.length).min(offset.saturating_add(length));
            end.saturating_sub(s.offset.max(offset))
        };
        let code = self.segments.iter().filter(|s| s.executable && shared(s) > 0);
        let segment = code.max_by_key(|s| shared(s))?;
        Some(offset.wrapping_sub(segment.offset).wrapping_add(segment.address))
    }

    /// The offset in the file of an address of the file's own address space.
    pub(crate) fn offset_of_address(&self, address: u64) -> Option<u64> {
        let holds =
            |s: &&Segment| (s.address..s.address.saturating_add(s.length)).contains(&address);
        let segment = self.segments.iter().find(holds)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// The executable segment that an address of the file's address space lies in.
    pub(crate) fn code_segment(&self, address: u64) -> Option<Segment> {
        self.segments.iter().copied().find(|s| {
            s.executable && (s.address..s.address.saturating_add(s.length)).contains(&address)
        })
    }
}

/// The build ID in a segment of notes.
fn build_id<'a, Header: ProgramHeader>(
    segment: &Header,
    endian: Header::Endian,
    bytes: impl ReadRef<'a>,
) -> Option<Vec<u8>> {
    build_id_of(segment.notes(endian, bytes).ok()??, endian)
}

/// The build ID among notes.
fn build_id_of<Elf: FileHeader>(
    mut notes: NoteIterator<'_, Elf>,
    endian: Elf::Endian,
) -> Option<Vec<u8>> {
    let mut found = None;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
            found = Some(note.desc());
        }
    }
    found.map(<[u8]>::to_owned)
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
