//! What `/proc` tells of processes that ran before flame did. A process that has gone meanwhile
//! is no error: the answer is then `None` or empty.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::maps::{self, CodeMapping};

/// The most that is read of a file in `/proc`, in bytes: a process may map as much as it likes.
const LONGEST: u64 = 64 << 20;

/// Reads at most [`LONGEST`] bytes of a file.
fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A file's text. Names in it are the processes' own, cut at 15 bytes wherever that is, and need not be
/// UTF-8.
fn text(path: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&read(path)?).into_owned())
}

/// The pids of all processes.
pub(crate) fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The pids of the processes whose name is `comm`.
pub(crate) fn pids_named(comm: &str) -> Vec<u32> {
    pids().into_iter().filter(|&pid| process_name(pid).as_deref() == Some(comm)).collect()
}

/// A process's name, as the kernel keeps it (at most 15 bytes).
pub(crate) fn process_name(pid: u32) -> Option<String> {
    let bytes = read(&format!("/proc/{pid}/comm"))?;
    let name = String::from_utf8_lossy(&bytes);
    Some(name.strip_suffix('\n').unwrap_or(&name).to_owned())
}

/// The executable mappings of a process.
pub(crate) fn code_mappings(pid: u32) -> Option<Vec<CodeMapping>> {
    let thread = living_thread(pid);
    Some(maps::parse(&read(&format!("/proc/{thread}/maps"))?))
}

/// The program that a process runs, by its path.
pub(crate) fn program(pid: u32) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/{}/exe", living_thread(pid))).ok()?;
    Some(
        path.to_str()
            .and_then(|p| p.strip_suffix(" (deleted)"))
            .map_or(path.clone(), PathBuf::from),
    )
}

/// The CPU time of a process, of threads that have ended as well, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> Option<u64> {
    // The clock of a process (`MAKE_PROCESS_CPUCLOCK` in linux/posix-timers.h).
    let clock = (!(pid as libc::clockid_t) << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in a struct that lives through it.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The CPU time of the whole machine, in nanoseconds, to the hundredth of a second.
pub(crate) fn machine_cpu_ns() -> Option<u64> {
    /// Of the times in `/proc/stat` (`USER_HZ` is 100 on every machine of Linux).
    const TICK_NS: u64 = 10_000_000;
    let text = read("/proc/stat")?;
    let text = String::from_utf8_lossy(&text);
    let ticks =
        text.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse::<u64>().ok());
    // User, nice, system.
    Some(ticks.take(3).sum::<u64>() * TICK_NS)
}

/// Where code of this process lies in its file.
pub(crate) fn own_file_offset(address: u64) -> Option<u64> {
    let mappings = code_mappings(std::process::id())?;
    let of = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address))?;
    Some(address - of.start + of.offset)
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    Some(stat_field(pid, 4)? as u32)
}

/// The parent of each process.
fn parents() -> Vec<(u32, u32)> {
    pids().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// The processes that descend from these, themselves left out.
pub(crate) fn descendants(of: &[u32]) -> Vec<u32> {
    let parents = parents();
    let mut all: Vec<u32> = of.to_vec();
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        next += 1;
        let born = parents.iter().filter(|(pid, of)| *of == parent && !all.contains(pid));
        let born: Vec<u32> = born.map(|(pid, _)| *pid).collect();
        all.extend(born);
    }
    all.split_off(of.len())
}

