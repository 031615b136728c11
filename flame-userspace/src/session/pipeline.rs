//! The one task that owns a session's state, and takes in what the kernel sends.

use std::collections::HashSet;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use flame_common::sample::SampleKind;
use flame_common::stat::Stat;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use super::assemble::{self, Frame, Values};
use super::cost;
use super::heap::{Heap, HeapPart};
use super::leaving::LastStacks;
use super::quality::{Quality, SideLosses};
use super::timeline::{Happened, Timeline, now_ns};
use super::{ProfileType, Recorded, Recording, SessionBuilder, holder};
use crate::aggregate::{Aggregate, Aggregator};
use crate::bpf::{Counts, Event, Programs, SampleRing, SideBand, SideBandBatch, UnwindMaps};
use crate::process::{ProcessEvent, ProcessTable};
use crate::profile::SampleType;
use crate::symbolize::{Names, Symbolizer};
use crate::unwind::{Plan, Stopped, Unwinder};

/// How often the rings are looked at. A fuller ring wakes the pipeline earlier.
const TICK: Duration = Duration::from_millis(50);

/// How soon they are looked at again where the kernel waits for unwind tables.
const SOON: Duration = Duration::from_millis(3);

/// How often those who watch the session are told how far it is.
const TELL: Duration = Duration::from_millis(100);

/// How often the kernel is told of tables while many stacks that want them are taken in.
const TELL_TABLES: Duration = Duration::from_millis(2);

/// What may be asked of a running pipeline.
pub(super) enum Control {
    /// The profile up to now; counting starts afresh.
    Rotate(oneshot::Sender<Result<Recording>>),
    /// The profile, and the end.
    Stop(oneshot::Sender<Result<Recording>>),
}

/// How far a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Samples taken in.
    pub samples: u64,
    /// Samples lost in the kernel.
    pub lost: u64,
    /// Processes seen.
    pub processes: u64,
    /// Whether every target process has ended.
    pub targets_ended: bool,
}

/// The state of a session.
pub(super) struct Pipeline {
    options: SessionBuilder,
    cpus: usize,
    programs: Programs,
    ring: AsyncFd<SampleRing>,
    side_band: SideBand,
    processes: ProcessTable,
    symbolizer: Symbolizer,
    /// The kernel's tables, until the end, and what is in them.
    tables: Option<UnwindMaps>,
    plan: Plan,
    /// When the kernel was told of tables last.
    told_tables: Instant,
    unwinder: Unwinder,
    timeline: Timeline,
    aggregator: Aggregator,
    last_stacks: LastStacks,
    /// If it was asked for; or why it could not be had.
    heap: Option<Result<Heap, String>>,
    losses: SideLosses,
    /// Counters at the start of the part that is being recorded.
    counted: Counts,
    began: SystemTime,
    began_ns: u64,
}

/// What a pipeline takes in from, and tells.
pub(super) struct Sources {
    pub(super) programs: Programs,
    pub(super) ring: SampleRing,
    pub(super) side_band: SideBand,
    pub(super) tables: UnwindMaps,
    pub(super) heap: Option<Result<Heap, String>>,
}

impl Pipeline {
    pub(super) fn new(
        options: SessionBuilder,
        cpus: usize,
        sources: Sources,
        processes: ProcessTable,
        symbolizer: Symbolizer,
    ) -> Result<Self> {
        let Sources { programs, ring, side_band, tables, heap } = sources;
        Ok(Self {
            options,
            cpus,
            programs,
            ring: ring.watch()?,
            side_band,
            processes,
            symbolizer,
            plan: Plan::new(&tables),
            told_tables: Instant::now(),
            tables: Some(tables),
            unwinder: Unwinder::default(),
            timeline: Timeline::default(),
            aggregator: Aggregator::default(),
            last_stacks: LastStacks::default(),
            heap,
            losses: SideLosses::default(),
            counted: Counts::default(),
            began: SystemTime::now(),
            began_ns: now_ns(),
        })
    }

