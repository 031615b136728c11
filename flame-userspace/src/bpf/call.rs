//! bpf(2) itself, for what aya does not do.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};

/// Attributes to fill.
pub(super) fn zeroed() -> bpf_attr {
    // SAFETY: the union is made of integers alone, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

/// A call that returns a descriptor.
pub(super) fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let fd = bpf_number(command, attr)?;
    // SAFETY: the call just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A call that returns a number.
pub(super) fn bpf_number(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes what `attr` points to, which the callers keep through the
    // call.
    let number = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attr, size_of::<bpf_attr>())
    };
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number as i32) }
}
