//! The thread that puts probes into allocators: looking for an allocator's functions and opening
//! links takes milliseconds, closing them tens of milliseconds.
//!
//! Each process has links of its own, so that no other process is touched. Where every process is
//! a target, a file has one link for all.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use flame_common::block::{ARGUMENTS_SHIFT, LEADS_SHIFT, NULL_IS_MALLOC};
use flame_common::heap::Role;

use super::governor::{Governor, Probing, Usage, WINDOW};
use super::meter::Meter;
use super::prober::{Cost, HookFile, Order, Owner, Told};
use crate::bpf::{HeapPrograms, HeapSwitch, Pace, Probe, ProbeLink, TrapClock};
use crate::heap::{Hook, Hooks, OwnFunction, hooks};
use crate::process::ExecutableId;
use crate::session::timeline::now_ns;

/// How often the cost of probes that are always open is looked at.
const ACCOUNT: Duration = Duration::from_millis(20);

/// A file that a process, or all, is to be probed in.
struct Target {
    owner: Owner,
    pid: u32,
    executable: ExecutableId,
    link: Option<ProbeLink>,
}

/// A file with an allocator.
struct Found {
    file: File,
    path: String,
    /// Of functions whose return matters, and of the others.
    makes: Vec<Probe>,
    frees: Vec<Probe>,
}

/// The thread's state.
pub(super) struct Work {
    programs: HeapPrograms,
    switch: HeapSwitch,
    clock: TrapClock,
    /// The user's own functions.
    own: Vec<OwnFunction>,
    tell: Sender<Told>,
    /// Closes links: that waits for all CPUs, and the probes of new processes are not to wait.
    closing: Sender<ProbeLink>,
    files: HashMap<ExecutableId, Option<Found>>,
    targets: Vec<Target>,
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
    /// The targets' work in a stretch as long as a window, just before it, in nanoseconds.
    usual_ns: f64,
    /// What had been used when the stratum of windows began, when that was, and how many windows
    /// there have been.
    stratum: Usage,
    stratum_began: Instant,
    windows: f64,
    random: RandomState,
    drawn: u64,
}

/// What the thread does, besides what it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// All probes are open.
    Open,
    /// It waits for the next window.
    Gap,
    /// A stretch before a window, in which the usual work is measured.
    Before,
    /// A window is open.
    Window,
    /// All is over.
    Closed,
}

impl Work {
    pub(super) fn new(
        programs: HeapPrograms,
        mut switch: HeapSwitch,
        clock: TrapClock,
        governor: Governor,
        own: Vec<OwnFunction>,
        interval: u64,
        tell: Sender<Told>,
    ) -> Result<Self> {
        let (closing, closed) = mpsc::channel::<ProbeLink>();
        let closer = thread::Builder::new().name("flame-unprobe".to_owned());
        closer.spawn(move || closed.into_iter().for_each(drop)).context("start a thread")?;
        let windows = governor.probing() == Probing::Windows;
        switch.set_interval(if windows { 0 } else { interval })?;
        if !windows {
            clock.start(Pace::Slow)?;
        }
        Ok(Self {
            programs,
            switch,
            clock,
            own,
            tell,
            closing,
            files: HashMap::new(),
            targets: Vec::new(),
            interval,
            governor,
            meter: Meter::default(),
            now: if windows { Doing::Gap } else { Doing::Open },
            due: Instant::now() + ACCOUNT,
            began: Usage::default(),
            began_at: Instant::now(),
            usual_ns: 0.0,
            stratum: Usage::default(),
            stratum_began: Instant::now(),
            windows: 0.0,
            random: RandomState::new(),
            drawn: 0,
        })
    }

