//! How many files flame may hold open: executables stay open from their first sight.

/// Raises the soft limit to the hard one. To be called after a command was started, which is to
/// have the caller's limit. Where it fails, fewer executables keep their names, with a count.
pub(super) fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or fill in a struct that lives through them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
