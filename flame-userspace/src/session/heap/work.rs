//! The thread that decides how allocators are probed, and when: always, or in windows.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Result;
use flame_common::poisson::NEVER;

use super::busy::Busy;
use super::doing::Doing;
use super::governor::{BEFORE, CONTRAST, Governor, Probing, STRATUM, Usage, WINDOW};
use super::links::Links;
use super::meter::Meter;
use super::prober::{Cost, Order, Told, tell};
use super::stratum::{Random, Stratum};
use super::tick::Ticks;
use super::warmth::Loops;
use crate::bpf::{CpuUse, HeapSwitch, Pace, TrapClock};
use crate::session::cgroups::Cgroups;
use crate::session::timeline::now_ns;

/// How often the cost of probes that are always open is looked at, and where it is high.
const ACCOUNT: Duration = Duration::from_millis(10);
const ACCOUNT_SOON: Duration = Duration::from_millis(3);
/// How often the targets' clocks are read at least: a process that ends takes its own along.
const READ: Duration = Duration::from_millis(20);

/// The thread's state.
pub(super) struct Work {
    links: Links,
    switch: HeapSwitch,
    clock: TrapClock,
    tell: Sender<Told>,
    interval: u64,
    governor: Governor,
    meter: Meter,
    /// What is done now, and when it was begun.
    now: Doing,
    /// When it is to be looked after.
    due: Instant,
    /// What had been used then.
    began: Usage,
    began_at: Instant,
    /// When the targets' clocks were read last.
    read_at: Instant,
    /// What the targets had used at the beginning, by the clock of traps.
    cpu_use: Option<CpuUse>,
    /// When the window was opened that is open, or was last.
    opened: Instant,
    /// How long the way to a window lately was, from the first look at the usual work.
    lead: Duration,
    /// The targets' work in a stretch as long as a window, just before it, in nanoseconds.
    usual_ns: f64,
    /// What the last window used, and when it ended (`CLOCK_MONOTONIC`, nanoseconds).
    inside: Usage,
    ended_ns: u64,
    /// What ticks of the clock of traps cost.
    ticks: Ticks,
    /// flame's own code that is probed to see what hits cost, once there are windows.
    loops: Option<Loops>,
    stratum: Stratum,
    /// The next one, once the moments of this one are over, and how long those to come are.
    next_stratum: Option<Stratum>,
    stratum_length: Duration,
    /// How many windows there have been.
    windows: f64,
    /// What strata that are over cost, in nanoseconds, without what calibrating did.
    cost_ns: f64,
    calibrating_ns: f64,
    random: Random,
}

impl Work {
    pub(super) fn new(
        links: Links,
        mut switch: HeapSwitch,
        mut clock: TrapClock,
        governor: Governor,
        interval: u64,
        cgroups: Cgroups,
        tell: Sender<Told>,
    ) -> Result<Self> {
        let windows = governor.probing() == Probing::Windows;
        switch.set_interval(if windows { 0 } else { interval })?;
        if !windows {
            clock.start(Pace::Slow, now_ns())?;
        }
        let meter = Meter::new(&switch, cgroups);
        Ok(Self {
            links,
            switch,
            clock,
            tell,
            interval,
            governor,
            meter,
            now: if windows { Doing::Rest } else { Doing::Open },
            due: Instant::now() + ACCOUNT,
            began: Usage::default(),
            began_at: Instant::now(),
            read_at: Instant::now(),
            cpu_use: None,
            opened: Instant::now(),
            lead: BEFORE,
            usual_ns: 0.0,
            inside: Usage::default(),
            ended_ns: 0,
            ticks: Ticks::default(),
            loops: None,
            stratum: Stratum::plan(Instant::now(), Duration::ZERO, std::iter::empty()),
            next_stratum: None,
            stratum_length: Duration::ZERO,
            windows: 0.0,
            cost_ns: 0.0,
            calibrating_ns: 0.0,
            random: Random::default(),
        })
    }

