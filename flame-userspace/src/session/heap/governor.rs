//! What probing may cost: how allocators are probed, and when.
//!
//! The price of a hit is measured at the start, in a loop of flame's own, and then in the targets
//! themselves, by the clock of traps. Following every block comes first; once the probes have cost
//! more than the budget allows, and an allowance on top, allocations alone are sampled, and where
//! that is too dear as well, allocations in short windows at random moments; or nothing, where the
//! kernel takes a tenth of a second to take a probe out.
//!
//! Time is cut into strata with two windows each: programs do for a while what they do, so that
//! windows spread like that tell more than windows anywhere, and two are the fewest that tell how
//! far off they may be. Where two moments drawn are nearer than windows can be, the second window
//! comes as soon as it can. No decision depends on what a window is about to see: windows have one
//! length, and a stratum's length is chosen before it begins.

use std::time::Duration;

use super::HeapMode;
use super::contrast::Contrast;
use super::warmth::Warmth;
use crate::heap::{AFTER, Price, Window};

/// How allocators are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probing {
    /// Blocks are followed from their allocation to their end.
    Follow,
    /// Allocations alone.
    Allocations,
    /// Allocations alone, in windows.
    Windows,
    /// Not any more: it is too dear, and the kernel cannot take probes out fast enough for windows.
    Nothing,
}

impl Probing {
    /// What a mode begins with.
    pub(super) const fn first(mode: HeapMode) -> Self {
        match mode {
            HeapMode::Auto | HeapMode::Exact => Self::Follow,
            HeapMode::Alloc | HeapMode::Growth => Self::Allocations,
            HeapMode::Governed => Self::Windows,
        }
    }
}

/// What the probes may have cost beyond the budget, in nanoseconds of CPU time.
const ALLOWANCE_NS: f64 = 25e6;
/// What a frugal program may save for later, likewise, and windows.
const MOST_CREDIT_NS: f64 = 100e6;
const MOST_UNSPENT_NS: f64 = 50e6;
/// What windows may have cost beyond their aim without saving it: some of them are dearer by chance.
const SLACK_NS: f64 = 10e6;
/// The share of the budget that windows aim at: the price is an estimate.
const AIM: f64 = 0.45;
/// The share of it that windows do without while what was spent before them, beyond the budget, has
/// not been saved: a program of some seconds notices.
const SAVED: f64 = 0.12;
/// How long a window is open. What windows see differs most by what the program does at the moment:
/// many short ones tell more than a few long ones of the same price. But they open just behind a
/// tick of the kernel's scheduler, for which their way waits: a shorter one would have none of those,
/// where the scheduler has 250 a second, and so more work than is usual in as much time.
pub(super) const WINDOW: Duration = Duration::from_millis(4);
/// How long the usual work is measured before it: some ticks of the kernel's scheduler, by which it
/// is told.
pub(super) const BEFORE: Duration = Duration::from_millis(12);
/// How long frees trap as well behind it, where that is worth its price.
pub(super) const CONTRAST: Duration = Duration::from_millis(4);
/// For how long targets trap about a window, its opening and the moment behind it with it, in
/// nanoseconds: for the first stratum.
const TRAPPING_NS: f64 = 9e6;
/// Windows of a stratum.
pub(super) const STRATUM: usize = 2;
/// A stratum's share of time for each: opening a window takes some 10 ms of flame's time, and looks
/// at all processes that have mapped the allocator's file.
const GAPS_NS: (f64, f64) = (40e6, 10e9);
/// Ticks in traps from which on they tell the price of a hit.
const LEAST_TICKS: f64 = 100.0;
/// Ticks in traps after which, while all probes are open, what was measured counts half: the price
/// changes with what the targets do, and with who else probes them.
const ENOUGH_TICKS: f64 = 400.0;
/// What a hit costs in a program beyond its price in a tight loop, whose caches are warm.
const COLD: f64 = 1.6;

/// The same in one that does little else, and how unsure that is, as a share of the time from one
/// hit to the next: loops of allocations and some arithmetic had
/// 1.19 to 1.25, node making buffers 1.35.
const DENSE: f64 = 1.25;
const UNLIKE: f64 = 0.1;

