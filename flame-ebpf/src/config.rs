//! The load-time configuration, which user space writes into the object before it is loaded.

use flame_common::config::{Config, KernelOffsets};

/// Written by the loader under this name; read-only for the programs.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    cgroups: [flame_common::config::Cgroup { id: 0, level: 0, pad: 0 }; 8],
    cgroup_count: 0,
    all: 0,
    follow_children: 0,
    kernel_stacks: 0,
    only_uid: 0,
    uid: 0,
    pid_namespace_inode: 0,
    verbose: 0,
    has_loop: 0,
    places: 1,
    tell_begun: 0,
    ring_bytes: 0,
    slots: 1,
    pad: 0,
    remember_by: [1; 2],
    refused_bytes: 0,
    offsets: KernelOffsets {
        task_pid: 0,
        task_tgid: 0,
        task_group_leader: 0,
        task_thread_pid: 0,
        task_cred: 0,
        cred_euid: 0,
        cred_suid: 0,
        pid_level: 0,
        pid_numbers: 0,
        upid_size: 0,
        upid_nr: 0,
        upid_ns: 0,
        pid_namespace_inode: 0,
        task_flags: 0,
        known: 0,
        return_probes_known: 0,
        task_utask: 0,
        utask_return_instances: 0,
        utask_returned: 0,
        return_instance_stack: 0,
        return_instance_address: 0,
        return_instance_next: 0,
        task_runtime: 0,
        task_mm: 0,
        mm_start_stack: 0,
        task_signal: 0,
        signal_limits: 0,
        pad: 0,
    },
};

/// One field of the configuration, as the loader wrote it.
///
/// The read is volatile: the compiler knows the zeros above and must not put them in its place.
macro_rules! config {
    ($($field:tt)+) => {
        // SAFETY: the static lives as long as the program and nothing writes to it.
        unsafe { core::ptr::read_volatile(&raw const $crate::config::get().$($field)+) }
    };
}
pub(crate) use config;

/// The configuration. Read its fields with [`config!`].
#[inline(always)]
pub(crate) fn get() -> &'static Config {
    &CONFIG
}
