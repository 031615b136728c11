//! The files that code was mapped from, each once, held open from the first sight.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{ElfLayout, FileIdentity, debug_file, procfs, root};

/// A handle of an [`Executable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExecutableId(u32);

/// A file that code was mapped from.
#[derive(Debug)]
pub(crate) struct Executable {
    /// Its path as the process that mapped it first saw it.
    pub(crate) path: PathBuf,
    /// The file; `None` if it could not be opened, or is not the one that was mapped.
    pub(crate) file: Option<File>,
    /// A separate debug file of the same build ID, where the file itself lacks what it may have.
    pub(crate) debug_file: Option<File>,
    pub(crate) layout: ElfLayout,
}

impl Executable {
    /// The address in the file's address space of the byte at a file offset. Where the file's
    /// layout is not known, the offset itself, so that nothing is lost.
    pub(crate) fn address_of_offset(&self, offset: u64) -> u64 {
        self.layout.address_of_offset(offset).unwrap_or(offset)
    }
}

/// What tells a file's contents: its device, inode and size, and when it was last written.
type Contents = (u64, u64, u64, i64, i64);

fn contents(file: &File) -> Option<Contents> {
    let meta = file.metadata().ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// Where to look for a mapped file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapped<'a> {
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) path: &'a Path,
    pub(crate) identity: &'a FileIdentity,
    /// The mount namespace of the process, as far as known.
    pub(crate) mount_namespace: Option<u64>,
}

/// All executables seen.
#[derive(Debug, Default)]
pub(crate) struct Executables {
    all: Vec<Executable>,
    /// By what the kernel said, so that a file is opened once and not for each process: as long as it
    /// is not written anew in its place.
    by_sight: HashMap<(PathBuf, FileIdentity), ExecutableId>,
    /// By what the open file is.
    by_contents: HashMap<Contents, ExecutableId>,
    /// Those whose files were closed again: nobody has their handles.
    closed: HashSet<ExecutableId>,
    own_mount_namespace: Option<u64>,
}

