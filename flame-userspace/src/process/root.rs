//! Opening regular files that others name, and nothing else: by a path in a process's own file
//! system, without leaving it, or by a link of `/proc`.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::procfs::living_thread;

/// Opens the regular file that `path` names for process `pid`, in its mount namespace and below
/// its root. Links are followed inside that root alone; with `follow` unset the file itself may
/// not be one. `None` if the process has gone or there is no such file.
pub(crate) fn open(pid: u32, path: &Path, follow: bool) -> Option<File> {
    let root = place(Path::new(&format!("/proc/{}/root", living_thread(pid))), libc::O_DIRECTORY)?;
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut flags = libc::O_PATH | libc::O_CLOEXEC;
    if !follow {
        flags |= libc::O_NOFOLLOW;
    }
    // SAFETY: `open_how` is made of integers alone, for which zero is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = flags as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: the path and `how` live through the call, and the size is that of `how`.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: the call just returned this descriptor, and nobody else has it.
    readable(&unsafe { File::from_raw_fd(fd) })
}

/// Opens the regular file that a path of flame's own choice leads to, through links.
pub(super) fn open_own(path: &Path) -> Option<File> {
    readable(&place(path, 0)?)
}

/// A mark of the place that a path leads to, which opens nothing that is there.
fn place(path: &Path, flags: i32) -> Option<File> {
    File::options().read(true).custom_flags(libc::O_PATH | flags).open(path).ok()
}

/// The regular file at a place, to be read; `None` for anything else: to open a device may do
/// something to it, and to open a pipe may wait for somebody.
fn readable(place: &File) -> Option<File> {
    if !place.metadata().ok()?.is_file() {
        return None;
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{ErrorKind, Read as _};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_regular_file_is_opened_and_nothing_else() {
        let own = std::process::id();
        assert!(open(own, Path::new("/proc/self/exe"), true).is_none(), "a magic link");
        assert!(open(own, Path::new("/etc/passwd"), false).is_some());
        assert!(open(own, Path::new("/../../etc/passwd"), false).is_some(), "root has no parent");
        assert!(open(own, Path::new("/dev/null"), true).is_none());
        assert!(open(own, Path::new("/"), true).is_none());
        assert!(open(u32::MAX, Path::new("/etc/passwd"), true).is_none());
    }

    /// How often a file of this path is opened, `O_PATH` excepted, while something is done.
    fn times_opened(path: &Path, doing: impl FnOnce()) -> usize {
        let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the calls read a text that ends in NUL, and the first returns a descriptor that
        // nobody else has.
        let mut events = unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            assert!(fd >= 0, "inotify");
            assert!(libc::inotify_add_watch(fd, path.as_ptr(), libc::IN_OPEN) >= 0, "a watch");
            File::from_raw_fd(fd)
        };
        doing();
        let mut bytes = [0; 4096];
        match events.read(&mut bytes) {
            Ok(length) => length / size_of::<libc::inotify_event>(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("read events: {error}"),
        }
    }

    #[test]
    fn a_pipe_is_not_even_opened() {
        let own = std::process::id();
        let folder = std::env::temp_dir().join(format!("flame-root-{own}"));
        fs::create_dir_all(&folder).expect("a folder");
        let [pipe, link, file] = ["pipe", "link", "file"].map(|name| folder.join(name));
        let name = CString::new(pipe.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the call reads a text that ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "a pipe");
        symlink("pipe", &link).expect("a link");
        fs::write(&file, "bytes").expect("a file");
        let opened = times_opened(&pipe, || {
            assert!(open(own, &pipe, true).is_none());
            assert!(open(own, &pipe, false).is_none());
            assert!(open(own, &link, true).is_none());
            assert!(open(own, &link, false).is_none());
            assert!(open_own(&link).is_none());
        });
        assert_eq!(opened, 0);
        let opened = times_opened(&file, || {
            let mut text = String::new();
            let mut file = open(own, &file, false).expect("a regular file");
            file.read_to_string(&mut text).expect("it can be read");
            assert_eq!(text, "bytes");
        });
        assert_eq!(opened, 1);
        symlink("file", folder.join("to-file")).expect("a link");
        assert!(open(own, &folder.join("to-file"), true).is_some());
        assert!(open(own, &folder.join("to-file"), false).is_none());
        fs::remove_dir_all(&folder).expect("to clean up");
    }
}
