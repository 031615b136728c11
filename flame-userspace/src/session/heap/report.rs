//! What a part of a session found out of the heap: the rows of its profile, and what they mean.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::FoundAllocator;
use super::busy::Busy;
use super::go::GoPart;
use super::governor::Probing;
use super::grown::Grown;
use super::holders;
use super::prober::Cost;
use crate::aggregate::Key;
use crate::heap::{Blocks, ClosedLedger, Estimate, HeapRow};
use crate::process::ProcessTable;
use crate::profile::{STATED, SampleType, Unit};
use crate::session::values::Values;
use crate::session::{HeapFunction, HeapHolder, ProbeCost};
use crate::symbolize::Names;

/// Functions that are told with their errors, at most.
const MOST_FUNCTIONS: usize = 200;

/// A stack's part.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    heap: HeapRow,
    growth: HeapRow,
}

/// A closed part.
pub(in crate::session) struct HeapPart {
    pub(in crate::session) books: ClosedLedger,
    /// When it began and was closed (`CLOCK_MONOTONIC`, nanoseconds).
    pub(super) began_ns: u64,
    pub(super) closed_ns: u64,
    /// Whether flame itself sampled anything.
    pub(super) has_samples: bool,
    /// Whether allocators were probed, or told of themselves.
    pub(super) knows_allocations: bool,
    pub(super) knows_in_use: bool,
    /// Where in use is not all known.
    pub(super) grown: Option<Grown>,
    /// How allocators were probed at the end.
    pub(super) probing: Probing,
    /// Why blocks were not followed to the end.
    pub(super) stepped_down: Option<Busy>,
    /// The slow-down that was allowed, in percent.
    pub(super) overhead: f64,
    pub(super) cost: Cost,
    /// The shortest and the longest interval between samples, in bytes.
    pub(super) intervals: (u64, u64),
    pub(super) found: Vec<FoundAllocator>,
    pub(super) failures: Vec<String>,
    /// What cannot be seen, a sentence each.
    pub(super) unseen: Vec<String>,
    /// How much of the targets' memory is explained.
    pub(super) memory: Vec<String>,
    /// What Go programs know themselves, and whether they do.
    pub(super) go: GoPart,
    pub(super) go_knows: bool,
    /// Samples of calls that an allocator made to itself.
    pub(super) left_out: u64,
    /// How often the blocks that were followed were halved.
    pub(super) thinned: u32,
    /// Blocks whose end was not told and found out.
    pub(super) settled: u64,
}

impl HeapPart {
    /// Puts together what can be only now that names are known.
    pub(in crate::session) fn settle(&mut self, names: &Names) {
        self.go.settle(names, &mut self.books);
    }

    /// The columns of the profile.
    pub(in crate::session) fn sample_types(&self) -> Vec<SampleType> {
        let mut types = Vec::new();
        if self.knows_allocations {
            types.extend([("alloc_objects", "count"), ("alloc_space", "bytes")]);
        }
        if self.knows_peak() {
            types.extend([("peak_objects", "count"), ("peak_space", "bytes")]);
        }
        if self.knows_in_use {
            types.extend([("inuse_objects", "count"), ("inuse_space", "bytes")]);
        }
        let types = types.into_iter().map(|(kind, unit)| SampleType::new(kind, unit));
        types.chain(self.grown.iter().flat_map(|_| Grown::sample_types())).collect()
    }

    /// The column that is shown first: bytes in use, or else, if there are none, bytes in use at the
    /// peak, or else bytes allocated; where no allocation was seen, bytes resident.
    pub(in crate::session) fn default_type(&self) -> usize {
        let total = &self.books.total;
        let is_any = |of: Estimate| of.value != 0.0;
        let sees_allocations = self.knows_allocations && is_any(total.allocated.space);
        let kind = if self.grown.is_some() && !sees_allocations {
            "resident_space"
        } else if self.knows_in_use && is_any(total.in_use.space) {
            "inuse_space"
        } else if self.knows_peak() && is_any(total.at_peak.space) {
            "peak_space"
        } else {
            "alloc_space"
        };
        self.sample_types().iter().position(|t| t.kind == kind).unwrap_or(0)
    }

