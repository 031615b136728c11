//! The heap half of a session: which allocators to probe, how densely to sample, and the books.

mod breakpoints;
mod busy;
mod calibrate;
mod close;
mod contrast;
mod density;
mod doing;
mod go;
mod go_reader;
mod governor;
mod grown;
mod growth;
mod holders;
mod links;
mod meter;
mod options;
mod own_code;
mod probed;
mod prober;
mod refusal;
mod report;
mod residency;
mod stratum;
mod tick;
mod unseen;
mod warmth;
mod work;

use std::collections::{HashMap, HashSet, VecDeque};

use anyhow::{Result, ensure};
use flame_common::block::BlockKey;
use flame_common::limits::BLOCKS;

use self::busy::{Busy, Calls};
pub(super) use self::calibrate::Priced;
use self::go::GoHeaps;
use self::governor::{Governor, Probing, WINDOW};
use self::growth::Growth;
pub use self::options::{HeapMode, HeapOptions};
use self::prober::{Cost, Owner, Prober, Told};
pub(super) use self::refusal::refused_bytes;
pub(super) use self::report::HeapPart;
use self::residency::Residency;
use self::unseen::Unseen;
use crate::aggregate::RawSample;
use crate::bpf::{GrowthKernel, HeapBlocks, HeapKernel};
use crate::heap::{Allocator, Hooks, Ledger, Price, Window, after};
use crate::process::{CodeAddress, Executable, ExecutableId, ProcessId, ProcessTable};
use crate::session::cgroups::Cgroups;

/// The interval to begin with, in bytes, until it is known how fast memory is allocated.
const FIRST_INTERVAL: u64 = 16 << 10;
/// Samples of a window that the interval is chosen for.
const SAMPLES_A_WINDOW: f64 = 50.0;
/// Blocks that are followed, at most: room is left for those that come until they are thinned.
const MOST_BLOCKS: usize = BLOCKS / 10 * 9;

/// The heap half of a session.
pub(super) struct Heap {
    options: HeapOptions,
    /// None where nothing is probed.
    blocks: Option<HeapBlocks>,
    prober: Prober,
    ledger: Ledger,
    growth: Option<Growth>,
    /// Whether a file has one link for all processes, targets or not.
    every_process: bool,
    /// The cgroups that are targets, if there are some.
    cgroups: Cgroups,
    /// Whether threads have ended since processes were looked at.
    threads_ended: bool,
    /// The state of the mappings of each process when its files were looked at.
    looked: HashMap<ProcessId, u32>,
    asked: HashSet<(Owner, ExecutableId)>,
    /// What was asked for last of a file, by its device and inode.
    probed: HashMap<(Owner, u64, u64), ExecutableId>,
    /// Return addresses of calls that allocators make to themselves, as they are looked up.
    own_calls: HashSet<CodeAddress>,
    /// Where threads go on after the traps of probes.
    after_traps: HashSet<CodeAddress>,
    found: Vec<FoundAllocator>,
    /// What tells of allocators that cannot be probed.
    unseen: Unseen,
    go: GoHeaps,
    residency: Residency,
    failures: Vec<String>,
    /// The functions of the user's that were found.
    own_found: HashSet<String>,
    /// When the part began.
    began_ns: u64,
    interval: u64,
    intervals: (u64, u64),
    adapted_ns: u64,
    adapted_samples: u64,
    left_out: u64,
    thinned: u32,
    /// Ends of blocks that were lost up to now, and blocks that were found to have ended so.
    lost_ends: u64,
    settled: u64,
    /// How allocators are probed, as far as samples have been taken in.
    probing: Probing,
    /// What was told of times whose samples have not been taken in.
    coming: VecDeque<(u64, Coming)>,
    /// Why blocks are not followed any more.
    stepped_down: Option<Busy>,
    /// Whether the fate of all blocks is known since the part began.
    followed: bool,
    cost: Cost,
}