    /// Works until it is stopped or nobody can stop it any more.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Control>,
        progress: watch::Sender<Progress>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = Instant::now();
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    // Whoever asked may have gone meanwhile.
                    Some(Control::Rotate(reply)) => _ = reply.send(self.record(false).await),
                    Some(Control::Stop(reply)) => {
                        _ = reply.send(self.record(true).await);
                        return;
                    }
                    None => return,
                },
                _ = tick.tick() => self.take_in(),
                () = tokio::time::sleep(SOON), if self.timeline.has_urgent() => self.take_in(),
                ready = self.ring.readable() => match ready {
                    Ok(mut guard) => {
                        guard.clear_ready();
                        drop(guard);
                        self.take_in();
                    }
                    Err(error) => log::warn!("watch the ring of samples: {error}"),
                },
            }
            if told.elapsed() >= TELL {
                progress.send_replace(self.progress());
                told = Instant::now();
            }
        }
    }

    fn progress(&self) -> Progress {
        let lost = self.programs.counts().map_or(0, |counts| {
            let counts = counts.since(&self.counted);
            counts.get(Stat::RingFull) + counts.get(Stat::HeapRingFull)
        });
        Progress {
            samples: self.aggregator.samples() + self.live_heap().map_or(0, Heap::samples),
            lost,
            processes: self.processes.count() as u64,
            targets_ended: self.options.target.can_end() && !self.any_alive(),
        }
    }

    fn live_heap(&self) -> Option<&Heap> {
        self.heap.as_ref().and_then(|heap| heap.as_ref().ok())
    }

    /// A line for each of these processes that ended before the sampling began.
    pub(super) fn gone(&self, targets: &[u32]) -> Vec<String> {
        let asked = targets.iter().filter(|pid| self.options.target.pids.contains(pid));
        asked
            .filter(|&&pid| !is_alive(pid))
            .map(|pid| format!("process {pid} ended while flame attached to it"))
            .collect()
    }

    /// Whether one of the processes that were named by pid still runs.
    pub(super) fn any_alive(&self) -> bool {
        self.options.target.pids.iter().any(|&pid| is_alive(pid))
    }

    /// Reads what waits and takes in what is settled.
    fn take_in(&mut self) {
        let began = now_ns();
        self.read();
        let (settled, as_of_ns) = self.timeline.settled(began);
        self.apply(settled);
        self.processes.sweep();
        if let Some(Ok(heap)) = &mut self.heap {
            heap.update(&mut self.processes, as_of_ns);
        }
        self.tell_tables(as_of_ns);
        self.losses.refused.add(self.plan.take_refused());
    }

    /// Tells the kernel of tables; of events before `as_of_ns` all are known.
    fn tell_tables(&mut self, as_of_ns: u64) {
        if let Some(tables) = &mut self.tables {
            self.plan.update(&self.processes, &mut self.unwinder, as_of_ns, tables);
        }
        self.told_tables = Instant::now();
    }

    fn read(&mut self) {
        let mut batch = SideBandBatch::default();
        self.side_band.drain(&mut batch);
        let mut samples = Vec::new();
        self.losses.malformed_samples += self.ring.get_mut().drain(&mut samples);
        self.losses.lost_records += batch.lost;
        self.losses.malformed_records += batch.malformed;
        self.timeline.add(samples, batch.events);
    }

    fn apply(&mut self, happened: Vec<Happened>) {
        for one in happened {
            match one {
                Happened::Event(time_ns, event) => {
                    self.follow(&event);
                    self.lose_blocks(time_ns, &event);
                    self.processes.apply(event);
                }
                // It had to wake this task, no more.
                Happened::Sample(sample) if sample.kind == SampleKind::Begun => {}
                Happened::Sample(sample) if sample.kind == SampleKind::Free => {
                    if let Some(Ok(heap)) = &mut self.heap {
                        heap.free(sample.id);
                    }
                }
                Happened::Sample(mut sample) => {
                    let process = self.processes.of_sample(sample.pid, &sample.comm);
                    if let Some(copy) = sample.copy.take() {
                        let stopped = Stopped {
                            end: sample.user_end,
                            registers: copy.registers,
                            stack: &copy.stack,
                        };
                        sample.user_end = self.unwinder.finish(
                            stopped,
                            process,
                            &mut self.processes,
                            &mut sample.user,
                        );
                        // Until the kernel has them it sends more such stacks.
                        if self.unwinder.has_fresh() && self.told_tables.elapsed() >= TELL_TABLES {
                            self.tell_tables(sample.time_ns);
                        }
                    }
                    match (sample.kind, &mut self.heap) {
                        (SampleKind::Leaving, _) => self.last_stacks.keep(*sample),
                        (SampleKind::Cpu, _) => {
                            self.last_stacks.complete(&mut sample);
                            self.aggregator.add(&sample, process, &mut self.processes);
                        }
                        (SampleKind::Growth, Some(Ok(heap))) => {
                            heap.touch(&sample, process, &mut self.processes);
                        }
                        (_, Some(Ok(heap))) => {
                            heap.allocate(&sample, process, &mut self.processes);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// A process that runs another program has none of its blocks any more.
    fn lose_blocks(&mut self, time_ns: u64, event: &ProcessEvent) {
        if let (Some(Ok(heap)), ProcessEvent::Comm { pid, exec: true, .. }) =
            (&mut self.heap, event)
            && let Some(process) = self.processes.current_id(*pid)
        {
            heap.exec(process, time_ns);
        }
    }

    /// Follows children from user space where the kernel programs cannot.
    fn follow(&mut self, event: &ProcessEvent) {
        if self.programs.follows_in_kernel() || !self.options.children || self.options.target.all {
            return;
        }
        match *event {
            ProcessEvent::Fork { pid, parent, tid } if pid == tid && pid != parent => {
                if self.processes.knows(parent)
                    && let Err(error) = self.programs.add_target(pid)
                {
                    log::warn!("{error:#}");
                }
            }
            ProcessEvent::Exit { pid, tid } if pid == tid => self.programs.remove_target(pid),
            _ => {}
        }
    }

    /// Makes the profiles of what was recorded, and starts the next part or ends.
    async fn record(&mut self, end: bool) -> Result<Recording> {
        let ended_ns = now_ns();
        if end {
            self.programs.stop_sampling();
            if let Some(Ok(heap)) = &mut self.heap {
                heap.end_part(true);
            }
            self.read();
            let rest = self.timeline.rest();
            self.apply(rest);
            // Names take memory as well.
            self.tables = None;
        } else {
            if let Some(Ok(heap)) = &mut self.heap {
                heap.end_part(false);
            }
            self.take_in();
        }
        let all_counts = self.programs.counts()?;
        let counts = all_counts.since(&self.counted);
        let duration_ns = ended_ns.saturating_sub(self.began_ns);
        let losses = std::mem::take(&mut self.losses);
        let started = std::mem::replace(&mut self.began, SystemTime::now());
        (self.counted, self.began_ns) = (all_counts, ended_ns);
        self.processes.seek_late_perf_maps();

        let time = (started, duration_ns);
        let mut profiles = Vec::new();
        if self.options.takes(ProfileType::Cpu) {
            let sum = self.aggregator.take();
            let expected = self.expected(duration_ns);
            let quality = Quality::count(&sum, &counts, &losses, expected);
            let (frame, values) = (self.frame(time), assemble::values_of_samples(&sum));
            let names = self.names(&sum).await?;
            let rows = (&sum, values);
            profiles.push(self.recorded(ProfileType::Cpu, rows, frame, quality, &names));
        }
        let mut missing = Vec::new();
        match &mut self.heap {
            Some(Ok(heap)) => {
                let mut part = heap.close(&self.processes);
                let names = self.names(&part.books.sum).await?;
                part.settle(&names);
                let sum = &part.books.sum;
                let mut quality = Quality::count_allocations(sum, &counts, &losses);
                quality.notes.splice(0..0, part.notes());
                let (holders, growing) = part.holders(&names, &self.processes);
                let mut frame = self.heap_frame(time, &part);
                frame.comments.extend(holder::comments(&holders, &growing));
                let rows = (sum, part.values());
                let mut recorded = self.recorded(ProfileType::Heap, rows, frame, quality, &names);
                recorded.functions = part.functions(&names);
                (recorded.holders, recorded.growing) = (holders, growing);
                profiles.push(recorded);
            }
            Some(Err(why)) => missing.push((ProfileType::Heap, why.clone())),
            None => {}
        }
        Ok(Recording { profiles, missing, running: self.running() })
    }

    /// The names of a sum's addresses.
    async fn names(&mut self, sum: &Aggregate) -> Result<Names> {
        let request = assemble::request(sum, &self.processes, &self.unwinder)?;
        self.symbolizer.names(request).await
    }

    /// Puts a profile together.
    fn recorded(
        &self,
        of: ProfileType,
        (sum, mut values): (&Aggregate, Values),
        mut frame: Frame,
        mut quality: Quality,
        names: &Names,
    ) -> Recorded {
        assemble::judge_names(sum, &self.processes, names, &mut quality);
        if of == ProfileType::Cpu
            && let Some(after_traps) = self.live_heap().and_then(Heap::after_traps)
        {
            let cost = cost::keys(sum, names, after_traps);
            cost::set_apart(cost, &mut values, &mut frame, &mut quality);
        }
        let rows = (sum, &values);
        frame.comments.extend(quality.comments());
        let profile = |only| assemble::profile(rows, &self.processes, names, &frame, only);
        let wanted = values.keys().filter(|_| self.options.per_process);
        let mut ids: Vec<_> = wanted.map(|key| key.process).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut processes: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let process = self.processes.get(id);
                (process.comm.clone(), process.pid, profile(Some(id)))
            })
            .collect();
        processes.sort_by_key(|(_, pid, profile)| (std::cmp::Reverse(profile.total(0)), *pid));
        let profile = profile(None);
        let (functions, holders, growing) = Default::default();
        Recorded { of, profile, processes, quality, functions, holders, growing }
    }

    fn running(&self) -> Vec<(String, u32)> {
        if !self.options.target.can_end() {
            return Vec::new();
        }
        let alive = self.processes.current().filter(|process| is_alive(process.pid));
        alive.map(|process| (process.comm.clone(), process.pid)).collect()
    }

    /// How often the sampling clock should have fired in a time, on all CPUs.
    fn expected(&self, duration_ns: u64) -> Option<u64> {
        (self.options.event == Event::CpuClock)
            .then(|| duration_ns / self.options.frequency.period_ns() * self.cpus as u64)
    }

    fn frame(&self, (began, duration_ns): (SystemTime, u64)) -> Frame {
        let options = &self.options;
        let samples = SampleType::new("samples", "count");
        let (value, period) = match options.event {
            Event::CpuClock => {
                (SampleType::new("cpu", "nanoseconds"), options.frequency.period_ns() as i64)
            }
            // The kernel varies the distance to keep the rate: there is no one period.
            Event::Hardware(_) => (SampleType::new(options.event.name(), "count"), 0),
        };
        let mut comments = self.first_comments();
        comments.push(format!(
            "sampled: {} at {} Hz on {} CPUs; user stacks by unwind tables, by frame pointer where there are none; kernel stacks: {}; child processes: {}",
            options.event.name(),
            options.frequency.get(),
            self.cpus,
            if options.kernel_stacks { "yes" } else { "no" },
            if options.children { "yes" } else { "no" },
        ));
        comments.push(
            "values: each sample stands for one period of CPU time; they are estimates".to_owned(),
        );
        Frame {
            sample_types: vec![samples, value.clone()],
            default: 1,
            period_type: value,
            period,
            start_ns: since_epoch(began),
            duration_ns: duration_ns as i64,
            comments,
            cost: HashSet::new(),
        }
    }

    fn heap_frame(&self, (began, duration_ns): (SystemTime, u64), part: &HeapPart) -> Frame {
        let mut comments = self.first_comments();
        comments.extend(part.comments());
        Frame {
            sample_types: part.sample_types(),
            default: part.default_type(),
            period_type: SampleType::new("space", "bytes"),
            period: part.interval(),
            start_ns: since_epoch(began),
            duration_ns: duration_ns as i64,
            comments,
            cost: HashSet::new(),
        }
    }

    fn first_comments(&self) -> Vec<String> {
        let mut lines = vec![format!("flame {}", env!("CARGO_PKG_VERSION"))];
        lines.extend(self.options.comments.iter().cloned());
        lines
    }
}

fn since_epoch(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        log::debug!("ring of samples {} closed", self.ring.get_ref().as_raw_fd());
    }
}

/// Whether a process runs: it is there and no zombie.
fn is_alive(pid: u32) -> bool {
    crate::process::state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}