/// What was used since some time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Hits of probes, and those of them that free.
    pub(super) hits: f64,
    pub(super) frees: f64,
    /// CPU time of the targets, in nanoseconds.
    pub(super) cpu_ns: f64,
    /// Ticks of the clock of traps in the targets, and those of them in traps.
    pub(super) ticks: f64,
    pub(super) ticks_in_traps: f64,
    /// What the samples of windows took, in nanoseconds.
    pub(super) sampling_ns: f64,
}

impl Usage {
    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        let ticks = (self.ticks - earlier.ticks).max(0.0);
        Self {
            hits: (self.hits - earlier.hits).max(0.0),
            frees: (self.frees - earlier.frees).max(0.0),
            cpu_ns: (self.cpu_ns - earlier.cpu_ns).max(0.0),
            ticks,
            // A tick may come while they are read.
            ticks_in_traps: (self.ticks_in_traps - earlier.ticks_in_traps).clamp(0.0, ticks),
            sampling_ns: (self.sampling_ns - earlier.sampling_ns).max(0.0),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            frees: self.frees + other.frees,
            cpu_ns: self.cpu_ns + other.cpu_ns,
            ticks: self.ticks + other.ticks,
            ticks_in_traps: self.ticks_in_traps + other.ticks_in_traps,
            sampling_ns: self.sampling_ns + other.sampling_ns,
        }
    }

    fn half(self) -> Self {
        Self {
            hits: self.hits / 2.0,
            frees: self.frees / 2.0,
            cpu_ns: self.cpu_ns / 2.0,
            ticks: self.ticks / 2.0,
            ticks_in_traps: self.ticks_in_traps / 2.0,
            sampling_ns: self.sampling_ns / 2.0,
        }
    }

    /// The same, without the time that the clock itself took.
    pub(super) fn without_ticks(self, tick_ns: f64) -> Self {
        Self { cpu_ns: (self.cpu_ns - self.ticks * tick_ns).max(0.0), ..self }
    }

    /// The time outside of traps, in nanoseconds; `None` if no tick tells.
    pub(super) fn outside_ns(self) -> Option<f64> {
        let outside = self.ticks - self.ticks_in_traps;
        (self.ticks > 0.0).then(|| self.cpu_ns * outside / self.ticks)
    }

    /// What the targets did about a window that used this, before which they did `usual_ns` of work
    /// in as much time. `None` if they did not run in it, or nobody knows how long: what is seen in no
    /// time tells no rate.
    pub(super) fn window(self, usual_ns: f64) -> Option<Window> {
        let Self { hits, cpu_ns, ticks, ticks_in_traps, sampling_ns, .. } = self;
        let ticks_outside = ticks - ticks_in_traps;
        (cpu_ns > 0.0).then_some(Window {
            usual_ns,
            cpu_ns,
            ticks,
            ticks_outside,
            hits,
            sampling_ns,
        })
    }

    /// What a hit took by the ticks in traps; `None` while they are too few.
    fn hit(self) -> Option<Price> {
        let known = self.ticks_in_traps >= LEAST_TICKS && self.hits > 0.0;
        let all_ns = self.cpu_ns / self.hits;
        let ns = all_ns * self.ticks_in_traps / self.ticks;
        known.then(|| Price { ns, standard_error: 0.0 }.of_trap(all_ns))
    }
}

/// The decisions.
#[derive(Debug)]
pub(super) struct Governor {
    mode: HeapMode,
    /// The slow-down that is allowed, as a share.
    budget: f64,
    /// What a hit costs in a tight loop.
    loop_ns: f64,
    probing: Probing,
    /// What the probes cost beyond the budget.
    debt_ns: f64,
    /// What they had cost beyond it when windows began, and these beyond what they aim at, less what
    /// has been saved since.
    overdrawn_ns: f64,
    /// While all probes were open, lately and in all.
    open: Usage,
    all_open: Usage,
    /// In windows.
    inside: Usage,
    contrast: Contrast,
    mean_gap_ns: f64,
    /// Windows up to now.
    windows: u32,
    /// Whether there can be any.
    has_windows: bool,
}

