//! Loading the kernel programs and attaching them.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{PerfEvent, Program, RawTracePoint};
use aya::{Ebpf, EbpfLoader};
use flame_common::config::{Config, KernelOffsets};
use flame_common::limits::{BLOCKS, CALLS, COMM, HEAP_PLACES, RESIDENT};
use flame_common::stat::Stat;

use super::at_once::{self, both, load_beside};
use super::fired::Fired;
use super::perf::{Event, SamplingEvent};
use super::slots::Slots;
use super::tables::Changes;
use super::{
    Counts, GrowthKernel, HeapKernel, HeapPrograms, MULTI_PROBES, Samples, TableRoom, TrapClock,
    UnwindMaps, btf, features, online_cpus,
};

/// The object that `cargo xtask build-ebpf` made.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/flame.bpf.o");

/// How to load the programs.
#[derive(Debug, Clone)]
pub(crate) struct LoadOptions {
    /// What the programs are told; the kernel's offsets are filled in here.
    pub(crate) config: Config,
    /// Names that make a process a target.
    pub(crate) names: Vec<String>,
    /// How much the unwind tables may hold.
    pub(crate) tables: TableRoom,
    /// Whether the stacks of what runs are sampled.
    pub(crate) cpu: bool,
    /// Whether allocations are sampled, by probes of allocators.
    pub(crate) heap: bool,
    /// The kernel whose ways of probing are used: an older one than this is for tests.
    pub(crate) heap_kernel: Option<(u32, u32)>,
    /// Whether touched memory is sampled.
    pub(crate) growth: bool,
}

impl LoadOptions {
    /// Whether a program tells of threads that end.
    fn tells_ends(&self) -> bool {
        let version = features::kernel_version();
        version >= EXIT_WITH_MEMORY || self.heap && version >= features::OLDEST_KERNEL
    }

    /// The programs that will be attached, but for those on probes.
    fn programs(&self) -> Vec<&'static str> {
        let follows = self.config.offsets.known != 0;
        let all: [(bool, &[&str]); _] = [
            (self.cpu, &["cpu_sample"]),
            (self.growth, &["growth_touch", "growth_release"]),
            (follows, &["process_fork", "process_exec", "process_free"]),
            (follows && self.tells_ends(), &["thread_exit"]),
        ];
        let wanted = all.iter().filter(|(is_wanted, _)| *is_wanted);
        wanted.flat_map(|(_, names)| names.iter().copied()).collect()
    }
}

/// What was loaded.
pub(crate) struct Loaded {
    pub(crate) programs: Programs,
    pub(crate) samples: Samples,
    pub(crate) tables: UnwindMaps,
    /// For allocations, if they were asked for; or why not.
    pub(crate) heap: Option<Result<HeapKernel>>,
    /// For touched memory, likewise.
    pub(crate) growth: Option<Result<GrowthKernel>>,
}

/// The first kernel that tells of a thread's end before its memory goes.
const EXIT_WITH_MEMORY: (u32, u32) = (6, 16);

/// The loaded programs. Dropping them detaches everything: nothing is pinned, so that the kernel
/// does the same when the process dies in any other way.
pub(crate) struct Programs {
    ebpf: Ebpf,
    targets: HashMap<MapData, u32, u64>,
    changes: Changes,
    stats: PerCpuArray<MapData, u64>,
    fired: Fired,
    events: Vec<SamplingEvent>,
    follows_in_kernel: bool,
    /// Whether the kernel programs take out targets that have ended.
    takes_out_ended: bool,
}

