//! The heap half of a session: which allocators to probe, how densely to sample, and the books.

mod hooker;
mod options;
mod report;

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use flame_common::limits::BLOCKS;

use self::hooker::{HookFile, Hooker, Owner, Probing, Told};
pub use self::options::{HeapMode, HeapOptions};
pub(super) use self::report::HeapPart;
use crate::aggregate::RawSample;
use crate::bpf::{HeapMaps, HeapPrograms};
use crate::heap::{Allocator, Ledger};
use crate::process::{CodeAddress, ExecutableId, ProcessId, ProcessTable, RangeCode};

/// The interval to begin with, in bytes, until it is known how fast memory is allocated.
const FIRST_INTERVAL: u64 = 16 << 10;
/// The shortest and the longest interval that flame chooses, in bytes.
const INTERVALS: (u64, u64) = (1 << 10, 4 << 20);
/// Samples a second that the interval is chosen for.
const SAMPLES_A_SECOND: f64 = 500.0;
/// How often the interval is looked at, in nanoseconds.
const ADAPT_NS: u64 = 250_000_000;
/// Blocks that are followed, at most: room is left for those that come until they are thinned.
const MOST_BLOCKS: usize = BLOCKS / 10 * 9;

/// The heap half of a session.
pub(super) struct Heap {
    options: HeapOptions,
    maps: HeapMaps,
    hooker: Hooker,
    ledger: Ledger,
    /// Whether every process is a target: then a file has one link for all.
    every_process: bool,
    /// The state of the mappings of each process when its files were looked at.
    looked: HashMap<ProcessId, u32>,
    asked: HashSet<(Owner, ExecutableId)>,
    /// Return addresses of calls that allocators make to themselves, as they are looked up.
    own_calls: HashSet<CodeAddress>,
    found: Vec<FoundAllocator>,
    hooked: HashSet<Owner>,
    failures: Vec<String>,
    interval: u64,
    intervals: (u64, u64),
    adapted_ns: u64,
    adapted_bytes: f64,
    left_out: u64,
    thinned: u32,
}

/// A file with an allocator.
#[derive(Debug, Clone)]
pub(super) struct FoundAllocator {
    path: String,
    allocator: Allocator,
    /// Functions probed, and those of them that are single-stepped.
    probes: usize,
    stepped: Vec<String>,
}

impl Heap {
    /// Gets ready to probe; nothing is probed yet.
    pub(super) fn new(
        options: HeapOptions,
        (programs, mut maps): (HeapPrograms, HeapMaps),
        every_process: bool,
    ) -> Result<Self> {
        let interval = options.interval.unwrap_or(FIRST_INTERVAL);
        maps.set_interval(interval)?;
        let hooker = Hooker::start(programs, Vec::new())?;
        if options.mode == HeapMode::Alloc {
            hooker.probe(Probing::Allocations);
        }
        Ok(Self {
            options,
            maps,
            hooker,
            ledger: Ledger::default(),
            every_process,
            looked: HashMap::new(),
            asked: HashSet::new(),
            own_calls: HashSet::new(),
            found: Vec::new(),
            hooked: HashSet::new(),
            failures: Vec::new(),
            interval,
            intervals: (interval, interval),
            adapted_ns: super::timeline::now_ns(),
            adapted_bytes: 0.0,
            left_out: 0,
            thinned: 0,
        })
    }

    /// Whether the fate of blocks is known.
    fn knows_in_use(&self) -> bool {
        self.options.mode != HeapMode::Alloc
    }

    /// Probes what is new, and waits until it is probed.
    pub(super) fn probe_now(&mut self, processes: &mut ProcessTable) {
        self.probe_new(processes);
        self.hooker.settle();
        self.listen(processes);
    }

    /// Looks after everything: new files, processes that have gone, the interval.
    pub(super) fn update(&mut self, processes: &mut ProcessTable, now_ns: u64) {
        self.probe_new(processes);
        self.listen(processes);
        self.adapt(now_ns);
        if self.ledger.followed() > MOST_BLOCKS {
            self.thinned += 1;
            for (key, id) in self.ledger.thin() {
                self.maps.forget(key, id);
            }
        }
    }

    /// Has the files probed that processes have mapped since the last time.
    fn probe_new(&mut self, processes: &mut ProcessTable) {
        let current: HashSet<ProcessId> = processes.current_ids().collect();
        let gone: Vec<ProcessId> =
            self.looked.keys().filter(|id| !current.contains(id)).copied().collect();
        for process in gone {
            self.looked.remove(&process);
            self.asked.retain(|(owner, _)| *owner != Some(process));
            self.exit(process);
            self.hooker.gone(process);
        }
        for process in current {
            let epoch = processes.epoch(process);
            if self.looked.insert(process, epoch) != Some(epoch) {
                self.probe_files(process, processes);
            }
        }
    }