/// What happens at a time, between samples.
enum Coming {
    Probing { how: Probing, busy: Busy, price_ns: f64 },
    Window(Option<Window>),
    Stratum { work_ns: f64, told: Option<Price> },
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
        kernel: Option<Priced>,
        growth: Option<GrowthKernel>,
        every_process: bool,
        cgroups: Cgroups,
    ) -> Result<Self> {
        let interval = options.interval.unwrap_or(FIRST_INTERVAL);
        let (prober, blocks) = match kernel {
            Some(Priced { kernel, hit_ns }) => {
                let HeapKernel { programs, switch, blocks, clock } = kernel;
                let mut governor = Governor::new(options.mode, options.overhead, hit_ns);
                if !programs.closes_fast() {
                    ensure!(
                        options.mode != HeapMode::Governed,
                        "sampling in windows needs Linux 6.6 or later: use --heap-mode auto"
                    );
                    governor.goes_without_windows();
                }
                let own = options.own.clone();
                let of = cgroups.clone();
                (Prober::start(programs, own, switch, clock, governor, interval, of)?, Some(blocks))
            }
            None => (Prober::none(), None),
        };
        let growth = growth.map(Growth::start).transpose()?;
        let residency =
            if cgroups.is_empty() { Residency::default() } else { Residency::of_some() };
        let probing = match blocks {
            Some(_) => Probing::first(options.mode),
            None => Probing::Allocations,
        };
        Ok(Self {
            options,
            blocks,
            prober,
            ledger: Ledger::default(),
            growth,
            every_process,
            cgroups,
            threads_ended: false,
            looked: HashMap::new(),
            asked: HashSet::new(),
            probed: HashMap::new(),
            own_calls: HashSet::new(),
            after_traps: HashSet::new(),
            found: Vec::new(),
            unseen: Unseen::default(),
            go: GoHeaps::start()?,
            residency,
            failures: Vec::new(),
            own_found: HashSet::new(),
            began_ns: super::timeline::now_ns(),
            interval,
            intervals: (interval, interval),
            adapted_ns: super::timeline::now_ns(),
            adapted_samples: 0,
            left_out: 0,
            thinned: 0,
            lost_ends: 0,
            settled: 0,
            probing,
            coming: VecDeque::new(),
            stepped_down: None,
            followed: probing == Probing::Follow,
            cost: Cost::default(),
        })
    }

    /// Probes what is there when the session begins, and waits until it is probed.
    pub(super) fn probe_now(&mut self, processes: &mut ProcessTable) {
        self.probe_new(processes, true);
        self.residency.begin(processes);
        self.prober.settle();
        self.listen(processes);
    }

    /// Looks after everything: new files, processes that have gone, the interval.
    /// All samples of before `settled_ns` have been taken in.
    pub(super) fn update(&mut self, processes: &mut ProcessTable, settled_ns: u64) {
        self.probe_new(processes, false);
        self.residency.update(processes, settled_ns);
        self.listen(processes);
        self.come_to(settled_ns);
        self.ledger.come_to(settled_ns);
        self.adapt(settled_ns);
        if self.ledger.followed() > MOST_BLOCKS {
            self.thinned += 1;
            let thinned = self.ledger.thin();
            self.forget(thinned);
        }
        if let Some(growth) = &mut self.growth
            && let Err(error) = growth.update(settled_ns)
        {
            self.fail(format!("{error:#}"));
        }
    }

    /// Something could not be had.
    pub(super) fn fail(&mut self, why: String) {
        if !self.failures.contains(&why) {
            self.failures.push(why);
        }
    }

    /// Has the kernel forget blocks.
    fn forget(&mut self, forgotten: Vec<(BlockKey, u64)>) {
        if let Some(blocks) = &mut self.blocks {
            for (key, id) in forgotten {
                blocks.forget(key, id);
            }
        }
    }

    /// Has the kernel forget the block of a sample that is in no books: it would take up room.
    fn forget_block(&mut self, sample: &RawSample) {
        if sample.address != 0 {
            self.forget(vec![(BlockKey::of(sample.pid, sample.address), sample.id)]);
        }
    }

    /// Takes in what the prober tells: before samples are taken in, so that each window has its own.
    pub(super) fn listen(&mut self, processes: &ProcessTable) {
        let told: Vec<Told> = self.prober.told().collect();
        for told in told {
            match told {
                Told::Found { executable, path, hooks } => {
                    let file = processes.executable(executable);
                    self.own_calls.extend(hooks.own_calls.iter().map(|&offset| {
                        let address = file.address_of_offset(offset).wrapping_sub(1);
                        CodeAddress::Executable(executable, address)
                    }));
                    self.after_traps.extend(after_traps(executable, file, &hooks));
                    let stepped = hooks.probed.iter().filter(|hook| hook.emulated.is_none());
                    self.unseen.found(executable, &hooks);
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
                Told::Probing { at_ns, how, busy, price_ns } => {
                    self.coming.push_back((at_ns, Coming::Probing { how, busy, price_ns }));
                }
                Told::Window { end_ns, window } => {
                    self.coming.push_back((end_ns, Coming::Window(window)));
                }
                Told::Stratum { end_ns, work_ns, told } => {
                    self.coming.push_back((end_ns, Coming::Stratum { work_ns, told }));
                }
                Told::Own(names) => self.own_found.extend(names),
                Told::Cost(cost) => self.cost = cost,
                Told::Failed(why) => self.fail(why),
            }
        }
    }

    /// What happened up to a time, before the samples of later.
    fn come_to(&mut self, time_ns: u64) {
        while self.coming.front().is_some_and(|(at_ns, _)| *at_ns <= time_ns) {
            let Some((_, coming)) = self.coming.pop_front() else { return };
            match coming {
                Coming::Probing { how, busy, price_ns } => self.step_down(how, busy, price_ns),
                Coming::Window(window) => {
                    self.ledger.end_window(window);
                    let samples = self.ledger.samples().saturating_sub(self.adapted_samples);
                    self.adapted_samples = self.ledger.samples();
                    self.choose(samples as f64 / SAMPLES_A_WINDOW);
                }
                Coming::Stratum { work_ns, told } => {
                    self.ledger.end_stratum(work_ns, told);
                }
            }
        }
    }

    /// Following every block costs too much, by what was used and at this price of a hit.
    fn step_down(&mut self, how: Probing, busy: Busy, price_ns: f64) {
        if let Some(size) = self.ledger.mean_size().filter(|_| how == Probing::Windows) {
            // As if every other call freed, which does not trap in a window.
            let Calls { a_second, slow_down, .. } = busy.calls(price_ns);
            let calls = a_second * WINDOW.as_secs_f64() / (2.0 + slow_down);
            self.sample_at(calls * size / SAMPLES_A_WINDOW);
        }
        if self.probing == Probing::Follow {
            self.stepped_down = Some(busy);
            self.followed = false;
            let abandoned = self.ledger.abandon();
            self.forget(abandoned);
        }
        self.probing = how;
        self.adapted_samples = self.ledger.samples();
    }

    /// Takes in a sampled allocation.
    pub(super) fn allocate(
        &mut self,
        sample: &RawSample,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) {
        self.come_to(sample.time_ns);
        // An allocator's call to itself: what it serves was counted when it was called.
        let caller = sample.user.first().and_then(|frame| frame.address());
        if let Some(caller) = caller
            && self.own_calls.contains(&processes.locate(process, caller.lookup()))
        {
            self.left_out += 1;
            self.forget_block(sample);
            return;
        }
        let in_window = self.probing == Probing::Windows;
        if !self.ledger.allocate(sample, in_window, process, processes) {
            self.forget_block(sample);
        }
    }

    /// Takes in a sample of touched memory.
    pub(super) fn touch(
        &mut self,
        sample: &RawSample,
        process: ProcessId,
        processes: &mut ProcessTable,
    ) {
        if let Some(growth) = &mut self.growth {
            growth.touch(sample, process, processes);
        }
    }

    /// Takes in the end of a sampled block, or of a sampled piece of touched memory.
    pub(super) fn free(&mut self, id: u64) {
        self.ledger.free(id);
        if let Some(growth) = &mut self.growth {
            growth.release(id);
        }
    }

    /// A thread of a process has ended, which had used so much CPU time.
    pub(super) fn thread_ended(&mut self, pid: u32, cpu_ns: u64) {
        if !self.every_process {
            self.threads_ended = true;
            self.prober.thread_ended(pid, cpu_ns);
        }
    }

    /// A process runs another program.
    pub(super) fn exec(&mut self, process: ProcessId, time_ns: u64) {
        self.unseen.exec(process);
        self.go.exec(process);
        self.residency.exec(process);
        let lost = self.ledger.exec(process, time_ns);
        self.forget(lost);
        if let Some(growth) = &mut self.growth {
            growth.exec(process, time_ns);
        }
    }

    fn exit(&mut self, process: ProcessId) {
        self.settle();
        let held = self.ledger.exit(process, super::timeline::now_ns());
        self.forget(held);
        if let Some(growth) = &mut self.growth {
            growth.exit(process);
        }
    }

    /// Finds out what was freed without being told: the ring was full.
    fn settle(&mut self) {
        let Some(blocks) = &self.blocks else { return };
        if blocks.lost_ends() > self.lost_ends {
            self.lost_ends = blocks.lost_ends();
            self.settled += self.ledger.settle(|key, id| blocks.lives(key, id));
        }
    }

    /// Ends a part: nothing of before comes any more. At the session's end takes all probes away.
    pub(super) fn end_part(&mut self, session_ends: bool) {
        if session_ends {
            self.prober.close();
        } else {
            self.prober.end_stratum();
        }
    }

    /// Where threads go on after the traps of probes; `None` where nothing is probed.
    pub(super) fn after_traps(&self) -> Option<&HashSet<CodeAddress>> {
        self.blocks.as_ref().map(|_| &self.after_traps)
    }

    /// Samples taken in.
    pub(super) fn samples(&self) -> u64 {
        self.ledger.samples() + self.growth.as_ref().map_or(0, Growth::samples)
    }
}

/// Where threads go on after the traps of a file's probes.
fn after_traps(id: ExecutableId, found: &Executable, hooks: &Hooks) -> Vec<CodeAddress> {
    let Some(file) = &found.file else { return Vec::new() };
    let offsets = hooks.probed.iter().flat_map(|hook| after(file, hook.offset));
    offsets.map(|offset| CodeAddress::Executable(id, found.address_of_offset(offset))).collect()
}
