//! flame's own heap: what is freed goes back to the kernel.
//!
//! glibc raises the size from which a block is a mapping of its own each time such a block is
//! freed, up to 32 MiB (mallopt(3), `M_MMAP_THRESHOLD`). After the first large section that flame
//! reads, the next ones would come from the heap, whose holes stay resident: half of the peak of a
//! session of a busy machine. Sizes that are set stay as they are.
//!
//! Small blocks leave holes: what a look-up of names took lies between the names that it found.
//! [`trim`] gives the pages in such holes back.

/// From which size a block is a mapping, and how much may lie free at the heap's end, in bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 256 << 10;

/// Sets the sizes. To be called before there are threads.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: the call changes numbers of the allocator, and no other thread runs yet.
        // If it fails, flame only takes more memory.
        _ = unsafe { libc::mallopt(parameter, LARGE) };
    }
}

/// Gives back the pages in the holes of the heap, in the arenas of all threads: a few milliseconds,
/// after much was freed.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the call takes the allocator's own locks, and moves no block.
        unsafe { libc::malloc_trim(0) };
    }
}
