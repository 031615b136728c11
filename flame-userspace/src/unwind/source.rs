//! Where tables come from: the unwind information of a file, read and not mapped, so that a file
//! that shrinks meanwhile gives an error and not a signal.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::compile::UnwindInformation;
use crate::process::{ElfLayout, Executable, Section, vdso};

/// The number of x86-64 in ELF files (`EM_X86_64`).
const X86_64: u16 = 62;
/// Most bytes of unwind information that are read: the largest programs have a tenth of it.
const LARGEST: u64 = 128 << 20;

/// The unwind information of a file; `None` if it has none, or cannot be read.
pub(super) fn of_file(executable: &Executable) -> Option<UnwindInformation> {
    from_file(executable.file.as_ref()?, &executable.layout)
}

/// The unwind information of the code that the kernel maps into every process.
pub(super) fn of_vdso() -> Option<UnwindInformation> {
    let file = vdso()?;
    from_file(&file, &ElfLayout::read(&file)?)
}

pub(super) fn from_file(file: &File, layout: &ElfLayout) -> Option<UnwindInformation> {
    if layout.machine != X86_64 {
        return None;
    }
    let section = layout.unwind_section?;
    let bytes = read_section(file, section)?;
    UnwindInformation::read(bytes, section.address, &text_of(layout), layout.entry)
}

/// The bytes of a section.
pub(super) fn read_section(file: &File, section: Section) -> Option<Vec<u8>> {
    let file_length = file.metadata().ok()?.len();
    let end = section.offset.checked_add(section.length)?;
    if section.length > LARGEST || end > file_length {
        return None;
    }
    let mut bytes = vec![0; section.length as usize];
    file.read_exact_at(&mut bytes, section.offset).ok()?;
    Some(bytes)
}

/// The addresses of a file's code.
pub(super) fn text_of(layout: &ElfLayout) -> Vec<Range<u64>> {
    let code = layout.segments.iter().filter(|segment| segment.executable);
    code.map(|s| s.address..s.address.saturating_add(s.length)).collect()
}
