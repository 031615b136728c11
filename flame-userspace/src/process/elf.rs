//! What flame reads of an ELF file itself: where its code is loaded, and its build ID. Names and
//! lines are blazesym's.

use std::fs::File;
use std::ops::Range;

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef, SectionIndex};

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

/// The sections of Go's functions: the second is that of position-independent programs.
const GO_FUNCTIONS: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];

impl ElfLayout {
    /// Reads the layout of a file; `None` if it is no ELF file or damaged.
    pub(crate) fn read(file: &File) -> Option<Self> {
        let cache = ReadCache::new(file);
        let bytes = Bounded(&cache);
        match bytes.read_bytes_at(0, 16).ok()?.get(4)? {
            1 => Self::parse::<FileHeader32<Endianness>>(bytes),
            2 => Self::parse::<FileHeader64<Endianness>>(bytes),
            _ => None,
        }
    }

    fn parse<Elf: FileHeader<Endian = Endianness>>(bytes: Bounded<'_>) -> Option<Self> {
        let header = Elf::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let entry: u64 = header.e_entry(endian).into();
        let mut layout = Self {
            machine: header.e_machine(endian),
            entry: (entry != 0).then_some(entry),
            ..Self::default()
        };
        for segment in header.program_headers(endian, bytes).ok()? {
            if segment.p_type(endian) == elf::PT_LOAD {
                layout.segments.push(Segment {
                    address: segment.p_vaddr(endian).into(),
                    offset: segment.p_offset(endian).into(),
                    length: segment.p_filesz(endian).into(),
                    executable: segment.p_flags(endian) & elf::PF_X != 0,
                });
            }
            if segment.p_type(endian) == elf::PT_GNU_EH_FRAME {
                layout.unwind_index =
                    Some((segment.p_vaddr(endian).into(), segment.p_filesz(endian).into()));
            }
            if layout.build_id.is_none()
                && let Ok(Some(mut notes)) = segment.notes(endian, bytes)
            {
                while let Ok(Some(note)) = notes.next() {
                    if note.name() == elf::ELF_NOTE_GNU
                        && note.n_type(endian) == elf::NT_GNU_BUILD_ID
                    {
                        layout.build_id = Some(note.desc().to_owned());
                    }
                }
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
            layout.unwind_section = section(b".eh_frame");
            layout.debug_frame = section(b".debug_frame");
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

/// Most bytes that one table of the file may have: real ones stay far below.
const LARGEST_TABLE: u64 = 16 << 20;

/// Reads parts of a file without mapping it: a file that shrinks meanwhile gives an error and not
/// a signal.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a ReadCache<&'a File>);

impl<'a> ReadRef<'a> for Bounded<'a> {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > LARGEST_TABLE {
            return Err(());
        }
        self.0.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let end = range.end.min(range.start.saturating_add(LARGEST_TABLE));
        self.0.read_bytes_at_until(range.start..end, delimiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_layout_of_this_test_binary_is_read() {
        let file = File::open("/proc/self/exe").expect("this test binary");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        let code = layout.segments.iter().find(|s| s.executable).expect("it has code");
        assert!(layout.has_symbols);
        assert_eq!(layout.address_of_offset(code.offset), Some(code.address));
        assert_eq!(layout.offset_of_address(code.address + 1), Some(code.offset + 1));
        assert_eq!(layout.code_segment(code.address + code.length - 1), Some(*code));
        assert_eq!(layout.code_segment(code.address + code.length), None);
        assert_eq!(layout.address_of_offset(u64::MAX), None);
    }

    #[test]
    fn a_mapping_of_code_may_begin_where_another_segment_ends() {
        // As lld lays out: the code's addresses are a page above its offsets.
        let segment =
            |address, offset, length, executable| Segment { address, offset, length, executable };
        let segments = vec![segment(0, 0, 0x11bbc, false), segment(0x12bc0, 0x11bc0, 0x9000, true)];
        let layout = ElfLayout { segments, ..ElfLayout::default() };
        assert_eq!(layout.address_of_mapping(0x11000, 0xa000), Some(0x12000));
        assert_eq!(layout.address_of_mapping(0x13000, 0x1000), Some(0x14000), "a part of it");
        assert_eq!(layout.address_of_mapping(0, 0x11000), None, "no code");
        assert_eq!(layout.address_of_mapping(u64::MAX, 0x1000), None);
    }

    #[test]
    fn a_truncated_file_is_refused_at_any_length() {
        let whole = std::fs::read("/proc/self/exe").expect("this test binary");
        let path = std::env::temp_dir().join(format!("flame-elf-{}", std::process::id()));
        for length in (0..4096).step_by(7).chain([whole.len() / 2]) {
            let mut file = File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(&path)
                .expect("a temporary file");
            file.write_all(&whole[..length]).expect("room for it");
            // Without a panic; what can be read of half a file may be read.
            let layout = ElfLayout::read(&file);
            assert!(length > 64 || layout.is_none());
        }
        std::fs::remove_file(&path).expect("the temporary file");
    }
}