impl Executables {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self { own_mount_namespace: procfs::mount_namespace(std::process::id()), ..Self::default() }
    }

    /// One executable.
    pub(crate) fn get(&self, id: ExecutableId) -> &Executable {
        &self.all[id.0 as usize]
    }

    /// Whether its file was opened and is one of ELF.
    pub(crate) fn is_elf(&self, id: ExecutableId) -> bool {
        !self.get(id).layout.segments.is_empty()
    }

    /// Closes its file, of which no code is to be told.
    pub(crate) fn close(&mut self, id: ExecutableId) {
        self.all[id.0 as usize].file = None;
        self.closed.insert(id);
    }

    /// The executable behind a mapping, opened now if it is new.
    pub(crate) fn intern(&mut self, mapped: Mapped<'_>) -> ExecutableId {
        let sight = (mapped.path.to_owned(), *mapped.identity);
        if let Some(&id) = self.by_sight.get(&sight)
            && let Some(file) = &self.get(id).file
            && contents(file).is_some_and(|now| self.by_contents.get(&now) == Some(&id))
        {
            return id;
        }
        let file = self.open(mapped);
        let contents = file.as_ref().and_then(contents);
        if let Some(&id) = contents.and_then(|key| self.by_contents.get(&key)) {
            self.by_sight.insert(sight, id);
            return id;
        }
        let layout = file.as_ref().and_then(ElfLayout::read).unwrap_or_default();
        let path = without_deleted(mapped.path);
        let view = self.same_view(&mapped);
        let debug_file =
            file.as_ref().and_then(|file| debug_file::find(mapped.pid, view, &path, file, &layout));
        let executable = Executable { path, file, debug_file, layout };
        let id = match self.by_sight.get(&sight) {
            Some(&id) if self.closed.remove(&id) => {
                self.all[id.0 as usize] = executable;
                id
            }
            // It cannot be opened now either.
            Some(&id) if self.get(id).file.is_none() && executable.file.is_none() => id,
            // Not under the handle of an earlier try that could not open it: samples that were taken
            // then are at offsets in the file, and those to come at addresses.
            _ => {
                self.all.push(executable);
                ExecutableId(self.all.len() as u32 - 1)
            }
        };
        self.by_sight.insert(sight, id);
        if let Some(key) = contents {
            self.by_contents.insert(key, id);
        }
        id
    }

    /// Opens the file of a mapping: through the mapping itself, which is always the right file;
    /// else by its path in the process's file system, or in flame's own where the two are the
    /// same, if it is the file that the kernel described.
    fn open(&self, mapped: Mapped<'_>) -> Option<File> {
        let Mapped { pid, start, end, path, .. } = mapped;
        let described = |file: &File| is_described(file, mapped.identity);
        let thread = procfs::living_thread(pid);
        let link = PathBuf::from(format!("/proc/{thread}/map_files/{start:x}-{end:x}"));
        // The mapping may have been replaced by another since it was described. Where stat(2) tells
        // of another inode than the kernel (overlays), `/proc/PID/maps` tells of the same.
        let is_still_there = || {
            let mut mappings = procfs::code_mappings(pid).unwrap_or_default().into_iter();
            mappings.any(|m| m.start == start && m.identity.agrees(mapped.identity))
        };
        let of_mapping =
            || root::open_own(&link).filter(|file| described(file) || is_still_there());
        let same_view = self.same_view(&mapped);
        let in_own_view = || root::open(std::process::id(), path, true);
        of_mapping()
            .or_else(|| root::open(pid, path, true).filter(described))
            .or_else(|| same_view.then(in_own_view).flatten().filter(described))
    }

    /// Whether a process has flame's own view of the file system, as far as known.
    fn same_view(&self, mapped: &Mapped<'_>) -> bool {
        mapped.mount_namespace.is_none() || mapped.mount_namespace == self.own_mount_namespace
    }
}

/// A file once more, for another thread: what is read through a copy of its descriptor moves the
/// place where the others read.
pub(crate) fn reopened(file: &File) -> io::Result<File> {
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // Where that is not allowed, or there is no `/proc`.
    again.or_else(|_| file.try_clone())
}

/// Whether a file is the one that the kernel described. The device of an overlay or a subvolume
/// differs from the one that stat(2) tells: the inode has to do, and what tells it from the files that
/// had it before, where the kernel and the file system tell that.
fn is_described(file: &File, identity: &FileIdentity) -> bool {
    let is_it = file.metadata().is_ok_and(|metadata| metadata.ino() == identity.inode);
    let told = Some(identity.generation).filter(|generation| *generation != 0);
    is_it && told.zip(generation(file)).is_none_or(|(told, own)| told == own)
}

/// What tells a file from those that had its inode before; `None` where its file system does not
/// (`FS_IOC_GETVERSION` in `linux/fs.h`, `ioctl_iflags(2)`).
fn generation(file: &File) -> Option<u64> {
    const GET_VERSION: libc::Ioctl = 0x8008_7601;
    let mut version: libc::c_long = 0;
    // SAFETY: the call writes an int, or a long, to the one number that it is given.
    let told = unsafe { libc::ioctl(file.as_raw_fd(), GET_VERSION, &raw mut version) };
    // An int, whatever it is called.
    (told == 0).then_some(u64::from(version as u32))
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a text cannot fail");
        text
    })
}

/// The kernel marks the path of a file that has no name any more.
fn without_deleted(path: &Path) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(text) => text.into(),
        None => path.to_owned(),
    }
}

/// The effective user and group of a file, for checks by those who hold it open.
pub(crate) fn file_owner(file: &File) -> Option<u32> {
    Some(file.metadata().ok()?.uid())
}