    /// Whether it is known what lived when most did: Go programs do not tell that of themselves.
    fn knows_peak(&self) -> bool {
        self.knows_allocations && self.knows_in_use && !self.go_knows
    }

    /// The functions that hold most, and the stacks whose holdings grow.
    pub(in crate::session) fn holders(
        &self,
        names: &Names,
        processes: &ProcessTable,
    ) -> (Vec<HeapHolder>, Vec<HeapHolder>) {
        if !self.knows_in_use {
            return (Vec::new(), Vec::new());
        }
        (
            holders::heaviest(&self.books, names, processes, self.closed_ns),
            holders::growing(&self.books, names, processes, self.closed_ns),
        )
    }

    /// The mean distance between samples, in bytes, if there is one and no more to how they were
    /// taken: from that alone readers tell errors, which in windows are larger.
    pub(in crate::session) fn interval(&self) -> i64 {
        let (least, most) = self.intervals;
        match self.go.interval {
            // Nothing but what Go programs sampled themselves.
            Some(interval) if !self.has_samples => interval as i64,
            _ if self.probing == Probing::Windows => 0,
            _ if least == most => least as i64,
            _ => 0,
        }
    }

    /// The rows of the profile.
    pub(in crate::session) fn values(&self) -> Values<'_> {
        let rows = self.rows().into_iter().collect();
        Values::new(self.sample_types().len(), rows, |_, row| {
            self.columns(&row).into_iter().map(Estimate::rounded)
        })
    }

    /// What the probes cost, if they were hit.
    pub(in crate::session) fn probe_cost(&self) -> Option<ProbeCost> {
        let Cost { hits, price_ns, clock_ns, cpu_ns, attach_ns, detach_ns } = self.cost;
        let cost_ns = hits * price_ns + clock_ns;
        // However wrong the price is, some of the time was the program's.
        let own_ns = (cpu_ns - cost_ns).max(cpu_ns * 0.02).max(1.0);
        let percent = cost_ns * 100.0 / own_ns;
        let cost = ProbeCost { hits, price_ns, clock_ns, percent, attach_ns, detach_ns };
        (hits > 0.0).then_some(cost)
    }

    /// What was allocated and what grew, by stack.
    fn rows(&self) -> HashMap<&Key, Row> {
        let mut rows: HashMap<&Key, Row> = HashMap::new();
        for (key, heap) in &self.books.rows {
            rows.entry(key).or_default().heap = *heap;
        }
        for (key, growth) in self.grown.iter().flat_map(|grown| &grown.rows) {
            rows.entry(key).or_default().growth = *growth;
        }
        rows
    }

    /// What each function and those that it called allocated and hold, the heaviest first.
    pub(in crate::session) fn functions(&self, names: &Names) -> Vec<HeapFunction> {
        let mut rows: HashMap<&str, Row> = HashMap::new();
        for (key, row) in self.rows() {
            let addresses = self.books.sum.stacks.of(key.stack);
            let symbols = addresses.flat_map(|address| names.get(address));
            // Once a stack, however often a function calls itself.
            let functions: HashSet<&str> = symbols.map(|symbol| &*symbol.name).collect();
            for name in functions {
                let sum = rows.entry(name).or_default();
                sum.heap.allocated += row.heap.allocated;
                sum.heap.at_peak += row.heap.at_peak;
                sum.heap.in_use += row.heap.in_use;
                sum.growth.allocated += row.growth.allocated;
                sum.growth.in_use += row.growth.in_use;
            }
        }
        let mut functions: Vec<HeapFunction> = rows
            .into_iter()
            .map(|(name, row)| {
                let estimates = self.columns(&row);
                let values = estimates.iter().map(|one| (one.value, one.standard_error()));
                HeapFunction { name: name.to_owned(), values: values.collect() }
            })
            .collect();
        let shown = self.default_type();
        functions.sort_by(|a, b| {
            b.values[shown].0.total_cmp(&a.values[shown].0).then_with(|| a.name.cmp(&b.name))
        });
        functions.truncate(MOST_FUNCTIONS);
        functions
    }

    /// A row's estimates in the order of the profile's columns.
    fn columns(&self, row: &Row) -> Vec<Estimate> {
        let HeapRow { allocated, at_peak, in_use } = row.heap;
        let mut estimates = Vec::new();
        if self.knows_allocations {
            estimates.extend([allocated.objects, allocated.space]);
        }
        if self.knows_peak() {
            estimates.extend([at_peak.objects, at_peak.space]);
        }
        if self.knows_in_use {
            estimates.extend([in_use.objects, in_use.space]);
        }
        estimates.extend(self.grown.iter().flat_map(|_| Grown::columns(&row.growth)));
        estimates
    }

    /// What the numbers are, as lines for the profile's comments.
    pub(in crate::session) fn comments(&self) -> Vec<String> {
        let mut lines = if self.knows_allocations {
            self.allocation_comments()
        } else {
            vec!["allocators: not probed".to_owned()]
        };
        lines.extend(self.grown.iter().flat_map(Grown::comments));
        lines
    }

    fn allocation_comments(&self) -> Vec<String> {
        let (least, most) = self.intervals;
        let mut lines = vec![
            format!(
                "sampled: allocations, each with the chance 1 - exp(-max(bytes, 16) / interval); interval: {}",
                if least == most {
                    format!("{least} bytes")
                } else {
                    format!("{least} to {most} bytes, for {} samples a second", super::density::SAMPLES_A_SECOND)
                }
            ),
            "values: each sample counts by the inverse of its chance (Horvitz-Thompson); they are estimates without bias".to_owned(),
        ];
        lines.extend(self.errors());
        if self.knows_in_use {
            lines.push(
                "in use: allocated since the start and not freed at the end, or at its exit for a process that ended before; blocks from before the start are not known".to_owned(),
            );
            let held = self.books.held_at_exit.space;
            if held.value > 0.0 {
                lines.push(format!("in use, held by processes at their exit: {}", bytes(held)));
            }
        } else {
            lines.push("in use: not recorded (allocations alone)".to_owned());
        }
        lines.extend(self.peak().map(|peak| {
            format!(
                "peak: what lived when the estimated sum over all processes was highest: {peak}"
            )
        }));
        if self.probing == Probing::Windows {
            lines.push(
                "windows: allocations were sampled in short windows at random moments; totals by the targets' work (CPU time) in and out of them; errors by how windows differ".to_owned(),
            );
        }
        if let Some(ProbeCost { hits, price_ns, clock_ns, percent, .. }) = self.probe_cost() {
            lines.push(format!(
                "cost: probes were hit {hits:.0} times, at {price_ns:.0} ns of CPU time each, and the clock that tells took {:.1} ms: {percent:.1} % of the targets' own CPU time",
                clock_ns / 1e6
            ));
        }
        for found in &self.found {
            lines.push(format!(
                "allocator: {} in {}, {} functions probed",
                found.allocator.name(),
                found.path,
                found.probes
            ));
        }
        lines.extend(self.go.comments.iter().cloned());
        lines.extend(self.memory.iter().cloned());
        lines
    }

    /// The totals with their standard errors, unless a part of the work is in no number.
    fn errors(&self) -> Option<String> {
        let total = &self.books.total;
        let is_blind = self.books.unseen_ns > 0.0 || self.books.reach.is_blind();
        if total.allocated.objects.value == 0.0 || is_blind {
            return None;
        }
        let mut text = format!(
            "{STATED}alloc_objects {}, alloc_space {}",
            share(total.allocated.objects),
            share(total.allocated.space)
        );
        let mut add = |name: &str, blocks: Blocks| {
            let (objects, space) = (share(blocks.objects), share(blocks.space));
            _ = write!(text, ", {name}_objects {objects}, {name}_space {space}");
        };
        if self.knows_peak() {
            add("peak", total.at_peak);
        }
        if self.knows_in_use {
            add("inuse", total.in_use);
        }
        Some(text)
    }

    /// How much lived when most did, and when that was.
    fn peak(&self) -> Option<String> {
        let peak = self.books.total.at_peak.space;
        (self.knows_peak() && self.books.peak_ns > 0).then(|| {
            let after = self.books.peak_ns.saturating_sub(self.began_ns);
            format!("{}, {:.2} s after the start", bytes(peak), after as f64 / 1e9)
        })
    }

    /// What few windows may have missed, of which neither the estimates nor their errors know.
    fn missed(&self) -> Option<String> {
        /// As a part of the work, a stretch to tell of.
        const LEAST: f64 = 0.02;
        let reach = self.books.reach;
        if reach.is_blind() {
            return Some(format!(
                "no more than {} windows in {:.2} s of CPU time: what was done between them is in no number, and how far off these are is not known; profile for longer, or with --heap-mode exact",
                reach.windows,
                reach.work_ns / 1e9
            ));
        }
        let missed_ns = reach.may_be_missed_ns();
        (reach.windows > 0 && missed_ns > LEAST * reach.work_ns).then(|| {
            format!(
                "{} windows in {:.2} s of CPU time: what was done in a stretch of less than {:.0} ms may be in no number, nor in the errors; profile for longer, or with --heap-mode exact",
                reach.windows,
                reach.work_ns / 1e9,
                missed_ns / 1e6
            )
        })
    }

    /// What is to be said of the numbers' gaps.
    pub(in crate::session) fn notes(&self) -> Vec<String> {
        let mut notes = self.failures.clone();
        notes.extend(self.peak().map(|peak| format!("most was in use: {peak}")));
        notes.extend(self.unseen.iter().cloned());
        notes.extend(self.go.notes.iter().cloned());
        if let Some(busy) = self.stepped_down {
            notes.push(format!(
                "{}; {}",
                // By the price as it is known at the end.
                busy.reason(self.cost.price_ns, self.overhead),
                match self.probing {
                    Probing::Windows => {
                        "so what is in use is not known; allocations were sampled in windows"
                    }
                    Probing::Nothing => {
                        "so the allocators were not probed any more, since sampling in windows needs Linux 6.6: neither what was allocated nor what is in use is known; --heap-mode exact follows all at any price"
                    }
                    Probing::Follow | Probing::Allocations => {
                        "so what is in use is not known; allocations were sampled"
                    }
                }
            ));
        }
        if self.books.unseen_ns > 0.0 {
            notes.push(format!(
                "no window was open in the last {:.2} s of CPU time: what was allocated in them is in no number; profile for longer, or with a higher --heap-overhead",
                self.books.unseen_ns / 1e9
            ));
        }
        notes.extend(self.missed());
        for found in self.found.iter().filter(|found| !found.stepped.is_empty()) {
            notes.push(format!(
                "no cheap place to probe in {}: {} (each call is single-stepped)",
                found.path,
                found.stepped.join(", ")
            ));
        }
        let lost = self.books.not_followed.space;
        if self.knows_in_use && lost.value > 0.0 {
            notes.push(format!(
                "in use is low by at most {}: blocks that were not followed to their end",
                bytes(lost)
            ));
        }
        if self.left_out > 0 {
            notes.push(format!(
                "{} sampled calls of an allocator to itself were left out",
                self.left_out
            ));
        }
        if self.settled > 0 {
            notes.push(format!(
                "{} sampled blocks were found to have been freed without being told: what is in use is right, the peak and what grows may be high by them",
                self.settled
            ));
        }
        if self.thinned > 0 {
            notes.push(format!(
                "too many sampled blocks lived: {} times half of them were dropped at random, small ones first, and the others count for them",
                self.thinned
            ));
        }
        notes
    }
}

fn bytes(estimate: Estimate) -> String {
    Unit::Bytes.format(estimate.rounded())
}

fn share(estimate: Estimate) -> String {
    format!("{:.1} %", estimate.relative_error() * 100.0)
}
