//! The one task that owns a session's state, and takes in what the kernel sends.

mod ending;
mod record;

use std::io;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use flame_common::sample::SampleKind;
use flame_common::stat::Stat;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use self::ending::{Ending, is_alive};
use super::heap::Heap;
use super::leaving::LastStacks;
use super::quality::SideLosses;
use super::timeline::{Happened, Timeline, now_ns};
use super::{Recording, SessionBuilder};
use crate::aggregate::Aggregator;
use crate::bpf::{Counts, Programs, Samples, SideBand, SideBandBatch, UnwindMaps};
use crate::process::{ProcessEvent, ProcessTable};
use crate::symbolize::Symbolizer;
use crate::unwind::{Plan, Stopped, Unwinder};

/// How often the rings are looked at. A fuller ring wakes the pipeline earlier.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// How soon they are looked at again where the kernel waits for unwind tables or for probes, and at
/// most so late where the samples themselves are farther apart: then what waits is seldom more than
/// one stack, and each look costs the same.
const SOON: Duration = Duration::from_millis(3);
const LATER: Duration = Duration::from_millis(10);

/// After so many samples they are looked at again while the kernel cannot finish all stacks: of each
/// that it cannot it copies what is there.
const UNFINISHED: u32 = 8;

/// How often those who watch the session are told how far it is.
const TELL: Duration = Duration::from_millis(100);

/// How often the kernel is told of tables while many stacks that want them are taken in.
const TELL_TABLES: Duration = Duration::from_millis(2);

/// What the last look at the rings met of stacks that the kernel could not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    None,
    Some,
    /// Some that lose their outer frames, since a copy does not hold them.
    Deep,
}

impl Unfinished {
    fn note(&mut self, is_deep: bool) {
        if is_deep {
            *self = Self::Deep;
        } else if *self == Self::None {
            *self = Self::Some;
        }
    }
}

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
    /// What the kernel sends, until the end.
    samples: Option<AsyncFd<Samples>>,
    side_band: Option<SideBand>,
    processes: ProcessTable,
    symbolizer: Symbolizer,
    /// The kernel's tables, until the end, and what is in them.
    tables: Option<UnwindMaps>,
    plan: Plan,
    /// When the kernel was told of tables last.
    told_tables: Instant,
    unwinder: Unwinder,
    /// Whether there were stacks for it among what was taken in last.
    unfinished: Unfinished,
    timeline: Timeline,
    aggregator: Aggregator,
    last_stacks: LastStacks,
    /// Of the processes that were named by pid.
    ending: Ending,
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
    pub(super) samples: Samples,
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
        let Sources { programs, samples, side_band, tables, heap } = sources;
        Ok(Self {
            unwinder: Unwinder::new(options.frequency.get()),
            ending: Ending::of(options.target.pids.clone()),
            options,
            cpus,
            programs,
            samples: Some(samples.watch()?),
            side_band: Some(side_band),
            processes,
            symbolizer,
            plan: Plan::new(&tables),
            told_tables: Instant::now(),
            tables: Some(tables),
            unfinished: Unfinished::None,
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
        // When what is urgent is to be taken in. Until then the ring need not be watched.
        let mut due = None;
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
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    self.take_in();
                }
                ready = wait_for(self.samples.as_ref()), if due.is_none() => match ready {
                    Ok(()) => {
                        self.read();
                        if !self.timeline.has_urgent() {
                            self.take_in();
                        }
                    }
                    Err(error) => log::warn!("watch the ring of samples: {error}"),
                },
            }
            due = self.due();
            if told.elapsed() >= TELL {
                progress.send_replace(self.progress());
                told = Instant::now();
            }
        }
    }

    /// When the rings are to be looked at before their time: something urgent waits, which cannot be
    /// taken in while it is younger than the slack of the records, or the kernel could not finish
    /// stacks.
    fn due(&self) -> Option<Instant> {
        let period = Duration::from_nanos(self.options.frequency.period_ns());
        let soon = period.clamp(SOON, LATER);
        let pause = match self.unfinished {
            _ if self.timeline.has_urgent() => soon,
            Unfinished::Deep => soon,
            Unfinished::Some => (period * UNFINISHED).clamp(LATER, TICK),
            Unfinished::None => return None,
        };
        Some(Instant::now() + if self.heap.is_some() { SOON } else { pause })
    }

    fn progress(&mut self) -> Progress {
        let lost =
            self.programs.counts_of(&[Stat::RingFull, Stat::HeapRingFull]).map_or(0, |now| {
                let counts = now.since(&self.counted);
                counts.get(Stat::RingFull) + counts.get(Stat::HeapRingFull)
            });
        Progress {
            samples: self.aggregator.samples() + self.live_heap().map_or(0, Heap::samples),
            lost,
            processes: self.processes.count() as u64,
            targets_ended: self.options.target.can_end() && self.ending.all_have(),
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
    pub(super) fn any_alive(&mut self) -> bool {
        !self.ending.all_have()
    }

    /// Reads what waits and takes in what is settled.
    fn take_in(&mut self) {
        let began = now_ns();
        self.read();
        let (settled, as_of_ns) = self.timeline.settled(began);
        self.unfinished = Unfinished::None;
        self.apply(settled);
        let gone = self.processes.sweep();
        if !self.programs.takes_out_ended() {
            for &id in &gone {
                self.programs.remove_target(self.processes.get(id).pid);
            }
        }
        if let Some(Ok(heap)) = &mut self.heap {
            heap.swept(&gone);
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
        if let Some(side_band) = &mut self.side_band {
            side_band.drain(&mut batch);
        }
        let mut samples = Vec::new();
        if let Some(waiting) = &mut self.samples {
            self.losses.malformed_samples += waiting.get_mut().drain(&mut samples);
        }
        self.losses.lost_records += batch.lost;
        self.losses.malformed_records += batch.malformed;
        self.timeline.add(samples, batch.events);
    }

    fn apply(&mut self, happened: Vec<Happened>) {
        if let Some(Ok(heap)) = &mut self.heap {
            // Windows that ended before some of these samples.
            heap.listen(&self.processes);
        }
        for one in happened {
            match one {
                Happened::Event(time_ns, event) => {
                    self.ending.note(&event);
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
                        self.unfinished.note(stopped.is_deep());
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
                        (SampleKind::Leaving, heap) => {
                            if let Some(Ok(heap)) = heap {
                                heap.thread_ended(sample.pid, sample.value);
                            }
                            self.last_stacks.keep(*sample);
                        }
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
}

/// Waits until a part of the ring is full; for ever where there is none.
async fn wait_for(samples: Option<&AsyncFd<Samples>>) -> io::Result<()> {
    match samples {
        Some(samples) => {
            samples.readable().await?.clear_ready();
            Ok(())
        }
        None => std::future::pending().await,
    }
}