    /// Works until the other end is dropped.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let wait = match self.now {
                Doing::Closed => Duration::from_secs(3600),
                _ => self.due.saturating_duration_since(Instant::now()).min(ACCOUNT),
            };
            match orders.recv_timeout(wait) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) if Instant::now() < self.due => {
                    // The time of a process that ends is known only up to its last reading.
                    self.used();
                }
                Err(RecvTimeoutError::Timeout) => self.look_after(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.close_all();
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Hook(file) => self.hook(file),
            Order::Gone(process) => {
                for target in self.targets.extract_if(.., |t| t.owner == Some(process)) {
                    self.meter.forget(target.pid);
                    if let Some(link) = target.link {
                        // If that thread has ended, the link is closed here.
                        _ = self.closing.send(link);
                    }
                }
            }
            Order::Interval(bytes) => {
                self.interval = bytes;
                if matches!(self.now, Doing::Open | Doing::Window) {
                    self.sample(bytes);
                }
            }
            Order::EndStratum => {
                if matches!(self.now, Doing::Gap | Doing::Before | Doing::Window) {
                    if self.now == Doing::Window {
                        self.end_window();
                    }
                    self.end_stratum();
                }
            }
            Order::Close => {
                if self.now == Doing::Window {
                    self.end_window();
                }
                if matches!(self.now, Doing::Gap | Doing::Before) {
                    self.end_stratum();
                }
                self.now = Doing::Closed;
                self.run_clock(None);
                self.close_all();
                let used = self.used();
                self.tell_cost(used);
            }
            // Whoever waited may have gone.
            Order::Settle(done) => _ = done.send(()),
        }
    }

    /// Something is due.
    fn look_after(&mut self) {
        match self.now {
            Doing::Open => self.account(),
            Doing::Gap => self.look_at_usual_work(),
            Doing::Before => self.open_window(),
            Doing::Window => {
                if self.end_window() {
                    self.end_stratum();
                }
            }
            Doing::Closed => {}
        }
    }

    /// All probes are open: is that too dear?
    fn account(&mut self) {
        self.due = Instant::now() + ACCOUNT;
        let used = self.used();
        let recent = used.since(self.began);
        self.began = used;
        if !self.governor.account(recent) {
            return;
        }
        let (rate, slow_down) = self.rate(recent);
        let how = self.governor.probing();
        self.sample(0);
        self.close_all();
        let at_ns = now_ns();
        match how {
            Probing::Windows => self.begin_windows(),
            _ => {
                self.open_all();
                self.sample(self.interval);
            }
        }
        tell(&self.tell, Told::Probing { at_ns, how, rate, slow_down });
    }

    /// Hits in a second of the targets' own work, and the slow-down.
    fn rate(&self, used: Usage) -> (f64, f64) {
        let work = self.governor.work_ns(used);
        let rate = if work > 0.0 { used.hits * 1e9 / work } else { 0.0 };
        (rate, self.governor.slow_down(used))
    }

    fn begin_windows(&mut self) {
        self.run_clock(None);
        let used = self.used();
        (self.stratum, self.began) = (used, used);
        self.stratum_began = Instant::now();
        self.now = Doing::Gap;
        self.wait_for_window();
    }

    fn wait_for_window(&mut self) {
        self.drawn += 1;
        let random = self.random.hash_one(self.drawn) as f64 / u64::MAX as f64;
        self.due = Instant::now() + self.governor.gap(random);
    }

    fn look_at_usual_work(&mut self) {
        self.begin();
        self.now = Doing::Before;
        self.due = self.began_at + WINDOW;
    }

    fn begin(&mut self) {
        self.began = self.used();
        self.began_at = Instant::now();
    }

    fn open_window(&mut self) {
        let before = self.used().since(self.began);
        let elapsed = self.began_at.elapsed().as_nanos() as f64;
        self.usual_ns = before.cpu_ns * WINDOW.as_nanos() as f64 / elapsed.max(1.0);
        self.open_all();
        self.run_clock(Some(Pace::Fast));
        self.begin();
        self.sample(self.interval);
        self.now = Doing::Window;
        self.due = Instant::now() + WINDOW;
    }

    /// Ends a window; whether a stratum ends with it.
    fn end_window(&mut self) -> bool {
        self.sample(0);
        let used = self.used();
        let end_ns = now_ns();
        self.run_clock(None);
        self.close_all();
        let inside = used.since(self.began);
        self.windows += 1.0;
        let last = self.governor.window(inside);
        let window = self.governor.window_of(inside, self.usual_ns);
        tell(&self.tell, Told::Window { end_ns, window });
        self.now = Doing::Gap;
        self.wait_for_window();
        last
    }

    fn end_stratum(&mut self) {
        let used = self.used();
        let in_all = used.since(self.stratum);
        let elapsed = self.stratum_began.elapsed().as_nanos() as f64;
        self.governor.begin_stratum(self.windows, in_all.cpu_ns / elapsed.max(1.0));
        let work_ns = self.governor.work_ns(in_all);
        tell(&self.tell, Told::Stratum { end_ns: now_ns(), work_ns });
        self.stratum = used;
        self.stratum_began = Instant::now();
        self.now = Doing::Gap;
        self.wait_for_window();
        self.tell_cost(used);
    }

    fn hook(&mut self, file: HookFile) {
        let HookFile { owner, pid, executable, .. } = file;
        self.files.entry(executable).or_insert_with(|| {
            let found = look(file, &self.own, &self.tell);
            found
                .unwrap_or_else(|error| {
                    tell(&self.tell, Told::Failed(format!("{error:#}")));
                    None
                })
                .map(|(found, hooks)| {
                    let path = found.path.clone();
                    tell(&self.tell, Told::Found { executable, path, hooks: Arc::new(hooks) });
                    found
                })
        });
        if self.files.get(&executable).is_none_or(Option::is_none) {
            return;
        }
        let mut target = Target { owner, pid, executable, link: None };
        if matches!(self.now, Doing::Open | Doing::Window) {
            self.open(&mut target);
        }
        self.targets.push(target);
    }

    /// Opens a target's link, as things are probed now.
    fn open(&self, target: &mut Target) {
        let Some(Some(found)) = self.files.get(&target.executable) else { return };
        let pid = (target.pid != 0).then_some(target.pid);
        let link = match self.governor.probing() {
            Probing::Follow => self.programs.follow(&found.file, &found.makes, &found.frees, pid),
            Probing::Allocations | Probing::Windows => {
                self.programs.allocations(&found.file, &found.makes, pid)
            }
        };
        match link {
            Ok(link) => target.link = Some(link),
            // The process has gone meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => {
                let path = &found.path;
                tell(&self.tell, Told::Failed(format!("probe the allocator in {path}: {error}")));
            }
        }
    }

    /// Opens all links that are not open.
    fn open_all(&mut self) {
        let mut targets = std::mem::take(&mut self.targets);
        for target in targets.iter_mut().filter(|target| target.link.is_none()) {
            self.open(target);
        }
        self.targets = targets;
    }

    fn used(&mut self) -> Usage {
        let mut pids: Vec<u32> = self.targets.iter().map(|target| target.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        self.meter.read(pids.into_iter(), &self.switch)
    }

    /// Has the clock of traps run, or stops it.
    fn run_clock(&self, pace: Option<Pace>) {
        let done = pace.map_or_else(|| self.clock.stop(), |pace| self.clock.start(pace));
        if let Err(error) = done {
            tell(&self.tell, Told::Failed(format!("{error:#}")));
        }
    }

    fn sample(&mut self, interval: u64) {
        if let Err(error) = self.switch.set_interval(interval) {
            tell(&self.tell, Told::Failed(format!("{error:#}")));
        }
    }

    fn tell_cost(&self, used: Usage) {
        log::debug!("probes of allocators: {used:?}");
        let Usage { hits, cpu_ns, .. } = used;
        let cost = Cost { hits, price_ns: self.governor.price_ns(), cpu_ns };
        tell(&self.tell, Told::Cost(cost));
    }

    /// Closes all links, at the same time: each takes tens of milliseconds.
    fn close_all(&mut self) {
        let links: Vec<_> = self.targets.iter_mut().filter_map(|t| t.link.take()).collect();
        thread::scope(|scope| {
            for link in links {
                scope.spawn(move || drop(link));
            }
        });
    }
}