impl Programs {
    /// Loads them into the kernel.
    pub(crate) fn load(mut options: LoadOptions) -> Result<Loaded> {
        features::lift_memory_limit();
        // The loader begins with reading the kernel's types, and that takes as long as doing it here.
        let (mut loader, offsets) = both(EbpfLoader::new, btf::kernel_offsets);
        let needs_offsets = options.config.pid_namespace_inode != 0 || options.config.only_uid != 0;
        options.config.offsets = match offsets {
            Ok(offsets) => offsets,
            Err(error) if needs_offsets => {
                return Err(error.context("find the kernel's struct layouts (its BTF)"));
            }
            Err(error) => {
                log::warn!("{error:#}; children are followed from user space, a moment late");
                KernelOffsets::default()
            }
        };
        options.config.has_loop = u32::from(features::kernel_version() >= (5, 17));
        let places = if options.heap || options.growth { 1 + HEAP_PLACES } else { 2 };
        options.config.places = places;
        let highest_cpu = online_cpus()?.into_iter().max().unwrap_or_default();
        loader
            .btf(None)
            .override_global("CONFIG", &options.config, true)
            .map_max_entries("SAMPLES", options.config.ring_bytes)
            .map_max_entries("SLOTS", (highest_cpu + 1) * options.config.slots)
            .map_max_entries("PLACES", (highest_cpu + 1) * places)
            .map_max_entries("ROWS", options.tables.chunks)
            .map_max_entries("PAGES", options.tables.pages);
        if options.heap {
            loader.map_max_entries("CALLS", CALLS as u32).map_max_entries("BLOCKS", BLOCKS as u32);
        }
        if options.growth {
            loader.map_max_entries("RESIDENT", RESIDENT as u32);
        }
        let mut ebpf = loader.load(OBJECT).context("load the kernel programs")?;
        let heap_version = options.heap_kernel.unwrap_or_else(features::kernel_version);
        let maps = descriptors(&ebpf);
        let on_probes = load_beside(&mut ebpf, &options.programs(), || {
            options.heap.then(|| HeapPrograms::load(OBJECT, &maps, heap_version))
        });
        let heap = on_probes.map(|on_probes| {
            let clock = trap_clock(&mut ebpf, heap_version)?;
            HeapKernel::open(on_probes?, &maps, clock, |name| take(&mut ebpf, name))
        });
        let targets = HashMap::try_from(take(&mut ebpf, "TARGETS")?)?;
        let stats = PerCpuArray::try_from(take(&mut ebpf, "STATS")?)?;
        let fired = Fired::open(take(&mut ebpf, "PLACES")?, highest_cpu + 1, places)?;
        let changes = Changes::open(take(&mut ebpf, "CHANGES")?)?;
        let tables =
            UnwindMaps::open(options.tables, changes.clone(), |name| take(&mut ebpf, name))?;
        let ring = RingBuf::try_from(take(&mut ebpf, "SAMPLES")?)?;
        let slots = Slots::open(take(&mut ebpf, "SLOTS")?, highest_cpu + 1, options.config.slots)?;
        let mut programs = Self {
            ebpf,
            targets,
            changes,
            stats,
            fired,
            events: Vec::new(),
            follows_in_kernel: options.config.offsets.known != 0,
            takes_out_ended: options.config.offsets.known != 0
                && options.config.pid_namespace_inode == 0,
        };
        if options.config.verbose != 0 {
            programs.log();
        }
        programs.follow_processes(&options)?;
        let growth = options.growth.then(|| programs.watch_growth());
        Ok(Loaded { programs, samples: Samples::new(ring, slots), tables, heap, growth })
    }