    /// Works until the other end is dropped.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let wait = match self.now {
                Doing::Closed => Duration::from_secs(3600),
                _ => self.due.min(self.read_at + READ).saturating_duration_since(Instant::now()),
            };
            match orders.recv_timeout(wait) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) if Instant::now() < self.due => {}
                Err(RecvTimeoutError::Timeout) => self.look_after(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // The time of a process that ends is known only up to its last reading.
            if self.now != Doing::Closed && self.read_at.elapsed() >= READ {
                self.used();
            }
            self.links.mind_limits();
        }
        self.links.close_all();
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Hook(file) => {
                let open = matches!(self.now, Doing::Open | Doing::Window | Doing::Contrast);
                let (pid, is_born) = (file.pid, file.is_born);
                let is_target = self.links.add(file, open.then(|| self.governor.probing()));
                if is_target {
                    self.begin_target(pid, is_born);
                }
            }
            Order::Rewritten(owner, executable) => {
                self.links
                    .remove(|target| (target.owner, target.executable) == (owner, executable));
            }
            Order::Gone(process, pid) => {
                self.links.remove(|target| target.owner == Some(process));
                self.meter.forget(pid);
                self.switch.remove_target(pid);
            }
            Order::ThreadEnded { pid, cpu_ns } => self.meter.end_thread(pid, cpu_ns),
            Order::Looked => self.meter.forget_others(),
            Order::Interval(bytes) => {
                self.interval = bytes;
                if matches!(self.now, Doing::Open | Doing::Window) {
                    self.sample(bytes);
                }
            }
            Order::EndStratum => self.break_stratum(),
            Order::Close => {
                self.break_stratum();
                self.now = Doing::Closed;
                if let Err(error) = self.clock.end() {
                    self.failed(&error);
                }
                self.links.close_all();
                let used = self.used();
                self.tell_cost(used);
            }
            // Whoever waited may have gone.
            Order::Settle(done) => _ = done.send(()),
        }
    }

    /// A process is probed, which began under the session or before.
    fn begin_target(&mut self, pid: u32, is_born: bool) {
        if is_born {
            self.meter.begin(pid);
        }
        if let Err(error) = self.switch.add_target(pid) {
            self.failed(&error);
        }
    }

    /// Something is due.
    fn look_after(&mut self) {
        match self.now {
            Doing::Open => self.account(),
            Doing::Gap => self.look_at_usual_work(),
            Doing::Rest => self.end_stratum(),
            Doing::Before => self.open_window(),
            Doing::Window => self.end_window(),
            Doing::Contrast => self.end_contrast(),
            Doing::Closed => {}
        }
    }

    /// All probes are open: is that too dear?
    fn account(&mut self) {
        let used = self.used();
        let recent = used.since(self.began);
        let (elapsed, left_ns) = (self.began_at.elapsed(), self.governor.left_ns());
        (self.began, self.began_at) = (used, Instant::now());
        let too_dear = self.governor.account(recent);
        // When the allowance is used up if it goes on so.
        let spent_ns = (left_ns - self.governor.left_ns()).max(1.0);
        let lasts = elapsed.as_secs_f64() * self.governor.left_ns() / spent_ns;
        let next = lasts.clamp(ACCOUNT_SOON.as_secs_f64(), ACCOUNT.as_secs_f64());
        self.due = self.began_at + Duration::from_secs_f64(next);
        if !too_dear {
            return;
        }
        let Usage { hits, cpu_ns, .. } = self.governor.while_open();
        let (busy, price_ns) = (Busy { hits, cpu_ns }, self.governor.price_ns());
        let how = self.governor.probing();
        self.sample(0);
        self.links.close_all();
        let at_ns = now_ns();
        match how {
            Probing::Windows => {
                self.begin_windows(self.governor.expected_ns(recent));
            }
            Probing::Nothing => {
                self.run_clock(None);
                self.now = Doing::Closed;
                self.tell_cost(used);
            }
            Probing::Follow | Probing::Allocations => {
                self.links.open_all(self.governor.probing());
                self.sample(self.interval);
            }
        }
        tell(&self.tell, Told::Probing { at_ns, how, busy, price_ns });
    }

    /// Goes over to windows, each of which will cost so much, in nanoseconds, of a target that runs
    /// on one CPU: on more all of that is more, and the work too.
    fn begin_windows(&mut self, cost_ns: f64) {
        self.run_clock(None);
        self.stratum_length = self.governor.stratum(cost_ns, 1.0);
        // What was done since the last look, while probes were taken out, is in no other estimate.
        self.begin_stratum(self.began);
        self.stratum.began = self.began_at;
        // Not on the way to the first window, which a program of a second might not live to see.
        self.calibrate();
    }

    /// Begins the stratum that comes, and waits for its first window.
    fn begin_stratum(&mut self, used: Usage) {
        self.stratum = self.next_stratum.take().unwrap_or_else(|| self.plan(Instant::now()));
        self.stratum.begin(used);
        self.wait_for_window();
    }

    /// A stratum whose windows come at random moments of it.
    fn plan(&mut self, begins: Instant) -> Stratum {
        let moments = [(); STRATUM].map(|()| self.random.next());
        Stratum::plan(begins, self.stratum_length, moments.into_iter())
    }

    /// Waits for the next window, or for the stratum's end. The way to a window that is to open
    /// just behind that begins before it.
    fn wait_for_window(&mut self) {
        if self.stratum.moment().is_none() && self.next_stratum.is_none() {
            let begins = self.stratum.ends.max(Instant::now());
            self.next_stratum = Some(self.plan(begins));
        }
        let next = self.stratum.moment().or_else(|| self.next_stratum.as_ref()?.moment());
        let ends = self.stratum.moment().is_none().then_some(self.stratum.ends);
        let due = next.and_then(|moment| moment.checked_sub(self.lead));
        (self.now, self.due) = match (due, ends) {
            (Some(due), Some(ends)) if ends <= due => (Doing::Rest, ends),
            (Some(due), _) => (Doing::Gap, due),
            (None, _) => (Doing::Rest, self.stratum.ends),
        };
    }

    /// Sees for the first time what ticks cost: for some 30 ms.
    fn calibrate(&mut self) {
        if !self.ticks.are_new() {
            return;
        }
        let before = self.used();
        self.loops =
            Loops::probe(self.links.programs()).inspect_err(|error| log::debug!("{error:#}")).ok();
        self.look_at_ticks();
        self.calibrating_ns = self.used().since(before).ticks * self.ticks.ns();
    }

    fn look_at_ticks(&mut self) {
        if let Err(error) = self.ticks.look(&mut self.clock) {
            self.failed(&error);
        }
        log::debug!("a tick of the clock of traps: {:.0} ns", self.ticks.ns());
    }

    fn look_at_usual_work(&mut self) {
        self.calibrate();
        self.begin(None);
        self.now = Doing::Before;
        self.due = self.began_at + BEFORE;
    }

    /// Begins a moment of which is to be told what was used in it; bytes are counted down from now on
    /// as this tells.
    fn begin(&mut self, interval: Option<u64>) {
        let used = self.used();
        self.cpu_use = self.clock.begin(now_ns()).unwrap_or_else(|error| {
            self.failed(&error);
            None
        });
        if let Some(interval) = interval {
            self.sample(interval);
        }
        // All of these count from the same moment on, to some thousandths of a window.
        self.began_at = Instant::now();
        self.began = self.meter.count(used, &self.switch);
    }

    fn open_window(&mut self) {
        if self.stratum.moment().is_none() {
            // It is the next stratum's.
            self.end_stratum();
        }
        self.stratum.take_moment();
        let before = self.used().since(self.began);
        let elapsed = self.began_at.elapsed().as_nanos() as f64;
        // The probes of the window before may have gone only just now.
        let work_ns = self.governor.work_ns(before);
        self.usual_ns = work_ns * WINDOW.as_nanos() as f64 / elapsed.max(1.0);
        let look_at = self.began_at;
        self.links.open_all(self.governor.probing());
        self.run_clock(Some(Pace::Fast));
        self.begin(Some(self.interval));
        self.opened = self.began_at;
        self.lead = (self.lead + (self.opened - look_at)) / 2;
        self.now = Doing::Window;
        self.due = Instant::now() + WINDOW;
    }

    /// What was used from the last beginning to a moment that has just been, while the clock ran,
    /// without its own time.
    fn used_until(&mut self, end: Instant) -> Usage {
        let used = self.meter.count(self.began, &self.switch).since(self.began);
        let cpu_use = self.clock.cpu_use(now_ns()).zip(self.cpu_use);
        let cpus = cpu_use.and_then(|(now, began)| now.cpus_since(began));
        let elapsed_ns = end.saturating_duration_since(self.began_at).as_nanos() as f64;
        // The processes' own clocks may stand still meanwhile: better nothing than that.
        let used = Usage { cpu_ns: cpus.unwrap_or_default() * elapsed_ns, ..used };
        used.without_ticks(self.ticks.ns())
    }

    fn end_window(&mut self) {
        let contrast = self.governor.wants_contrast();
        // In a contrast bytes are counted down as in the window.
        self.sample(if contrast { NEVER } else { 0 });
        let ends = Instant::now();
        self.inside = self.used_until(ends);
        self.ended_ns = now_ns();
        log::debug!(
            "a window of {:?}, looked at at {} ns: {:?}",
            ends - self.opened,
            self.ended_ns,
            self.inside
        );
        if contrast {
            self.links.open_frees();
            self.begin(None);
            self.now = Doing::Contrast;
            self.due = self.began_at + CONTRAST;
        } else {
            self.close_window();
        }
    }

    fn end_contrast(&mut self) {
        let behind = self.used_until(Instant::now());
        log::debug!("a contrast: {:?}, {behind:?}", self.inside);
        let alike = self.links.frees_are_alike();
        self.close_window();
        let warmth = self.loops.as_ref().map(Loops::look);
        log::debug!("loops of flame's own: {warmth:?}");
        self.governor.contrast(self.inside, behind, alike, warmth);
        self.look_at_ticks();
    }

    /// Has nothing trap any more, and waits for the next window.
    fn close_window(&mut self) {
        self.sample(0);
        self.links.close_later();
        self.run_clock(None);
        let window = self.inside.window(self.usual_ns);
        tell(&self.tell, Told::Window { end_ns: self.ended_ns, window });
        self.windows += 1.0;
        self.governor.window(self.inside);
        self.wait_for_window();
    }

    /// Ends the stratum that is open, wherever it is.
    fn break_stratum(&mut self) {
        match self.now {
            Doing::Window => {
                self.end_window();
                if self.now == Doing::Contrast {
                    self.close_window();
                }
            }
            Doing::Contrast => self.close_window(),
            Doing::Gap | Doing::Rest | Doing::Before => {}
            Doing::Open | Doing::Closed => return,
        }
        self.next_stratum = None;
        self.end_stratum();
    }

    fn end_stratum(&mut self) {
        let used = self.used();
        let tick_ns = self.ticks.ns();
        let in_all = used.since(self.stratum.used).without_ticks(tick_ns);
        let elapsed = self.stratum.began.elapsed().as_nanos() as f64;
        let spent_ns = in_all.hits * self.governor.price_ns() + in_all.ticks * tick_ns;
        self.cost_ns += (spent_ns - std::mem::take(&mut self.calibrating_ns)).max(0.0);
        let cost_ns = self.cost_ns / self.windows.max(1.0);
        let work_ns = self.governor.work_ns(in_all);
        self.governor.spent(spent_ns, work_ns);
        let told = self.governor.told();
        log::debug!("a stratum of windows: {in_all:?}, {told:?}");
        tell(&self.tell, Told::Stratum { end_ns: now_ns(), work_ns, told });
        self.tell_cost(used);
        self.stratum_length = self.governor.stratum(cost_ns, in_all.cpu_ns / elapsed.max(1.0));
        self.begin_stratum(used);
    }

    fn used(&mut self) -> Usage {
        self.read_at = Instant::now();
        self.meter.read(self.links.pids().into_iter(), &self.switch)
    }

    /// Has the clock of traps run, or stops it.
    fn run_clock(&mut self, pace: Option<Pace>) {
        let done = match pace {
            Some(pace) => self.clock.start(pace, now_ns()),
            None => self.clock.stop(),
        };
        if let Err(error) = done {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &anyhow::Error) {
        tell(&self.tell, Told::Failed(format!("{error:#}")));
    }

    fn sample(&mut self, interval: u64) {
        if let Err(error) = self.switch.set_interval(interval) {
            self.failed(&error);
        }
    }

    fn tell_cost(&self, used: Usage) {
        log::debug!("probes of allocators: {used:?}");
        let Usage { hits, cpu_ns, ticks, .. } = used;
        let clock_ns = ticks * self.ticks.ns();
        let price_ns = self.governor.mean_price_ns();
        let (attach_ns, detach_ns) = self.links.longest_ns();
        let cost = Cost { hits, price_ns, clock_ns, cpu_ns, attach_ns, detach_ns };
        tell(&self.tell, Told::Cost(cost));
    }
}
