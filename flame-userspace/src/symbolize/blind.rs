//! A thread that finds no files: for code that looks for those that hostile bytes name.

use std::io;

/// The calls that look for a file by its name.
const BY_NAME: [libc::c_long; 12] = [
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
];

/// From now on, and for good, this thread finds no file by its name, as if there were none. What it
/// has open stays open; other threads are as before.
pub(super) fn see_no_files() -> io::Result<()> {
    let mut filter = filter();
    let program =
        libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    // SAFETY: the calls change properties of this thread alone. The kernel copies the filter,
    // which lives through the call and has the length that is told.
    unsafe {
        // What a filter wants of those without privileges: no program that this thread starts
        // gains any.
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        // Kernels before 5.16 would have the thread run slower, as it might watch others.
        let (operation, flags) =
            (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
        if libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The filter: the number of the call, compared with each of [`BY_NAME`], then what happens to the
/// others and to these. It need not tell the kernel's tables of calls apart: it bounds flame's own
/// code, which uses one.
fn filter() -> Vec<libc::sock_filter> {
    let step = |code: u32, k: u32, jt: usize| libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf: 0,
        k,
    };
    let return_code = libc::BPF_RET | libc::BPF_K;
    // The number is the first field of `seccomp_data`.
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    filter.extend(BY_NAME.iter().enumerate().map(|(at, &call)| {
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32, BY_NAME.len() - at)
    }));
    filter.push(step(return_code, libc::SECCOMP_RET_ALLOW, 0));
    filter.push(step(return_code, libc::SECCOMP_RET_ERRNO | libc::ENOENT as u32, 0));
    filter
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read as _};
    use std::path::Path;
    use std::thread;

    use super::*;

    const THERE: &str = "/proc/thread-self/status";

    #[test]
    fn a_thread_finds_no_file_and_keeps_what_is_open() {
        let blind = thread::spawn(|| {
            let mut open = File::open(THERE).expect("a file");
            see_no_files().expect("seccomp");
            let errors = [
                File::open(THERE).expect_err("not seen"),
                fs::metadata(THERE).expect_err("not seen"),
                fs::read_link("/proc/self/exe").expect_err("not seen"),
                fs::canonicalize(THERE).expect_err("not seen"),
            ];
            assert!(errors.iter().all(|e| e.kind() == ErrorKind::NotFound), "{errors:?}");
            assert!(!Path::new(THERE).exists());
            let mut text = String::new();
            open.read_to_string(&mut text).expect("what is open");
            assert!(text.contains("\nSeccomp:\t2\n"), "{text}");
        });
        blind.join().expect("the thread");
        assert!(Path::new(THERE).exists(), "other threads are as before");
    }
}