impl Governor {
    /// `loop_ns` is what a hit costs in a tight loop.
    pub(super) fn new(mode: HeapMode, overhead_percent: f64, loop_ns: f64) -> Self {
        Self {
            mode,
            budget: overhead_percent / 100.0,
            loop_ns,
            probing: Probing::first(mode),
            debt_ns: 0.0,
            overdrawn_ns: 0.0,
            open: Usage::default(),
            all_open: Usage::default(),
            inside: Usage::default(),
            contrast: Contrast::default(),
            mean_gap_ns: GAPS_NS.0,
            windows: 0,
            has_windows: true,
        }
    }

    /// What is too dear is not probed any more.
    pub(super) fn goes_without_windows(&mut self) {
        self.has_windows = false;
    }

    /// How allocators are probed now.
    pub(super) fn probing(&self) -> Probing {
        self.probing
    }

    /// What a hit costs, in nanoseconds: as measured in the targets, once they had some.
    pub(super) fn price_ns(&self) -> f64 {
        self.with_ticks(self.told())
    }

    /// What the hits of the session cost, each, in nanoseconds: programs do one thing after another,
    /// and the price of what they do at last is not that of all.
    pub(super) fn mean_price_ns(&self) -> f64 {
        if self.inside.hits > 0.0 {
            return self.with_ticks(self.contrast.in_all().or_else(|| self.told()));
        }
        self.all_open.hit().map_or_else(|| self.price_ns(), |price| price.ns)
    }

    /// What is `told` of a hit without its sample, with that, and what ticks tell beside it.
    fn with_ticks(&self, told: Option<Price>) -> f64 {
        let by_ticks = self.by_ticks();
        let sample_ns = self.inside.sampling_ns / self.inside.hits.max(1.0);
        let told = told.map(|told| Price { ns: told.ns + sample_ns, ..told });
        match (by_ticks, told) {
            (Some(by_ticks), Some(told)) => told.and(by_ticks).ns,
            (Some(price), None) | (None, Some(price)) => price.ns,
            (None, None) => self.loop_ns * COLD,
        }
    }

    /// What a hit took by ticks in windows, or else before there were any.
    fn by_ticks(&self) -> Option<Price> {
        self.inside.hit().or_else(|| self.open.hit())
    }

    /// What a hit costs without its sample: as contrasts tell it, and before them as loops do, less
    /// surely the more there is between two hits.
    pub(super) fn told(&self) -> Option<Price> {
        let Usage { hits, cpu_ns, .. } = self.inside;
        let by_loops =
            || Price { ns: self.loop_ns * DENSE, standard_error: UNLIKE * cpu_ns / hits };
        self.contrast.told().or_else(|| (hits > 0.0).then(by_loops))
    }

    /// Whether a window is to be followed by a moment under more traps.
    pub(super) fn wants_contrast(&self) -> bool {
        let unsure_ns = self.by_ticks().map_or(AFTER.1 * self.loop_ns, |hit| hit.standard_error);
        self.contrast.wants_more(self.inside, self.windows, unsure_ns)
    }

    /// Takes in a window, and the moment behind it in which frees trapped as well, on instructions
    /// of the same kind or not; and what loops of flame's own told at the time.
    pub(super) fn contrast(
        &mut self,
        window: Usage,
        behind: Usage,
        alike: bool,
        warmth: Option<Warmth>,
    ) {
        self.contrast.add(window, behind, alike, warmth);
    }

    /// What of a time was the targets' own work, in nanoseconds.
    pub(super) fn work_ns(&self, used: Usage) -> f64 {
        // However wrong the price is, some of the time was the program's.
        (used.cpu_ns - used.hits * self.price_ns()).max(used.cpu_ns * 0.02)
    }

    /// What the probes may still cost beyond the budget before they are used otherwise, in
    /// nanoseconds of CPU time.
    pub(super) fn left_ns(&self) -> f64 {
        ALLOWANCE_NS - self.debt_ns
    }

    /// Takes in what was used since the last time, all probes open; whether to probe otherwise
    /// from now on.
    pub(super) fn account(&mut self, used: Usage) -> bool {
        self.open = self.open.plus(used);
        self.all_open = self.all_open.plus(used);
        if self.open.ticks_in_traps > ENOUGH_TICKS {
            self.open = self.open.half();
        }
        let (cost, work) = (used.hits * self.price_ns(), self.work_ns(used));
        self.debt_ns = (self.debt_ns + cost - self.budget * work).max(-MOST_CREDIT_NS);
        if self.mode != HeapMode::Auto || self.debt_ns <= ALLOWANCE_NS {
            return false;
        }
        let of_allocations = Usage { hits: used.hits - used.frees, frees: 0.0, ..used };
        let cheaper = of_allocations.hits * self.price_ns() <= self.budget * work;
        self.probing = match self.probing {
            Probing::Follow if cheaper => Probing::Allocations,
            _ if self.has_windows => Probing::Windows,
            _ => Probing::Nothing,
        };
        self.overdrawn_ns += self.debt_ns;
        self.debt_ns = 0.0;
        true
    }

