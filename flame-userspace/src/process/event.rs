//! What happens to processes, as the kernel's side-band records tell it.

use std::path::PathBuf;

/// A change of a process. Pids and tids are those of flame's pid namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProcessEvent {
    /// A thread got a name; `exec` if because its process runs a new program.
    Comm { pid: u32, tid: u32, comm: String, exec: bool },
    /// A process (`tid == pid`) or a thread came to be.
    Fork { pid: u32, parent: u32, tid: u32 },
    /// A thread ended.
    Exit { pid: u32, tid: u32 },
    /// Executable code was mapped.
    Mmap {
        pid: u32,
        start: u64,
        length: u64,
        /// Offset in the file of the byte at `start`.
        offset: u64,
        /// The file in the process's own view, or a name such as `[vdso]` or `//anon`.
        path: PathBuf,
        identity: FileIdentity,
    },
}

/// What the kernel says of a mapped file, to recognize it by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FileIdentity {
    /// Its GNU build ID.
    BuildId(Vec<u8>),
    /// Its file system and inode.
    Inode { major: u32, minor: u32, inode: u64 },
}
