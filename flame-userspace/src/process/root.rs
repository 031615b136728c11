//! Opening a file by its path in a process's own file system, without leaving it.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens the regular file that `path` names for process `pid`, in its mount namespace and below
/// its root. Links are followed inside that root alone; with `follow` unset the file itself may
/// not be one. `None` if the process has gone or there is no such file.
pub(crate) fn open(pid: u32, path: &Path, follow: bool) -> Option<File> {
    let root = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(format!("/proc/{pid}/root"))
        .ok()?;
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // Not blocking: the path may lead to a pipe or a device.
    let mut flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
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
    let file = unsafe { File::from_raw_fd(fd) };
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
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
}
