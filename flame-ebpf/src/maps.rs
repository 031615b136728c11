//! Every map: who writes it, who reads it, and where its size comes from. Hash maps have all their
//! memory from the start: before Linux 6.1 the kernel lets no perf-event program use others.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use flame_common::block::{Block, BlockKey, Call, Countdown, HeapControl};
use flame_common::cpu_time::CpuTime;
use flame_common::limits;
use flame_common::mapping::{MappedRange, ProcessRun, TextPage};
use flame_common::slot::Slot;
use flame_common::stat::Stat;
use flame_common::trap::ProbedPlaces;
use flame_common::unwind::{DICTIONARY, Row, Rule};

use crate::scratch::Place;
use crate::stack::CopyBudget;

/// Samples, from the programs to user space, which sets the size by frequency and CPUs.
#[map]
pub(crate) static SAMPLES: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// The processes to sample, by pid in flame's namespace. User space puts in those it was told;
/// the programs add their children and take out the dead. The value is the kernel's address of
/// the process's leader, or 0 if user space put it in.
#[map]
pub(crate) static TARGETS: HashMap<u32, u64> = HashMap::with_max_entries(limits::TARGETS as u32, 0);

/// The names of processes to sample, NUL-padded, from user space.
#[map]
pub(crate) static NAMES: HashMap<[u8; limits::COMM], u8> =
    HashMap::with_max_entries(limits::NAMES as u32, 0);

/// The samples of each CPU's clock that wait to be read, `config.slots` for each CPU one behind the
/// other. User space reads and clears them, through memory, and sets how many there are.
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Where each CPU puts samples together, `config.places` of them one behind the other: the first for
/// its clock, the others for allocations, which the clock and other allocations may interrupt. User
/// space sets how many there are. Values for each CPU (`PerCpuArray`) would have to be smaller
/// (`PCPU_MIN_UNIT_SIZE`, 32 KiB). An array that can be mapped begins with a page, and so does each
/// place.
#[map]
pub(crate) static PLACES: Array<Place> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The counters of [`Stat`], read by user space.
#[map]
pub(crate) static STATS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Stat::ALL.len() as u32, 0);

/// The mappings of each process, by pid in flame's namespace: a run of [`RANGES`]. User space puts
/// it in; the programs give a child its parent's and take it out when other code is run.
#[map]
pub(crate) static PROCESSES: HashMap<u32, ProcessRun> =
    HashMap::with_max_entries(limits::PROCESSES as u32, 0);

/// How often entries of [`PROCESSES`] or [`TARGETS`] became others or went: by the programs, and by user
/// space. Each writes its own number, and what is read is their sum. No array that can be mapped: the
/// kernel puts a small one where it has its own data, which is seldom far.
#[map]
pub(crate) static CHANGES: Array<u32> = Array::with_max_entries(2, 0);

/// The mappings of all processes, in sorted runs. User space writes them, through memory.
#[map]
pub(crate) static RANGES: Array<MappedRange> =
    Array::with_max_entries(limits::MAPPINGS as u32, BPF_F_MMAPABLE);

/// The text pages of all unwind tables. User space writes them and sets their number.
#[map]
pub(crate) static PAGES: Array<TextPage> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The rows of all unwind tables. User space writes them and sets their number.
#[map]
pub(crate) static ROWS: Array<[Row; limits::CHUNK_ROWS]> =
    Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The rules that rows cannot tell whole, by number. User space writes them.
#[map]
pub(crate) static RULES: Array<Rule> = Array::with_max_entries(DICTIONARY as u32, BPF_F_MMAPABLE);

/// How many stacks each CPU copied in this second.
#[map]
pub(crate) static COPIES: PerCpuArray<CopyBudget> = PerCpuArray::with_max_entries(1, 0);

/// Which of [`PLACES`] for allocations are in use.
#[map]
pub(crate) static BUSY: PerCpuArray<u64> = PerCpuArray::with_max_entries(limits::HEAP_PLACES, 0);

/// The sampling of allocations, from user space.
#[map]
pub(crate) static HEAP: Array<HeapControl> = Array::with_max_entries(1, 0);

/// The sampling of touched memory, from user space.
#[map]
pub(crate) static GROWTH: Array<HeapControl> = Array::with_max_entries(1, 0);

/// How far each CPU is on the way to its next sample of touched memory.
#[map]
pub(crate) static GROWTH_COUNTDOWN: PerCpuArray<Countdown> = PerCpuArray::with_max_entries(1, 0);

/// The sampled pieces of touched memory that are still there, by the kernel's address of their
/// page. The programs put them in and take them out; user space thins them. It sets the size.
#[map]
pub(crate) static RESIDENT: HashMap<u64, Block> = HashMap::with_max_entries(1, 0);

/// How far each CPU is on the way to its next sampled allocation.
#[map]
pub(crate) static COUNTDOWN: PerCpuArray<Countdown> = PerCpuArray::with_max_entries(1, 0);

/// The processes whose allocators are probed, by pid in flame's namespace, from user space and by
/// their first samples; 0 stands for all.
#[map]
pub(crate) static HEAP_TARGETS: HashMap<u32, u8> =
    HashMap::with_max_entries(limits::TARGETS as u32, 0);

/// The probes that each CPU met last, by which its clock tells their traps.
#[map]
pub(crate) static PROBED: PerCpuArray<ProbedPlaces> = PerCpuArray::with_max_entries(1, 0);

/// Since when the clock of traps is fast (`CLOCK_MONOTONIC`, nanoseconds), from user space; 0 if it
/// is not.
#[map]
pub(crate) static CLOCK_SINCE: Array<u64> = Array::with_max_entries(1, 0);

/// How long targets ran on each CPU while it was, read by user space.
#[map]
pub(crate) static CPU_TIME: PerCpuArray<CpuTime> = PerCpuArray::with_max_entries(1, 0);

/// Calls whose return is awaited, by the thread's pid and tid in the machine's own namespace.
#[map]
pub(crate) static CALLS: HashMap<u64, Call> = HashMap::with_max_entries(1, 0);

/// The sampled blocks that live. The programs put them in and take them out; user space takes out
/// those of processes that have gone, and thins them when they get too many. Both sizes are set by
/// user space.
#[map]
pub(crate) static BLOCKS: HashMap<BlockKey, Block> = HashMap::with_max_entries(1, 0);

/// How many of [`BLOCKS`] there are, at least, by [`BlockKey::counter`]: where it is 0 there is none.
/// Who puts a block in counts it before, and who takes it out after that.
#[map]
pub(crate) static BLOCK_COUNTERS: Array<u32> =
    Array::with_max_entries(limits::BLOCK_COUNTERS as u32, BPF_F_MMAPABLE);
