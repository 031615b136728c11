//! ELF files for tests, with headers that no linker writes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use object::elf::{SHT_STRTAB, SHT_SYMTAB, STB_GLOBAL, STT_FUNC};

/// A program header.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TestSegment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) length: u64,
}

/// A section's header.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TestSection {
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) link: u32,
    /// In section 0: the number of program headers that do not fit into the file's header.
    pub(crate) info: u32,
}

/// Where the number of sections is in the file's header.
pub(crate) const SECTION_COUNT: usize = 60;
/// What the file's header says where the number of program headers does not fit in (`PN_XNUM`).
const MANY: u16 = 0xffff;

/// The headers of a 64-bit x86-64 file: its own, then those of its segments and sections.
pub(crate) fn headers(segments: &[TestSegment], sections: &[TestSection]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    let behind = 64 + 56 * segments.len() as u64;
    for word in [0, 64, behind] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    let segment_count = u16::try_from(segments.len()).unwrap_or(MANY);
    for half in [64, 56, segment_count, 64, sections.len() as u16, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for segment in segments {
        bytes.extend(segment.kind.to_le_bytes());
        bytes.extend(segment.flags.to_le_bytes());
        let TestSegment { offset, address, length, .. } = *segment;
        for word in [offset, address, address, length, length, 4] {
            bytes.extend(word.to_le_bytes());
        }
    }
    for section in sections {
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(section.kind.to_le_bytes());
        for word in [section.flags, 0, section.offset, section.length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(section.link.to_le_bytes());
        bytes.extend(section.info.to_le_bytes());
        bytes.extend([0; 16]);
    }
    bytes
}

/// A file that begins so, and goes on with zeroes that take no room until it has this length.
pub(crate) fn sparse(beginning: &[u8], length: u64) -> File {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("flame-sparse-{}-{number}", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    let mut file = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(&path)
        .expect("a temporary file");
    fs::remove_file(&path).expect("the temporary file");
    file.write_all(beginning).expect("room for it");
    file.set_len(length).expect("a sparse file");
    file
}

/// A file with a build ID and these sections, each of a name, a kind and bytes.
pub(crate) fn with_sections(build_id: &[u8], sections: &[(&str, u32, &[u8])]) -> Vec<u8> {
    const NAMES: &str = ".shstrtab";
    const TEXTS: u32 = 3;
    const NOTES: u32 = 4;
    let note = [4, build_id.len() as u32, 3].map(u32::to_le_bytes).concat();
    let note = [&note, &b"GNU\0"[..], build_id].concat();
    let mut names = vec![0];
    let mut name_at = vec![0];
    for name in sections.iter().map(|section| section.0).chain([NAMES]) {
        name_at.push(names.len() as u32);
        names.extend(name.as_bytes());
        names.push(0);
    }
    let all = sections.iter().map(|&(_, kind, bytes)| (kind, bytes)).chain([(TEXTS, &*names)]);
    let first = 64 + 56 + 64 * name_at.len();
    let mut body = note.clone();
    let mut table = vec![TestSection::default()];
    for (kind, bytes) in all {
        body.resize(body.len().next_multiple_of(8), 0);
        let (offset, length) = ((first + body.len()) as u64, bytes.len() as u64);
        table.push(TestSection { kind, offset, length, ..Default::default() });
        body.extend(bytes);
    }
    let (offset, length) = (first as u64, note.len() as u64);
    let notes = TestSegment { kind: NOTES, offset, length, ..Default::default() };
    let mut file = headers(&[notes], &table);
    file[62..64].copy_from_slice(&(sections.len() as u16 + 1).to_le_bytes());
    for (number, at) in name_at.iter().enumerate() {
        let header = 64 + 56 + 64 * number;
        file[header..header + 4].copy_from_slice(&at.to_le_bytes());
    }
    file.extend(body);
    file
}

/// A file of these segments with one symbol table, which goes on with zeroes up to a length.
pub(crate) fn with_symbols(
    segments: &[TestSegment],
    names: &[u8],
    symbols: &[[u8; 24]],
    length: u64,
) -> File {
    let table = symbols.concat();
    let headers = |offset: u64| {
        let (names, table) = (names.len() as u64, table.len() as u64);
        let section = |kind, offset, length| TestSection {
            kind,
            offset,
            length,
            link: 1,
            ..Default::default()
        };
        let names_of = section(SHT_STRTAB, offset, names);
        let symbols_of = section(SHT_SYMTAB, offset + names, table);
        headers(segments, &[TestSection::default(), names_of, symbols_of])
    };
    let start = headers(0).len() as u64;
    let bytes = [&headers(start), names, &table].concat();
    sparse(&bytes, length.max(bytes.len() as u64))
}

/// The symbol of a function whose name is at this offset among the names.
pub(crate) fn function(name: u32, address: u64) -> [u8; 24] {
    let mut entry = [0; 24];
    entry[..4].copy_from_slice(&name.to_le_bytes());
    entry[4] = STB_GLOBAL << 4 | STT_FUNC;
    // Defined: in section 1.
    entry[6] = 1;
    entry[8..16].copy_from_slice(&address.to_le_bytes());
    entry
}