    fn probe_files(&mut self, process: ProcessId, processes: &mut ProcessTable) {
        let owner = (!self.every_process).then_some(process);
        let pid = if self.every_process { 0 } else { processes.get(process).pid };
        let ranges: Vec<_> = processes.code_ranges(process).collect();
        for range in ranges {
            let executable = match range.code {
                RangeCode::Executable(executable, _) => executable,
                RangeCode::Unopened => match processes.locate(process, range.start) {
                    CodeAddress::Executable(executable, _) => executable,
                    _ => continue,
                },
                RangeCode::Vdso | RangeCode::Generated => continue,
            };
            if !self.asked.insert((owner, executable)) {
                continue;
            }
            let found = processes.executable(executable);
            let Some(Ok(file)) = found.file.as_ref().map(std::fs::File::try_clone) else {
                continue;
            };
            let debug_file = found.debug_file.as_ref().and_then(|file| file.try_clone().ok());
            let path = found.path.display().to_string();
            self.hooker.hook(HookFile { owner, pid, executable, file, debug_file, path });
        }
    }

    /// Takes in what the hooker tells.
    fn listen(&mut self, processes: &ProcessTable) {
        for told in self.hooker.told() {
            match told {
                Told::Found { executable, path, hooks } => {
                    let file = processes.executable(executable);
                    self.own_calls.extend(hooks.own_calls.iter().map(|&offset| {
                        let address = file.address_of_offset(offset).wrapping_sub(1);
                        CodeAddress::Executable(executable, address)
                    }));
                    let stepped = hooks.probed.iter().filter(|hook| !hook.emulated);
                    self.found.push(FoundAllocator {
                        path,
                        allocator: hooks
                            .probed
                            .first()
                            .map_or(Allocator::Unknown, |hook| hook.allocator),
                        probes: hooks.probed.len(),
                        stepped: stepped.map(|hook| hook.name.clone()).collect(),
                    });
                }
                Told::Hooked(owner) => _ = self.hooked.insert(owner),
                Told::Failed(why) => {
                    if !self.failures.contains(&why) {
                        self.failures.push(why);
                    }
                }
            }
        }
    }

    /// Chooses the interval for a steady number of samples, whatever is allocated. Samples are
    /// weighted by the interval that chose them, so that a change has no bias.
    fn adapt(&mut self, now_ns: u64) {
        let past_ns = now_ns.saturating_sub(self.adapted_ns);
        if self.options.interval.is_some() || past_ns < ADAPT_NS {
            return;
        }
        let bytes = self.ledger.allocated().space.value;
        let rate = (bytes - self.adapted_bytes).max(0.0) * 1e9 / past_ns as f64;
        (self.adapted_ns, self.adapted_bytes) = (now_ns, bytes);
        let (least, most) = INTERVALS;
        let wanted = ((rate / SAMPLES_A_SECOND) as u64).clamp(least, most);
        if wanted <= self.interval * 2 && self.interval <= wanted * 2 {
            return;
        }
        match self.maps.set_interval(wanted) {
            Ok(()) => {
                self.interval = wanted;
                let (least, most) = self.intervals;
                self.intervals = (least.min(wanted), most.max(wanted));
            }
            Err(error) => log::warn!("{error:#}"),
        }
    }

    /// Takes in a sampled allocation.
    pub(super) fn allocate(
        &mut self,
        sample: &RawSample,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) {
        // An allocator's call to itself: what it serves was counted when it was called.
        let caller = sample.user.first().and_then(|frame| frame.address());
        if let Some(caller) = caller
            && self.own_calls.contains(&processes.locate(process, caller.lookup()))
        {
            self.left_out += 1;
            return;
        }
        self.ledger.allocate(sample, process, processes);
    }

    /// Takes in the end of a sampled block.
    pub(super) fn free(&mut self, id: u64) {
        self.ledger.free(id);
    }

    /// A process runs another program.
    pub(super) fn exec(&mut self, process: ProcessId, time_ns: u64) {
        for (key, id) in self.ledger.exec(process, time_ns) {
            self.maps.forget(key, id);
        }
    }

    fn exit(&mut self, process: ProcessId) {
        for (key, id) in self.ledger.exit(process) {
            self.maps.forget(key, id);
        }
    }

    /// Takes all probes away.
    pub(super) fn stop(&mut self) {
        self.hooker.probe(Probing::Nothing);
        self.hooker.settle();
    }

    /// Samples taken in.
    pub(super) fn samples(&self) -> u64 {
        self.ledger.samples()
    }

    /// Closes the books of a part.
    pub(super) fn close(&mut self) -> HeapPart {
        self.adapted_bytes = 0.0;
        let books = self.ledger.close();
        let intervals = std::mem::replace(&mut self.intervals, (self.interval, self.interval));
        HeapPart {
            books,
            knows_in_use: self.knows_in_use(),
            intervals,
            found: self.found.clone(),
            hooked: self.hooked.len(),
            failures: self.failures.clone(),
            left_out: std::mem::take(&mut self.left_out),
            thinned: self.thinned,
        }
    }
}
