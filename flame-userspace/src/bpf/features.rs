//! What this kernel grants this process.

use std::fs;

/// A capability that flame may need, by its number in capabilities(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    SysAdmin = 21,
    Perfmon = 38,
    Bpf = 39,
    CheckpointRestore = 40,
}

impl Feature {
    /// The capability's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
            Self::CheckpointRestore => "CAP_CHECKPOINT_RESTORE",
        }
    }
}

/// The effective capabilities of this thread, a bit each.
fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// Whether this thread has a capability, or `CAP_SYS_ADMIN`, which includes the others.
pub(crate) fn has_capability(feature: Feature) -> bool {
    let all = capabilities();
    all & (1 << feature as u32) != 0 || all & (1 << Feature::SysAdmin as u32) != 0
}

/// The kernel's release, such as `6.1.0-50-amd64`.
pub(crate) fn kernel_release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// The kernel's version; (0, 0) if its release begins with no numbers.
pub(crate) fn kernel_version() -> (u32, u32) {
    let release = kernel_release();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The first kernel of which it is known that it takes flame's programs: it has `bpf_task_pt_regs`.
pub(crate) const OLDEST_KERNEL: (u32, u32) = (5, 15);

/// Why the running kernel may not do for flame, if it is older than that.
pub(crate) fn too_old() -> Option<String> {
    let (major, minor) = OLDEST_KERNEL;
    (kernel_version() < OLDEST_KERNEL).then(|| {
        let release = kernel_release();
        format!("the kernel {release} is too old: flame needs Linux {major}.{minor} or later")
    })
}

/// How much memory this process may lock, in bytes; `u64::MAX` for no limit.
pub(crate) fn lockable_memory() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills in a struct that lives through it.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}

/// Lifts the limit on locked memory as far as allowed. Kernels before 5.11 counted BPF maps
/// against it; on later ones it does not matter, so that a refusal is none of ours.
pub(super) fn lift_memory_limit() {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: both calls read or fill in a struct that lives through them.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) != 0
            && libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) == 0
        {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
        }
    }
}
