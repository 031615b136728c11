//! Whether requests for memory may be refused. Functions that throw an exception then, as C++'s
//! operator new, are not to have their return taken: the return address that the kernel puts on the
//! stack has no unwind table, and an exception that comes to it ends the program.

use std::fs;

const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";
/// The kernel refuses what goes beyond a limit for the whole machine (proc(5)).
const NEVER_OVERCOMMIT: &str = "2";

/// A request for so many bytes may be refused by the machine: where there is no limit for all that is
/// given out, one for more than there is of memory and swap. Half of the memory, as allocators may
/// ask for more than they are asked for; 0 where any request may be.
pub(in crate::session) fn refused_bytes() -> u64 {
    let overcommit = fs::read_to_string(OVERCOMMIT);
    if overcommit.is_ok_and(|text| text.trim() == NEVER_OVERCOMMIT) {
        return 0;
    }
    // SAFETY: the calls take a number each.
    let (pages, page) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    (pages.max(0) as u64).saturating_mul(page.max(0) as u64) / 2
}

/// Whether a process has a limit on its address space or its data, or the machine one for all.
pub(super) fn is_limited(pid: u32) -> bool {
    let limited = |resource| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call writes the one struct that it is given.
        let told = unsafe {
            libc::prlimit(pid as libc::pid_t, resource, std::ptr::null(), &raw mut limit)
        };
        told != 0 || limit.rlim_cur != libc::RLIM_INFINITY
    };
    refused_bytes() == 0 || limited(libc::RLIMIT_AS) || limited(libc::RLIMIT_DATA)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_with_a_limit_is_told_from_one_without() {
        assert!(refused_bytes() > 1 << 20 || refused_bytes() == 0, "{}", refused_bytes());
        for (limit, is) in [("unlimited", refused_bytes() == 0), ("4000000", true)] {
            let script = format!("ulimit -v {limit}; exec sleep 60");
            let mut child = Command::new("sh").args(["-c", &script]).spawn().expect("a shell");
            let name = format!("/proc/{}/comm", child.id());
            while fs::read_to_string(&name).is_ok_and(|name| name.trim() != "sleep") {
                std::thread::yield_now();
            }
            let found = is_limited(child.id());
            child.kill().expect("to end it");
            child.wait().expect("its end");
            assert_eq!(found, is, "{limit}");
        }
    }
}
