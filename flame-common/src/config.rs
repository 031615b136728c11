//! What user space tells the kernel programs when it loads them. Constant afterwards, so that
//! the verifier drops what a session does not use.

use crate::limits::CGROUPS;

/// Load-time configuration of the kernel programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// The cgroups (version 2) whose tasks are targets; the first `cgroup_count` count.
    pub cgroups: [Cgroup; CGROUPS],
    /// Number of cgroups in use.
    pub cgroup_count: u32,
    /// Whether every task is a target (then nothing else is asked).
    pub all: u32,
    /// Whether processes that targets start become targets.
    pub follow_children: u32,
    /// Whether kernel stacks are taken.
    pub kernel_stacks: u32,
    /// Whether only the processes of user [`uid`](Self::uid) are sampled.
    pub only_uid: u32,
    /// The user of [`only_uid`](Self::only_uid).
    pub uid: u32,
    /// Inode number of flame's pid namespace; 0 for the machine's own.
    pub pid_namespace_inode: u32,
    /// Whether the programs log what they do (aya-log).
    pub verbose: u32,
    /// Whether the kernel has `bpf_loop` (5.17).
    pub has_loop: u32,
    /// Samples that each CPU may put together at one time.
    pub places: u32,
    /// Whether user space is woken when a target begins.
    pub tell_begun: u32,
    /// Room of the ring of samples, in bytes, a power of two.
    pub ring_bytes: u32,
    /// Slots of each CPU's clock, a power of two.
    pub slots: u32,
    /// Zero.
    pub pad: u32,
    /// Random odd numbers that nobody else knows, by which each CPU remembers rules.
    pub remember_by: [u64; 2],
    /// A request for so many bytes may be refused though no limit is set.
    pub refused_bytes: u64,
    /// Where the kernel keeps what the programs read.
    pub offsets: KernelOffsets,
}

/// A cgroup, as the BPF helpers tell them apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Cgroup {
    /// Its 64-bit id, which is its directory's inode number.
    pub id: u64,
    /// Its depth; 0 for the root.
    pub level: u32,
    /// Zero.
    pub pad: u32,
}

/// Byte offsets of fields in this kernel's structs, from its type information (BTF).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct KernelOffsets {
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.thread_pid`
    pub task_thread_pid: u32,
    /// `task_struct.cred`
    pub task_cred: u32,
    /// `cred.euid`
    pub cred_euid: u32,
    /// `cred.suid`
    pub cred_suid: u32,
    /// `pid.level`
    pub pid_level: u32,
    /// `pid.numbers`
    pub pid_numbers: u32,
    /// Bytes of a `upid`, the elements of `pid.numbers`.
    pub upid_size: u32,
    /// `upid.nr`
    pub upid_nr: u32,
    /// `upid.ns`
    pub upid_ns: u32,
    /// `pid_namespace.ns.inum`
    pub pid_namespace_inode: u32,
    /// `task_struct.flags`
    pub task_flags: u32,
    /// Whether the offsets so far were found; without them children are followed from user space.
    pub known: u32,
    /// Whether the offsets that follow were found; without them a walk ends at a return address
    /// that a probe of the function's return has put in the place of the true one.
    pub return_probes_known: u32,
    /// `task_struct.utask`
    pub task_utask: u32,
    /// `uprobe_task.return_instances`
    pub utask_return_instances: u32,
    /// `uprobe_task.ri_pool` (Linux 6.14); 0 if there is none.
    pub utask_returned: u32,
    /// `return_instance.stack`
    pub return_instance_stack: u32,
    /// `return_instance.orig_ret_vaddr`
    pub return_instance_address: u32,
    /// `return_instance.next`
    pub return_instance_next: u32,
    /// `task_struct.se.sum_exec_runtime`; 0 if it was not found.
    pub task_runtime: u32,
    /// `task_struct.mm`; 0 if this or the next was not found.
    pub task_mm: u32,
    /// `mm_struct.start_stack`, where the stack of a process's first thread begins.
    pub mm_start_stack: u32,
    /// `task_struct.signal`; 0 if this or the next was not found.
    pub task_signal: u32,
    /// `signal_struct.rlim`, the process's limits: pairs of 64-bit words, the limit that holds first.
    pub signal_limits: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Cgroup>() == 16);
const _: () = assert!(size_of::<KernelOffsets>() == 112);
const _: () = assert!(size_of::<Config>() == 16 * CGROUPS + 48 + 8 + 16 + 8 + 112);

#[cfg(feature = "user")]
mod pod {
    use super::Config;

    // SAFETY: `Config` is `repr(C)`, made of integers alone, and valid for every bit pattern. Its
    // tail padding is zeroed by `Default` and never read.
    #[expect(unsafe_code, reason = "aya asks for the promise that the bytes may be copied")]
    unsafe impl aya::Pod for Config {}
}
