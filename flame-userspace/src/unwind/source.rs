//! Where tables come from: the unwind information of a file, read and not mapped, so that a file
//! that shrinks meanwhile gives an error and not a signal.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use gimli::{BaseAddresses, EhFrameHdr, LittleEndian, Pointer};

use super::compile::{Code, Sources, UnwindInformation};
use super::gopclntab::GoFunctions;
use super::indexed::Index;
use super::section::FrameSection;
use crate::process::{ElfLayout, Executable, GoSections, Section, vdso};

/// The number of x86-64 in ELF files (`EM_X86_64`).
const X86_64: u16 = 62;
/// Most bytes of unwind information that are read: the largest programs have a tenth of it.
const LARGEST: u64 = 128 << 20;
/// Bytes of a search table that tell where the unwind information is.
const HEADER: u64 = 64;
/// Where Go's `moduledata` tells the start of the text, since Go 1.26 (runtime/symtab.go): behind
/// the table's address, six slices and three words.
const GO_TEXT: usize = 8 * (1 + 6 * 3 + 3);

/// The unwind information of a file; `None` if it has none, or cannot be read.
pub(super) fn of_file(executable: &Executable) -> Option<UnwindInformation> {
    from_file(executable.file.as_ref()?, &executable.layout, executable.debug_file.as_ref())
}

/// The unwind information of the code that the kernel maps into every process.
pub(super) fn of_vdso() -> Option<UnwindInformation> {
    let file = vdso()?;
    from_file(&file, &ElfLayout::read(&file)?, None)
}

pub(super) fn from_file(
    file: &File,
    layout: &ElfLayout,
    debug_file: Option<&File>,
) -> Option<UnwindInformation> {
    if layout.machine != X86_64 {
        return None;
    }
    let text = text_of(layout);
    let go = layout.go.and_then(|go| go_functions(file, go, &text));
    let debug_frame = match layout.debug_frame {
        Some(section) => read_section(file, section),
        None => debug_file.and_then(|debug| {
            let section = ElfLayout::read(debug)?.debug_frame?;
            read_section(debug, section)
        }),
    };
    let code = file.try_clone().ok().map(|file| Code { file, segments: layout.segments.clone() });
    let index = if go.is_none() && debug_frame.is_none() { index_of(file, layout) } else { None };
    let (eh_frame, index) = match index {
        Some((section, index)) => (Some(section), Some(index)),
        None => (whole_eh_frame(file, layout), None),
    };
    let sources = Sources { eh_frame, index, go, debug_frame, code };
    UnwindInformation::read(sources, &text, layout.entry)
}

/// `.eh_frame` of a file, with the search table that leads to its entries.
fn index_of(file: &File, layout: &ElfLayout) -> Option<(FrameSection, Index)> {
    let (address, length) = layout.unwind_index?;
    let offset = layout.offset_of_address(address)?;
    let table = Section { address, offset, length, compressed: false };
    let section = eh_frame_of(file, layout).filter(|section| !section.compressed)?;
    if section.length > LARGEST || !is_in_file(file, section)? {
        return None;
    }
    let bytes = read_section(file, table)?;
    let index = Index::read(bytes, address, section.address, section.length)?;
    if index.section() != Some(section.address) {
        return None;
    }
    let (file, length) = (file.try_clone().ok()?, section.length as usize);
    Some((FrameSection::in_file(file, section.offset, length, section.address), index))
}

/// `.eh_frame` of a file as a whole.
fn whole_eh_frame(file: &File, layout: &ElfLayout) -> Option<FrameSection> {
    let section = eh_frame_of(file, layout)?;
    Some(FrameSection::whole(read_section(file, section)?, section.address))
}

