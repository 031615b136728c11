//! Every map: who writes it, who reads it, and where its size comes from.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray, RingBuf};
use flame_common::limits;
use flame_common::sample::SampleBuffer;
use flame_common::stat::Stat;

/// Samples, from the programs to user space, which sets the size by frequency and CPUs.
#[map]
pub(crate) static SAMPLES: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// The processes to sample, by pid in flame's namespace. User space puts in those it was told;
/// the programs add their children and take out the dead. The value is the kernel's address of
/// the process's leader, or 0 if user space put it in.
#[map]
pub(crate) static TARGETS: HashMap<u32, u64> =
    HashMap::with_max_entries(limits::TARGETS as u32, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// The names of processes to sample, NUL-padded, from user space.
#[map]
pub(crate) static NAMES: HashMap<[u8; limits::COMM], u8> =
    HashMap::with_max_entries(limits::NAMES as u32, 0);

/// Where each CPU puts a sample together.
#[map]
pub(crate) static BUFFER: PerCpuArray<SampleBuffer> = PerCpuArray::with_max_entries(1, 0);

/// The counters of [`Stat`], read by user space.
#[map]
pub(crate) static STATS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Stat::ALL.len() as u32, 0);