/// Looks for an allocator in a file.
fn look(file: HookFile, own: &[OwnFunction], to: &Sender<Told>) -> Result<Option<(Found, Hooks)>> {
    let HookFile { file, debug_file, path, .. } = file;
    let hooks = hooks(&file, debug_file.as_ref(), own)
        .with_context(|| format!("look for an allocator in {path}"))?;
    let names = hooks.probed.iter().map(|hook| &hook.name);
    let names = names.chain(hooks.forwarders.iter().map(|(from, _)| from));
    let is_own = |name: &&String| own.iter().any(|function| function.name == **name);
    tell(to, Told::Own(names.filter(is_own).cloned().collect()));
    if hooks.probed.is_empty() {
        return Ok(None);
    }
    let (mut makes, frees): (Vec<&Hook>, _) =
        hooks.probed.iter().partition(|hook| hook.role != Role::Free);
    // Those that free as well are to be in place before those that do not.
    makes.sort_by_key(|hook| !hook.role.gives_up());
    let probes = |hooks: Vec<&Hook>| hooks.into_iter().map(probe).collect();
    let (makes, frees) = (probes(makes), probes(frees));
    Ok(Some((Found { file, path, makes, frees }, hooks)))
}

fn probe(hook: &Hook) -> Probe {
    let arguments = u64::from(hook.arguments.pack()) << ARGUMENTS_SHIFT;
    let null = if hook.null_is_malloc { NULL_IS_MALLOC } else { 0 };
    let leads_to = u64::from(hook.leads_to as u32) << LEADS_SHIFT;
    Probe { offset: hook.offset, cookie: hook.role as u64 | null | arguments | leads_to }
}

fn tell(to: &Sender<Told>, told: Told) {
    // Nobody listens any more: the session ends.
    _ = to.send(told);
}