    /// Passes on what the programs log, through the `log` crate.
    fn log(&mut self) {
        match aya_log::EbpfLogger::init(&mut self.ebpf) {
            Ok(mut logger) => {
                tokio::spawn(async move {
                    loop {
                        logger.flush();
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                });
            }
            Err(error) => log::warn!("the kernel programs' messages are not shown: {error}"),
        }
    }

    fn follow_processes(&mut self, options: &LoadOptions) -> Result<()> {
        if !self.follows_in_kernel {
            return Ok(());
        }
        self.attach("process_fork", "task_newtask")?;
        self.attach("process_exec", "sched_process_exec")?;
        self.attach("process_free", "sched_process_free")?;
        if options.tells_ends()
            && let Err(error) = self.attach("thread_exit", "sched_process_exit")
        {
            log::warn!(
                "{error:#}; samples of a thread's end have shorter stacks, and of processes that end \
                 a part of their CPU time is not known"
            );
        }
        if !options.names.is_empty() {
            let map = self.ebpf.map_mut("NAMES").ok_or_else(|| absent("NAMES"))?;
            let mut names: HashMap<_, [u8; COMM], u8> = HashMap::try_from(map)?;
            for name in &options.names {
                let mut comm = [0; COMM];
                for (to, from) in comm.iter_mut().take(COMM - 1).zip(name.bytes()) {
                    *to = from;
                }
                names.insert(comm, 1, 0).context("tell the kernel a process name")?;
            }
        }
        Ok(())
    }

    /// First what tells of releases, so that no sampled page is given back unseen.
    fn watch_growth(&mut self) -> Result<GrowthKernel> {
        let kernel = GrowthKernel::open(|name| take(&mut self.ebpf, name))?;
        self.attach("growth_release", "mm_page_free")?;
        self.attach("growth_touch", "mm_page_alloc")?;
        Ok(kernel)
    }

    fn attach(&mut self, name: &str, tracepoint: &str) -> Result<()> {
        let program: &mut RawTracePoint = loaded(&mut self.ebpf, name)?.try_into()?;
        let attached = program.attach(tracepoint);
        attached.with_context(|| format!("attach {name} to the tracepoint {tracepoint}"))?;
        Ok(())
    }

    /// Whether the kernel itself makes the children of targets targets.
    pub(crate) fn follows_in_kernel(&self) -> bool {
        self.follows_in_kernel
    }

    /// Whether the kernel programs take out targets that have ended: not in a pid namespace, which a
    /// dead task has left.
    pub(crate) fn takes_out_ended(&self) -> bool {
        self.takes_out_ended
    }

    /// Makes a process a target.
    pub(crate) fn add_target(&mut self, pid: u32) -> Result<()> {
        self.targets.insert(pid, 0, 0).with_context(|| format!("make process {pid} a target"))
    }

    /// Takes a process out of the targets; it may not be among them.
    pub(crate) fn remove_target(&mut self, pid: u32) {
        // Gone already: the kernel programs take out the dead too.
        _ = self.targets.remove(&pid);
        self.changes.count();
    }

    /// Opens the sampling event on each CPU and starts them all.
    pub(crate) fn start_sampling(
        &mut self,
        event: Event,
        frequency: u64,
        cpus: &[u32],
    ) -> Result<()> {
        let program: &mut PerfEvent = loaded(&mut self.ebpf, "cpu_sample")?.try_into()?;
        let fd = program.fd()?.as_fd();
        for &cpu in cpus {
            let opened = SamplingEvent::open(event, frequency, cpu, fd);
            let opened = opened.map_err(|error| explain(error, event, cpu))?;
            self.events.push(opened);
        }
        for opened in &self.events {
            opened.enable().context("start the sampling event")?;
        }
        Ok(())
    }

    /// Ends the sampling; counters can still be read.
    pub(crate) fn stop_sampling(&mut self) {
        self.events.clear();
    }

    /// The counters.
    pub(crate) fn counts(&self) -> Result<Counts> {
        Ok(Counts::read(&self.stats)?.with(Stat::Fired, self.fired.count()))
    }

    /// Some of the counters; the others are zero.
    pub(crate) fn counts_of(&self, stats: &[Stat]) -> Result<Counts> {
        Counts::read_some(&self.stats, stats)
    }
}

/// Opens the clock of probes' traps on every CPU.
fn trap_clock(ebpf: &mut Ebpf, version: (u32, u32)) -> Result<TrapClock> {
    let on_tick: &mut PerfEvent = loaded(ebpf, "trap_tick")?.try_into()?;
    let on_tick = on_tick.fd()?.as_fd().try_clone_to_owned()?;
    let mut on_switch = None;
    if version >= MULTI_PROBES {
        let program: &mut RawTracePoint = loaded(ebpf, "trap_switch")?.try_into()?;
        on_switch = Some(program.fd()?.as_fd().try_clone_to_owned()?);
    }
    let since = Array::try_from(take(ebpf, "CLOCK_SINCE")?)?;
    let cpu_times = PerCpuArray::try_from(take(ebpf, "CPU_TIME")?)?;
    TrapClock::open(&on_tick, on_switch, since, cpu_times, &online_cpus()?)
}

/// A program, which is loaded if that has not been done.
fn loaded<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program> {
    let program = ebpf.program_mut(name).ok_or_else(|| absent(name))?;
    at_once::load(program).with_context(|| format!("load the kernel program {name}"))?;
    Ok(program)
}

/// What a refused sampling event means, and what to do.
fn explain(error: io::Error, event: Event, cpu: u32) -> anyhow::Error {
    let name = event.name();
    let advice = match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) if event != Event::CpuClock => {
            "this machine has no such hardware counter; leave out --event to sample on the clock"
        }
        Some(libc::EACCES | libc::EPERM) => "run flame as root, or grant it CAP_PERFMON",
        _ => "see `flame doctor`",
    };
    anyhow!(error).context(format!("open the event {name} on CPU {cpu} ({advice})"))
}

/// The maps' names and descriptors.
fn descriptors(ebpf: &Ebpf) -> Vec<(String, RawFd)> {
    let descriptor = |map: &Map| match map {
        Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) | Map::RingBuf(data) => {
            Some(data.fd().as_fd().as_raw_fd())
        }
        _ => None,
    };
    ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), descriptor(map)?))).collect()
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| absent(name))
}

fn absent(name: &str) -> anyhow::Error {
    anyhow!("the embedded kernel object has no {name}: rebuild it with `cargo xtask build-ebpf`")
}
