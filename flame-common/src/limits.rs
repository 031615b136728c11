//! Every bound of the kernel programs, in one place.

/// Longest user stack that is walked, in frames.
pub const USER_FRAMES: usize = 256;

/// Longest kernel stack that is taken, in frames: the default of `kernel.perf_event_max_stack`.
pub const KERNEL_FRAMES: usize = 127;

/// Room for the frames of one sample. A power of two, so that an index is bounded by a mask.
pub const SAMPLE_FRAMES: usize = 512;

/// Processes that can be targets at one time.
pub const TARGETS: usize = 65_536;

/// Cgroups that can be targets at one time.
pub const CGROUPS: usize = 8;

/// Names of processes that can be targets at one time.
pub const NAMES: usize = 64;

/// Deepest nesting of pid namespaces (`MAX_PID_NS_LEVEL` in the kernel's `pid_namespace.c` is 32) in
/// which flame's own is looked for.
pub const PID_NAMESPACE_LEVELS: u32 = 8;

/// Length of a task's name, the closing NUL included (`TASK_COMM_LEN`).
pub const COMM: usize = 16;

/// How far a frame pointer may lie above the stack pointer, in bytes: the usual limit of a
/// thread's stack.
pub const STACK_SPAN: u64 = 8 << 20;

const _: () = assert!(SAMPLE_FRAMES.is_power_of_two());
const _: () = assert!(KERNEL_FRAMES + USER_FRAMES <= SAMPLE_FRAMES);
