//! Links that the kernel's own workers close.
//!
//! Who closes a link of probes takes them out himself, which takes ten milliseconds. A signal that
//! kills him meanwhile stops that: the kernel changes no other process's memory for a thread that is
//! to die (`fatal_signal_pending` in `__get_user_pages`), and the breakpoints stay in the target for
//! good. No signal reaches a worker of the kernel's, and one lets go of a link that a file in a BPF
//! file system held last (`bpf_link_put`). So a link is pinned to such a file, closed, and the file
//! removed. Nobody else sees the file system, which is mounted nowhere, and which goes away with
//! flame however that ends.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aya_obj::generated::bpf_cmd;

use super::call::{bpf_number, zeroed};

/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC` and `FSCONFIG_CMD_CREATE` (`linux/mount.h`)
const CLOSE_ON_EXEC: libc::c_uint = 1;
const CREATE: libc::c_uint = 6;

/// Closes links; where there are further descriptors that keep what they are of, those too. Returns
/// before their probes are out, but where there can be no such file system.
pub(super) fn let_go(fds: Vec<OwnedFd>) {
    static OWN: OnceLock<Option<Folder>> = OnceLock::new();
    let folder = OWN.get_or_init(|| {
        Folder::make().inspect_err(|error| log::debug!("make a BPF file system: {error}")).ok()
    });
    let Some(folder) = folder else { return drop(fds) };
    // What is no link has no place there, and is closed by the last link that has it.
    let pins: Vec<CString> = fds.iter().filter_map(|fd| folder.pin(fd).ok()).collect();
    drop(fds);
    for path in &pins {
        remove(path);
    }
}

/// A BPF file system that is mounted nowhere.
struct Folder {
    mount: OwnedFd,
    pinned: AtomicU64,
}

impl Folder {
    fn make() -> io::Result<Self> {
        // SAFETY: the calls read texts that end in NUL and live through them, and return
        // descriptors that nobody else has.
        let mount = unsafe {
            let context =
                descriptor(libc::syscall(libc::SYS_fsopen, c"bpf".as_ptr(), CLOSE_ON_EXEC))?;
            let (key, value) = (null::<libc::c_char>(), null_mut::<libc::c_void>());
            let fd = context.as_raw_fd();
            if libc::syscall(libc::SYS_fsconfig, fd, CREATE, key, value, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            descriptor(libc::syscall(libc::SYS_fsmount, fd, CLOSE_ON_EXEC, 0))?
        };
        Ok(Self { mount, pinned: AtomicU64::new(0) })
    }

    /// Has a file hold a link, and returns the file's path.
    fn pin(&self, link: &OwnedFd) -> io::Result<CString> {
        let number = self.pinned.fetch_add(1, Ordering::Relaxed);
        let path = CString::new(format!("/proc/self/fd/{}/{number}", self.mount.as_raw_fd()))
            .expect("numbers have no NUL in them");
        let mut attr = zeroed();
        attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
        attr.__bindgen_anon_4.bpf_fd = link.as_raw_fd() as u32;
        bpf_number(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(|_| path)
    }
}

fn remove(path: &CStr) {
    // SAFETY: the path ends in NUL and lives through the call.
    if unsafe { libc::unlink(path.as_ptr()) } != 0 {
        // Its probes go when flame does.
        log::debug!("remove {}: {}", path.to_string_lossy(), io::Error::last_os_error());
    }
}

/// What a call returned, if it is a descriptor.
///
/// # Safety
/// Nobody else may have it.
unsafe fn descriptor(returned: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(returned).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller says so.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