/// Where the `.eh_frame` of a file is: without a table of sections, from where its search table
/// says to the end of that segment. It ends itself.
fn eh_frame_of(file: &File, layout: &ElfLayout) -> Option<Section> {
    if layout.unwind_section.is_some() {
        return layout.unwind_section;
    }
    let (address, length) = layout.unwind_index?;
    let part = |address, length| Section {
        address,
        offset: layout.offset_of_address(address).unwrap_or(u64::MAX),
        length,
        compressed: false,
    };
    let header = read_section(file, part(address, length.min(HEADER)))?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(address);
    let header = EhFrameHdr::new(&header, LittleEndian).parse(&bases, 8).ok()?;
    let Pointer::Direct(start) = header.eh_frame_ptr() else { return None };
    let segment = layout.segments.iter().find(|segment| {
        (segment.address..segment.address.saturating_add(segment.length)).contains(&start)
    })?;
    let length = segment.address.saturating_add(segment.length) - start;
    Some(part(start, length.min(LARGEST)))
}

/// The functions of a Go program.
pub(super) fn go_functions(
    file: &File,
    go: GoSections,
    text: &[Range<u64>],
) -> Option<GoFunctions> {
    let table = read_section(file, go.functions)?;
    let told = go.module.and_then(|module| {
        let bytes = read_section(file, module)?;
        Some(u64::from_le_bytes(*bytes.get(GO_TEXT..)?.first_chunk()?))
    });
    let texts: Vec<u64> = told.into_iter().chain([go.text]).collect();
    GoFunctions::read(table, &texts, text)
}

/// The bytes of a section.
pub(super) fn read_section(file: &File, section: Section) -> Option<Vec<u8>> {
    if section.length > LARGEST || !is_in_file(file, section)? {
        return None;
    }
    let mut bytes = vec![0; section.length as usize];
    file.read_exact_at(&mut bytes, section.offset).ok()?;
    if section.compressed { decompress(&bytes) } else { Some(bytes) }
}

fn is_in_file(file: &File, section: Section) -> Option<bool> {
    let file_length = file.metadata().ok()?.len();
    Some(section.offset.checked_add(section.length)? <= file_length)
}

/// A compressed section's content: `Elf64_Chdr` (kind u32, 0 u32, size u64, alignment u64), then
/// a zlib stream.
fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    const ZLIB: u32 = 1;
    let kind = u32::from_le_bytes(*bytes.first_chunk()?);
    let size = u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    if kind != ZLIB || size > LARGEST {
        return None;
    }
    let mut content = Vec::new();
    let stream = flate2::read::ZlibDecoder::new(bytes.get(24..)?);
    stream.take(size).read_to_end(&mut content).ok()?;
    (content.len() as u64 == size).then_some(content)
}

/// The addresses of a file's code, in order; segments that overlap are one piece: else the code
/// between functions would be found once for each.
pub(super) fn text_of(layout: &ElfLayout) -> Vec<Range<u64>> {
    let code = layout.segments.iter().filter(|segment| segment.executable);
    let mut text: Vec<Range<u64>> =
        code.map(|s| s.address..s.address.saturating_add(s.length)).collect();
    text.sort_unstable_by_key(|piece| piece.start);
    text.dedup_by(|next, last| {
        let overlaps = next.start < last.end;
        if overlaps {
            last.end = last.end.max(next.end);
        }
        overlaps
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Segment;

    #[test]
    fn code_that_is_told_twice_is_there_once() {
        let segment =
            |address, length, executable| Segment { address, offset: 0, length, executable };
        let mut segments = vec![segment(0x5000, 0x1000, true); 9];
        segments.extend([
            segment(0x1000, 0x2000, true),
            segment(0x1800, 0x100, true),
            segment(0x2fff, 0x1000, true),
            segment(0x3fff, 0x100, true),
            segment(0x4800, 0x10, false),
        ]);
        let text = text_of(&ElfLayout { segments, ..ElfLayout::default() });
        assert_eq!(text, [0x1000..0x3fff, 0x3fff..0x40ff, 0x5000..0x6000]);
    }
}