    /// Takes in what a window used.
    pub(super) fn window(&mut self, used: Usage) {
        self.inside = self.inside.plus(used);
        self.windows += 1;
    }

    /// What was used while all probes were open, lately. (In a moment of some milliseconds the clock
    /// of a process may stand still: `thread_group_cputime` in `kernel/sched/cputime.c`.)
    pub(super) fn while_open(&self) -> Usage {
        self.open
    }

    /// What a window will cost, in nanoseconds, by what was `used` while all probes were open.
    pub(super) fn expected_ns(&self, used: Usage) -> f64 {
        let makes = (used.hits - used.frees) / used.cpu_ns.max(1.0);
        // No program traps for more than all of its time, whatever its clock and the price tell.
        (makes * self.price_ns()).min(1.0) * TRAPPING_NS
    }

    /// Takes in what a stratum's windows cost, and its work, in nanoseconds. What they cost beyond
    /// what they aim at is saved later.
    pub(super) fn spent(&mut self, cost_ns: f64, work_ns: f64) {
        let beyond = cost_ns - work_ns * self.budget * AIM;
        self.overdrawn_ns = (self.overdrawn_ns + beyond).max(-MOST_UNSPENT_NS);
    }

    /// How long a stratum is, by what windows cost before, in the mean, in nanoseconds, and by how
    /// much CPU the targets use in a nanosecond.
    pub(super) fn stratum(&mut self, cost_ns: f64, cpus: f64) -> Duration {
        if cpus > 0.0 {
            let saved = if self.overdrawn_ns > SLACK_NS { SAVED } else { 0.0 };
            let wanted = cost_ns / (self.budget * (AIM - saved)) / cpus;
            self.mean_gap_ns = wanted.clamp(GAPS_NS.0, GAPS_NS.1);
        }
        Duration::from_nanos((self.mean_gap_ns * STRATUM as f64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;
    const PRICE: f64 = 1000.0;

    fn used(hits: f64, frees: f64, cpu_ns: f64) -> Usage {
        Usage { hits, frees, cpu_ns, ..Usage::default() }
    }

    #[test]
    fn a_frugal_program_is_followed_for_good() {
        let mut governor = Governor::new(HeapMode::Auto, 5.0, PRICE);
        for _ in 0..1000 {
            // 20,000 hits a second of CPU.
            assert!(!governor.account(used(2000.0, 1000.0, 100.0 * MS)));
        }
        assert_eq!(governor.probing(), Probing::Follow);
    }

    #[test]
    fn a_busy_program_is_sampled_in_windows_after_the_allowance() {
        let mut governor = Governor::new(HeapMode::Auto, 5.0, PRICE);
        let rounds = (1..100).find(|_| governor.account(used(12_000.0, 6000.0, 20.0 * MS)));
        assert!(rounds.is_some_and(|rounds| rounds <= 8), "{rounds:?}");
        assert_eq!(governor.probing(), Probing::Windows);
    }

    #[test]
    fn what_hits_cost_in_the_program_counts_once_it_is_known() {
        let mut governor = Governor::new(HeapMode::Auto, 5.0, PRICE);
        // A tenth of its time in 10,000 hits a second: they are dearer than in the loop.
        let usage = Usage { ticks: 50.0, ticks_in_traps: 5.0, ..used(1000.0, 500.0, 100.0 * MS) };
        let rounds = (1..1000).find(|_| governor.account(usage));
        assert!(rounds.is_some_and(|rounds| rounds > 20), "{rounds:?}");
        // A trap takes 10 us, and as much more what comes after it as in other programs.
        assert!((governor.price_ns() - 12_000.0).abs() < 1.0, "{}", governor.price_ns());
    }

    #[test]
    fn a_session_cost_what_hits_took_in_all_of_its_phases() {
        let mut governor = Governor::new(HeapMode::Exact, 5.0, PRICE);
        // Half of the time in as many hits a second, then a quarter of it.
        let phase = |hits, ticks_in_traps| Usage {
            ticks: 100.0,
            ticks_in_traps,
            ..used(hits, 0.0, 100.0 * MS)
        };
        for usage in std::iter::repeat_n(phase(5000.0, 50.0), 20) {
            governor.account(usage);
        }
        for usage in std::iter::repeat_n(phase(5000.0, 25.0), 40) {
            governor.account(usage);
        }
        // 10 us a hit and 5 us, with what comes behind; a third of the hits were the dear ones.
        assert!((governor.price_ns() - 6000.0).abs() < 100.0, "{}", governor.price_ns());
        let mean_ns = governor.mean_price_ns();
        assert!((mean_ns - 1.2 * 20_000.0 / 3.0).abs() < 1.0, "{mean_ns}");
    }

    #[test]
    fn what_is_too_dear_is_let_alone_where_there_can_be_no_windows() {
        let mut governor = Governor::new(HeapMode::Auto, 5.0, PRICE);
        governor.goes_without_windows();
        assert!((1..100).any(|_| governor.account(used(12_000.0, 6000.0, 20.0 * MS))));
        assert_eq!(governor.probing(), Probing::Nothing);
    }

    #[test]
    fn what_is_too_dear_by_its_frees_alone_is_sampled_all_the_time() {
        let mut governor = Governor::new(HeapMode::Auto, 5.0, PRICE);
        let rounds = (1..1000).find(|_| governor.account(used(4500.0, 2400.0, 100.0 * MS)));
        assert!(rounds.is_some());
        assert_eq!(governor.probing(), Probing::Allocations);
        let mut exact = Governor::new(HeapMode::Exact, 5.0, PRICE);
        assert!(!(0..1000).any(|_| exact.account(used(20_000.0, 0.0, 20.0 * MS))));
    }

    #[test]
    fn windows_come_as_seldom_as_they_are_dear() {
        let mut governor = Governor::new(HeapMode::Governed, 5.0, PRICE);
        assert_eq!(governor.stratum(0.0, 1.0), Duration::from_millis(80));
        let cost_ns = 7000.0 * governor.price_ns();
        let stratum = governor.stratum(cost_ns, 1.0).as_nanos() as f64;
        // 7000 hits at 1.6 us each, of a budget of 2.25 %.
        assert!((stratum / 2.0 - 11.2 * MS / 0.0225).abs() < MS, "{stratum}");
        // What all probes cost before is saved in the first windows.
        let mut governor = Governor::new(HeapMode::Auto, 5.0, PRICE);
        assert!((1..100).any(|_| governor.account(used(12_000.0, 6000.0, 20.0 * MS))));
        let first = governor.stratum(cost_ns, 1.0);
        let longer = first.as_secs_f64() * 1e9 / stratum;
        assert!((longer - 0.45 / 0.33).abs() < 0.01, "{longer}");
        // Some 40 ms, by 0.6 % of the work, of windows that cost what was expected of them.
        let work_ns = first.as_nanos() as f64;
        let saving = work_ns * 0.006;
        for _ in 0..(60.0 * MS / saving) as u32 {
            governor.spent(2.0 * cost_ns, work_ns);
            governor.stratum(cost_ns, 1.0);
        }
        let last = governor.stratum(cost_ns, 1.0).as_nanos() as f64;
        assert!((last - stratum).abs() < 1.0, "{last} {stratum}");
        // They were dearer than that.
        governor.spent(100.0 * MS, work_ns);
        assert_eq!(governor.stratum(cost_ns, 1.0), first);
        // 12 ms, in which 2000 blocks are made, of which a window takes 9.
        let expected = governor.expected_ns(used(3000.0, 1000.0, 12.0 * MS));
        assert!((expected - 3.2 / 12.0 * 9.0 * MS).abs() < 1.0, "{expected}");
        // Its clock stood still for most of the time.
        let expected = governor.expected_ns(used(30_000.0, 0.0, 2.0 * MS));
        assert!((expected - 9.0 * MS).abs() < 1.0, "{expected}");
    }
}
