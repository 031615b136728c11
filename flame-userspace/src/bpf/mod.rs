//! The kernel's side: loading the programs, attaching them, and reading what they send. The only
//! module that knows aya and the `perf_event_open(2)` interface.

mod apart;
mod at_once;
mod btf;
mod call;
mod cpus;
mod decode;
mod features;
mod fired;
mod growth;
mod heap;
mod let_go;
mod load;
mod perf;
mod samples;
mod side_band;
mod slots;
mod stat;
mod tables;
mod trap_clock;
mod uprobe;
mod uprobe_event;

pub(crate) use btf::kernel_types;
pub(crate) use cpus::online_cpus;
pub(crate) use features::{
    Feature, OLDEST_KERNEL, has_capability, kernel_release, kernel_version, lockable_memory,
    too_old,
};
pub(crate) use growth::GrowthKernel;
pub(crate) use heap::{
    HeapBlocks, HeapCounts, HeapKernel, HeapPrograms, HeapSwitch, MULTI_PROBES, SESSION_PROBES,
};
pub(crate) use load::{LoadOptions, Loaded, Programs};
pub use perf::{Counter, Event};
pub(crate) use samples::Samples;
pub(crate) use side_band::{SideBand, SideBandBatch};
pub(crate) use stat::Counts;
pub(crate) use tables::{TableRoom, UnwindMaps};
pub(crate) use trap_clock::{CpuUse, Pace, TrapClock};
pub(crate) use uprobe::{Probe, ProbeLink};
