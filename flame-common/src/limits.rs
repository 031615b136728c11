//! Every bound of the kernel programs, in one place.

/// Longest user stack that the kernel programs walk, in frames. A longer one is copied from there
/// on, as far as a copy goes.
pub const USER_FRAMES: usize = 2048;

/// Longest user stack that is put together, in frames: what the kernel walked and what a copy of the
/// stack behind holds, of frames of 16 bytes.
pub const FINISHED_FRAMES: usize = USER_FRAMES + STACK_COPY / 16;

/// Longest kernel stack that is taken, in frames: the default of `kernel.perf_event_max_stack`.
pub const KERNEL_FRAMES: usize = 127;

/// Room for the frames of one sample. A power of two, so that an index is bounded by a mask.
pub const SAMPLE_FRAMES: usize = 4096;

/// Longest user stack where the kernel has no `bpf_loop` (before 5.17), in frames: what a plain
/// loop may cost the verifier.
pub const USER_FRAMES_WITHOUT_LOOP: usize = 64;

/// Stack that is read at one time while walking it, in 64-bit words. A read of so many costs hardly
/// more than one of a word.
pub const WINDOW_WORDS: usize = 128;

/// Most of a stack that is copied to user space, in bytes, where the kernel cannot go on.
pub const STACK_COPY: usize = 64 << 10;

/// What a function may use below its stack pointer, in bytes, by the ABI of x86-64: what it has
/// just popped, by its unwind information still saved there, among it. A copy begins so far below.
pub const RED_ZONE: u64 = 128;

/// Room for the copy of a stack, in bytes: a page more than the copy, so that the verifier sees
/// that a page fits wherever the copy has got to.
pub const STACK_COPY_ROOM: usize = STACK_COPY + 4096;

/// Stacks that are copied in a second on a CPU, at most: those of short processes at 999 Hz, and
/// those with which their threads end.
pub const COPIES_A_SECOND: u32 = 2048;

/// Bits of an address within a page of text, the unit of which unwind rows are found by.
pub const TEXT_PAGE_BITS: u32 = 12;

/// Rows in one value of the programs' `ROWS` map. A text page has at most a row for each of its
/// bytes, so that the rows of a page fit into one value.
pub const CHUNK_ROWS: usize = 4096;

/// Unwind rules that each CPU remembers by address. A power of two.
pub const REMEMBERED_RULES: usize = 1024;

/// Probed returns that a task waits for, of which the return addresses are looked up: functions
/// that call each other, innermost first.
pub const RETURN_PROBES: usize = 3;

/// Most slots that each CPU's clock has for its samples. A power of two.
pub const SLOTS: u32 = 1024;

/// Processes whose mappings are known to the programs.
pub const PROCESSES: usize = 16_384;

/// Mappings of all processes.
pub const MAPPINGS: usize = 65_536;

/// Mappings of one process; those beyond are not walked through.
pub const PROCESS_MAPPINGS: usize = 4096;

/// Processes that can be targets at one time.
pub const TARGETS: usize = 16_384;

/// Cgroups that can be targets at one time.
pub const CGROUPS: usize = 8;

/// Names of processes that can be targets at one time.
pub const NAMES: usize = 64;

/// Deepest nesting of pid namespaces (`MAX_PID_NS_LEVEL` in the kernel's `pid_namespace.c` is 32) in
/// which flame's own is looked for.
pub const PID_NAMESPACE_LEVELS: u32 = 8;

/// Length of a task's name, the closing NUL included (`TASK_COMM_LEN`).
pub const COMM: usize = 16;

/// Sampled blocks that can live at one time: with the usual interval, more than 4 GiB of them.
pub const BLOCKS: usize = 65_536;

/// Counters of live blocks that tell most calls that free that theirs is none of them: 64 KiB, so
/// that the CPU's caches keep them. A power of two.
pub const BLOCK_COUNTERS: usize = 16_384;

/// Sampled pieces of touched memory that can be followed at one time. Each page that the machine
/// frees is looked up among them: they are to fit into a cache.
pub const RESIDENT: usize = 16_384;

/// Calls into allocators that can wait for their return at one time.
pub const CALLS: usize = 16_384;

/// The longest that the sample of an allocation takes, in nanoseconds: twice what 2048 frames and a
/// copy do. What takes longer was preempted meanwhile, or the whole machine was.
pub const LONGEST_SAMPLE_NS: u64 = 200_000;

/// Allocations that a CPU can take at one time: one, and one that preempts it.
pub const HEAP_PLACES: u32 = 2;

/// How far a frame pointer may lie above the stack pointer, in bytes: the usual limit of a
/// thread's stack.
pub const STACK_SPAN: u64 = 8 << 20;

const _: () = assert!(SAMPLE_FRAMES.is_power_of_two());
const _: () = assert!(KERNEL_FRAMES + USER_FRAMES <= SAMPLE_FRAMES);
const _: () = assert!(WINDOW_WORDS.is_power_of_two() && REMEMBERED_RULES.is_power_of_two());
const _: () = assert!(CHUNK_ROWS == 1 << TEXT_PAGE_BITS);
const _: () = assert!(PROCESS_MAPPINGS < MAPPINGS);