/// The effective user of a process.
pub(crate) fn owner(pid: u32) -> Option<u32> {
    let text = text(&format!("/proc/{pid}/status"))?;
    let uids = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The cgroup of a process, of version 2: its path below the root of that file system.
pub(crate) fn cgroup(pid: u32) -> Option<PathBuf> {
    let text = text(&format!("/proc/{pid}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from(path))
}

/// A process's resident memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Without a file behind it: heaps and stacks.
    pub(crate) anonymous: u64,
    /// Of mapped files.
    pub(crate) file: u64,
    /// Of `shmem` and shared anonymous mappings.
    pub(crate) shared: u64,
}

/// What of a process is resident; `None` for a kernel thread too.
pub(crate) fn resident(pid: u32) -> Option<Resident> {
    let text = text(&format!("/proc/{pid}/status"))?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    Some(Resident {
        anonymous: bytes("RssAnon:")?,
        file: bytes("RssFile:")?,
        shared: bytes("RssShmem:")?,
    })
}

/// The pid that a process has in its own, innermost pid namespace.
pub(crate) fn innermost_pid(pid: u32) -> Option<u32> {
    let text = text(&format!("/proc/{pid}/status"))?;
    let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().last()?.parse().ok()
}

/// Whether a pid is a kernel thread's, which has no memory of its own.
pub(crate) fn kernel_thread(pid: u32) -> bool {
    // Field 9 of stat is the flags; PF_KTHREAD is 0x0020_0000 (include/linux/sched.h).
    stat_field(pid, 9).is_some_and(|flags| flags & 0x0020_0000 != 0)
}

/// The thread by whose number a process's memory and files are found: its first, or where that has
/// ended and waits for the others, one of these. (The kernel tells nothing of a thread that has
/// ended; `/proc` has the directories of all threads, though it does not list them.)
pub(crate) fn living_thread(pid: u32) -> u32 {
    if state(pid) != Some('Z') {
        return pid;
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return pid };
    let mut ids = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find(|&id| id != pid).unwrap_or(pid)
}

/// How many threads a process has, a first one that has ended and waits for the others among them.
pub(crate) fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// The letter of a process's state, as in `proc_pid_stat(5)`.
pub(crate) fn state(pid: u32) -> Option<char> {
    let text = stat_after_name(pid)?;
    text.trim_start().chars().next()
}

/// Field `number` of `/proc/PID/stat`, from 1 as in `proc_pid_stat(5)`; not 1 to 3.
fn stat_field(pid: u32, number: usize) -> Option<u64> {
    stat_after_name(pid)?.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// The fields of `/proc/PID/stat` from the third on. The second, the name in parentheses, may
/// hold spaces and parentheses itself.
fn stat_after_name(pid: u32) -> Option<String> {
    let bytes = read(&format!("/proc/{pid}/stat"))?;
    let after_name = bytes.iter().rposition(|&byte| byte == b')')? + 1;
    String::from_utf8(bytes[after_name..].to_vec()).ok()
}

/// Which mount namespace a process lives in.
pub(crate) fn mount_namespace(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/mnt")).ok().map(|ns| ns.ino())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn this_process_is_found_by_pid_and_by_name() {
        let own = std::process::id();
        let name = process_name(own).expect("this process has a name");
        assert!(pids().contains(&own));
        assert!(pids_named(&name).contains(&own));
        assert!(!kernel_thread(own));
        assert!(matches!(state(own), Some('R' | 'S')), "it runs, or waits for this test");
        assert!(innermost_pid(own).is_some());
        let resident = resident(own).expect("this process has memory");
        assert!(resident.anonymous > 0 && resident.file > 0);
        let mappings = code_mappings(own).expect("this process has mappings");
        assert!(mappings.iter().any(|m| m.path.to_str() == Some("[vdso]")));
    }

    #[test]
    fn a_name_that_is_no_utf_8_hides_nothing() {
        let folder = std::env::temp_dir().join(format!("flame-names-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        // Cut within a letter, as the kernel cuts names at 15 bytes.
        let program = folder.join(OsStr::from_bytes(b"\xd0\xb6\xd0"));
        let sleep = ["/usr/bin/sleep", "/bin/sleep"]
            .into_iter()
            .find(|path| fs::exists(path).is_ok_and(|is| is));
        fs::copy(sleep.expect("sleep"), &program).expect("copy a program");
        let mut child = std::process::Command::new(&program).arg("60").spawn().expect("a process");
        let pid = child.id();
        let found = (owner(pid), resident(pid).is_some(), innermost_pid(pid), threads(pid));
        child.kill().expect("to end it");
        child.wait().expect("its end");
        fs::remove_dir_all(&folder).expect("to clean up");
        // SAFETY: the call takes nothing and cannot fail.
        assert_eq!(found, (Some(unsafe { libc::geteuid() }), true, Some(pid), 1));
    }

    #[test]
    fn a_process_that_is_gone_gives_nothing() {
        assert_eq!(process_name(u32::MAX), None);
        assert_eq!(code_mappings(u32::MAX), None);
        assert!(!kernel_thread(u32::MAX));
    }
}
