//! The code that the kernel maps into every process, as a file: flame's own copy of it, which is
//! the same as any other process's of the same width.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::FromRawFd as _;

/// No vDSO is near this size.
const LARGEST: u64 = 1 << 20;

/// The vDSO in a file of memory.
pub(crate) fn vdso() -> Option<File> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let length = u64::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    let mut image = Vec::new();
    let mut memory = File::open("/proc/self/mem").ok()?;
    memory.seek(SeekFrom::Start(start)).ok()?;
    memory.take(length.min(LARGEST)).read_to_end(&mut image).ok()?;
    // SAFETY: the name is a text that ends in NUL and lives through the call.
    let fd = unsafe { libc::memfd_create(c"flame-vdso".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the call just returned this descriptor, and nobody else has it.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(&image).ok()?;
    Some(file)
}
