//! Reading another process's memory while it runs.

/// The smallest page: whole ones are there or not.
const PAGE: u64 = 4096;

/// Memory that is read by address.
pub(crate) trait Memory {
    /// Fills the buffer from an address on as far as there is memory, and returns how many bytes
    /// that were.
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize;
}

/// A process's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessMemory {
    pub(crate) pid: u32,
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // Split where a page ends: of a piece that is not all there the kernel reads nothing.
        let first = (PAGE - address % PAGE).min(buffer.len() as u64);
        let mut pieces = vec![(address, first)];
        let mut at = first;
        while at < buffer.len() as u64 {
            let length = (buffer.len() as u64 - at).min(PAGE);
            pieces.push((address.wrapping_add(at), length));
            at += length;
        }
        // The most that one call takes (UIO_MAXIOV).
        pieces.truncate(1024);
        let remote: Vec<libc::iovec> = pieces
            .iter()
            .map(|&(at, length)| libc::iovec { iov_base: at as *mut _, iov_len: length as usize })
            .collect();
        // SAFETY: the kernel writes to `buffer` alone, at most its length, and checks the other
        // process's addresses itself.
        let read = unsafe {
            libc::process_vm_readv(
                self.pid as libc::pid_t,
                &raw const local,
                1,
                remote.as_ptr(),
                remote.len() as libc::c_ulong,
                0,
            )
        };
        usize::try_from(read).unwrap_or(0)
    }
}
