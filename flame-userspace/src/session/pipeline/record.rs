//! Making the profiles of what was recorded.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::Pipeline;
use super::ending::is_alive;
use crate::aggregate::Aggregate;
use crate::bpf::Event;
use crate::memory;
use crate::priority::GiveWay;
use crate::profile::SampleType;
use crate::session::assemble::{self, Frame};
use crate::session::heap::{Heap, HeapPart};
use crate::session::quality::Quality;
use crate::session::timeline::now_ns;
use crate::session::values::Values;
use crate::session::{ProfileType, Recorded, Recording, cost, holder};
use crate::symbolize::Names;
use crate::unwind::Unwinder;

/// How long names wait for whoever wants the CPUs, at most: the user waits for them.
const GIVING_WAY: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Makes the profiles of what was recorded, and starts the next part or ends.
    pub(super) async fn record(&mut self, end: bool) -> Result<Recording> {
        let ended_ns = now_ns();
        let mut way = None;
        if end {
            self.programs.stop_sampling();
            if let Some(Ok(heap)) = &mut self.heap {
                heap.end_part(true);
            }
            self.read();
            let rest = self.timeline.rest();
            self.apply(rest);
            // Names take memory as well, and nothing is read any more.
            (self.tables, self.samples, self.side_band) = (None, None, None);
            // Nothing of the targets is held any more.
            way = self.options.gives_way.then(|| Arc::new(GiveWay::all_for_at_most(GIVING_WAY)));
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
            let (frame, values) = (self.frame(time), Values::of_samples(&sum));
            let names = self.names(&sum, end && self.heap.is_none()).await?;
            let rows = (&sum, values);
            profiles.push(self.recorded(ProfileType::Cpu, rows, frame, quality, &names));
        }
        let mut missing = Vec::new();
        match &mut self.heap {
            Some(Ok(heap)) => {
                let mut part = heap.close(&self.processes);
                let names = self.names(&part.books.sum, end).await?;
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
                recorded.cost = part.probe_cost();
                (recorded.holders, recorded.growing) = (holders, growing);
                profiles.push(recorded);
            }
            Some(Err(why)) => missing.push((ProfileType::Heap, why.clone())),
            None => {}
        }
        Ok(Recording { profiles, missing, running: self.running(), way })
    }

    /// The names of a sum's addresses; after the `last` ones nobody asks for unwind tables.
    async fn names(&mut self, sum: &Aggregate, last: bool) -> Result<Names> {
        let request = assemble::request(sum, &self.processes, &self.unwinder);
        if last {
            self.unwinder = Unwinder::new(self.options.frequency.get());
        }
        memory::trim();
        let names = self.symbolizer.names(request).await;
        memory::trim();
        names
    }

    /// Puts a profile together.
    fn recorded(
        &self,
        of: ProfileType,
        (sum, mut values): (&Aggregate, Values<'_>),
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
        let wanted = values.keys().iter().filter(|_| self.options.per_process);
        let mut ids: Vec<_> = wanted.map(|key| key.process).collect();
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
        let cost = None;
        Recorded { of, profile, processes, quality, functions, holders, growing, cost }
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
        let stands_for = match options.event {
            Event::CpuClock => "one period of CPU time".to_owned(),
            Event::Hardware(_) => format!("the {} since the one before it", options.event.name()),
        };
        comments.push(format!("values: each sample stands for {stands_for}; they are estimates"));
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
