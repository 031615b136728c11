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

/// What the kernel says of a mapped file, to recognize it by: its file system and inode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct FileIdentity {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) inode: u64,
    /// Tells apart the files that had the inode one after another; 0 where it is not told.
    pub(crate) generation: u64,
}

impl FileIdentity {
    /// Whether another description can be of the same file.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let place = |of: &Self| (of.major, of.minor, of.inode);
        place(self) == place(other)
    }
}