/// Whether a path of `/proc` can be followed: what opening by `map_files` needs.
pub(crate) fn can_open_map_files() -> bool {
    let Ok(entries) = fs::read_dir("/proc/self/map_files") else {
        return false;
    };
    entries.flatten().any(|entry| root::open_own(&entry.path()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as this process would have mapped it.
    fn by_this_process<'a>(path: &'a Path, identity: &'a FileIdentity) -> Mapped<'a> {
        let (pid, start, end) = (std::process::id(), 0, 4096);
        Mapped { pid, start, end, path, identity, mount_namespace: None }
    }

    #[test]
    fn a_mapping_of_this_process_is_opened_once() {
        let own = std::process::id();
        let mappings = procfs::code_mappings(own).expect("own mappings");
        let exe = fs::read_link("/proc/self/exe").expect("own path");
        let code = mappings.iter().find(|m| m.path == exe).expect("own code");
        let mut executables = Executables::new();
        let mapped = Mapped {
            pid: own,
            start: code.start,
            end: code.end,
            path: &code.path,
            identity: &code.identity,
            mount_namespace: None,
        };
        let id = executables.intern(mapped);
        assert_eq!(executables.intern(mapped), id);
        assert!(executables.get(id).file.is_some());
        let wrong = FileIdentity { inode: code.identity.inode + 1, ..code.identity };
        let other = executables.intern(Mapped { identity: &wrong, ..mapped });
        assert!(executables.get(other).file.is_none(), "another file is not taken for it");
    }

    #[test]
    fn a_file_that_could_not_be_opened_at_first_has_another_handle_once_it_can() {
        let own = std::process::id();
        let path = std::env::temp_dir().join(format!("flame-late-{own}"));
        fs::write(&path, "a program").expect("write a file");
        let identity = FileIdentity {
            inode: fs::metadata(&path).expect("its inode").ino(),
            ..FileIdentity::default()
        };
        let away = path.with_extension("away");
        fs::rename(&path, &away).expect("move it away");
        let mut executables = Executables::new();
        let mapped = by_this_process(&path, &identity);
        let first = executables.intern(mapped);
        assert_eq!(executables.intern(mapped), first, "and no more of them");
        fs::rename(&away, &path).expect("move it back");
        let second = executables.intern(mapped);
        assert_ne!(second, first);
        assert!(executables.get(first).file.is_none(), "what was taken then stays what it was");
        assert!(executables.get(second).file.is_some());
        assert_eq!(executables.intern(mapped), second);
        fs::remove_file(&path).expect("remove it");
    }

    #[test]
    fn a_file_that_had_the_inode_before_is_not_taken_for_it() {
        let file = File::open(std::env::current_exe().expect("own path")).expect("open it");
        let inode = file.metadata().expect("its inode").ino();
        let of = |generation| FileIdentity { inode, generation, ..FileIdentity::default() };
        assert!(is_described(&file, &of(0)));
        if let Some(own) = generation(&file).filter(|own| *own != 0) {
            assert!(is_described(&file, &of(own)));
            assert!(!is_described(&file, &of(own ^ 1)));
        }
    }

    #[test]
    fn a_file_that_is_written_anew_in_its_place_is_another() {
        let own = std::process::id();
        let path = std::env::temp_dir().join(format!("flame-anew-{own}"));
        fs::write(&path, "a program").expect("write a file");
        let meta = fs::metadata(&path).expect("its inode");
        let identity = FileIdentity { inode: meta.ino(), ..FileIdentity::default() };
        let mut executables = Executables::new();
        let mapped = by_this_process(&path, &identity);
        let first = executables.intern(mapped);
        assert_eq!(executables.intern(mapped), first);
        fs::write(&path, "another program").expect("write it anew");
        let second = executables.intern(mapped);
        assert_ne!(second, first);
        assert_eq!(executables.intern(mapped), second);
        fs::remove_file(&path).expect("remove it");
    }
}
