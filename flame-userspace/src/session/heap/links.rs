//! The links that put probes into allocators: one for each process and file, so that no other
//! process is touched; where every process is a target, a file has one link for all. Looking for an
//! allocator's functions and opening links takes milliseconds, closing them tens of milliseconds.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use flame_common::block::{ARGUMENTS_SHIFT, LEADS_SHIFT, NULL_IS_MALLOC, PLAIN_IS_MALLOC};
use flame_common::heap::Role;

use super::governor::Probing;
use super::prober::{HookFile, Owner, Told, tell};
use crate::bpf::{HeapPrograms, Probe, ProbeLink};
use crate::heap::{Emulated, Hook, Hooks, OwnFunction, hooks};
use crate::priority::GiveWay;
use crate::process::ExecutableId;

/// Links that are being closed, at most, before others wait for them.
const MOST_CLOSING: usize = 32;

/// How long looking for an allocator waits for whoever wants the CPUs, at most.
const LOOKING: Duration = Duration::from_millis(100);

/// A file that a process, or all, is to be probed in.
pub(super) struct Target {
    pub(super) owner: Owner,
    pid: u32,
    pub(super) executable: ExecutableId,
    link: Option<ProbeLink>,
    /// Of the frees, while they trap for the contrast.
    frees: Option<ProbeLink>,
}

impl Target {
    fn take_links(&mut self) -> impl Iterator<Item = ProbeLink> + use<> {
        self.link.take().into_iter().chain(self.frees.take())
    }
}

/// A file with an allocator.
struct Found {
    file: File,
    path: String,
    /// Of functions whose return matters, and of the others.
    makes: Vec<Probe>,
    frees: Vec<Probe>,
    /// Of the frees for a contrast, and whether the kernel emulates what they are on as it does for
    /// `malloc`.
    contrast: Vec<Probe>,
    alike: bool,
}

/// All targets and their links.
pub(super) struct Links {
    programs: HeapPrograms,
    /// The user's own functions.
    own: Vec<OwnFunction>,
    tell: Sender<Told>,
    /// Threads that close links, the oldest first: that waits for all CPUs, and the probes of new
    /// processes and the next window are not to wait.
    closings: VecDeque<JoinHandle<Duration>>,
    /// The longest that opening all links, and closing one, took.
    longest_opening: Duration,
    longest_closing: Duration,
    files: HashMap<ExecutableId, Option<Found>>,
    targets: Vec<Target>,
}

impl Links {
    pub(super) fn new(programs: HeapPrograms, own: Vec<OwnFunction>, tell: Sender<Told>) -> Self {
        Self {
            programs,
            own,
            tell,
            closings: VecDeque::new(),
            longest_opening: Duration::ZERO,
            longest_closing: Duration::ZERO,
            files: HashMap::new(),
            targets: Vec::new(),
        }
    }

    /// Looks for an allocator in a file, if that has not been done, and makes it a target. Its link
    /// is opened at once if it is told how. Whether it is one now.
    pub(super) fn add(&mut self, file: HookFile, open: Option<Probing>) -> bool {
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
            return false;
        }
        let mut target = Target { owner, pid, executable, link: None, frees: None };
        if let Some(how) = open {
            let began = Instant::now();
            self.open(&mut target, how);
            self.longest_opening = self.longest_opening.max(began.elapsed());
        }
        self.targets.push(target);
        true
    }

    /// Takes some targets away.
    pub(super) fn remove(&mut self, is_it: impl Fn(&Target) -> bool) {
        let gone = self.targets.extract_if(.., |target| is_it(target));
        let mut gone: Vec<Target> = gone.collect();
        self.close(gone.iter_mut().flat_map(Target::take_links).collect());
    }

    /// The processes of the targets, each once; 0 stands for all.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.targets.iter().map(|target| target.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    fn open(&self, target: &mut Target, how: Probing) {
        let Some(Some(found)) = self.files.get(&target.executable) else { return };
        let pid = (target.pid != 0).then_some(target.pid);
        let link = match how {
            Probing::Follow => self.programs.follow(&found.file, &found.makes, &found.frees, pid),
            Probing::Allocations | Probing::Windows => {
                self.programs.allocations(&found.file, &found.makes, pid)
            }
            Probing::Nothing => return,
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

    /// What links are opened by.
    pub(super) fn programs(&self) -> &HeapPrograms {
        &self.programs
    }

    /// Opens all links that are not open.
    pub(super) fn open_all(&mut self, how: Probing) {
        let began = Instant::now();
        let mut targets = std::mem::take(&mut self.targets);
        for target in targets.iter_mut().filter(|target| target.link.is_none()) {
            self.open(target, how);
        }
        self.targets = targets;
        self.longest_opening = self.longest_opening.max(began.elapsed());
        log::debug!("probes opened in {:?}", began.elapsed());
    }

    /// Has the calls that free trap too.
    pub(super) fn open_frees(&mut self) {
        let began = Instant::now();
        for target in &mut self.targets {
            let Some(Some(found)) = self.files.get(&target.executable) else { continue };
            let pid = (target.pid != 0).then_some(target.pid);
            // A process that has gone has no frees, and no link of another kind.
            let link = self.programs.allocations(&found.file, &found.contrast, pid);
            target.frees = link.inspect_err(|error| log::debug!("probe frees: {error}")).ok();
        }
        log::debug!("probes of frees opened in {:?}", began.elapsed());
    }

    /// Whether in all targets the probes in frees, where they trap for a contrast, are on
    /// instructions of the kind that those of allocations are on.
    pub(super) fn frees_are_alike(&self) -> bool {
        let found = self.targets.iter().filter(|target| target.frees.is_some());
        found
            .filter_map(|target| self.files.get(&target.executable)?.as_ref())
            .all(|found| found.alike)
    }

    /// Closes all links, and waits until they are.
    pub(super) fn close_all(&mut self) {
        let began = Instant::now();
        self.close_later();
        self.wait_for_closing(0);
        log::debug!("probes closed in {:?}", began.elapsed());
    }

    /// Closes all links.
    pub(super) fn close_later(&mut self) {
        let links = self.targets.iter_mut().flat_map(Target::take_links).collect();
        self.close(links);
    }

    /// Closes links, at the same time. Each takes its probes out at once, and then tens of
    /// milliseconds in which it waits for all CPUs.
    fn close(&mut self, links: Vec<ProbeLink>) {
        self.wait_for_closing(MOST_CLOSING);
        for link in links {
            let closing = thread::Builder::new().spawn(move || {
                let began = Instant::now();
                drop(link);
                began.elapsed()
            });
            // Where no thread can be had, it has been closed here.
            self.closings.extend(closing);
        }
    }

    /// Waits until so many links at most are being closed.
    fn wait_for_closing(&mut self, most: usize) {
        let over = |closings: &VecDeque<JoinHandle<_>>| {
            closings.len() > most || closings.front().is_some_and(JoinHandle::is_finished)
        };
        while over(&self.closings)
            && let Some(closing) = self.closings.pop_front()
        {
            // A thread that panicked has dropped its link too.
            let took = closing.join().unwrap_or_default();
            self.longest_closing = self.longest_closing.max(took);
        }
    }

    /// The longest that it took to open all links, and to close one, in nanoseconds.
    pub(super) fn longest_ns(&self) -> (f64, f64) {
        let ns = |time: Duration| time.as_nanos() as f64;
        (ns(self.longest_opening), ns(self.longest_closing))
    }
}

/// Looks for an allocator in a file.
fn look(file: HookFile, own: &[OwnFunction], to: &Sender<Told>) -> Result<Option<(Found, Hooks)>> {
    let HookFile { file, debug_file, path, .. } = file;
    let _way = GiveWay::own_for_at_most(LOOKING);
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
    let kind = makes.iter().find(|hook| hook.role == Role::Malloc).and_then(|hook| hook.emulated);
    let contrast: Vec<(Probe, bool)> = frees.iter().map(|hook| like(hook, kind)).collect();
    let alike = contrast.iter().all(|(_, alike)| *alike);
    let contrast = contrast.into_iter().map(|(probe, _)| probe).collect();
    let probes = |hooks: Vec<&Hook>| hooks.into_iter().map(probe).collect();
    let (makes, frees) = (probes(makes), probes(frees));
    Ok(Some((Found { file, path, makes, frees, contrast, alike }, hooks)))
}

/// A probe of a function that frees, on an instruction that the kernel emulates in this way if it
/// has one, and whether it has.
fn like(hook: &&Hook, kind: Option<Emulated>) -> (Probe, bool) {
    match hook.push {
        Some((offset, leads_to)) if kind == Some(Emulated::Push) => {
            (probe(&Hook { offset, leads_to, ..(*hook).clone() }), true)
        }
        _ => (probe(hook), hook.emulated == kind),
    }
}

fn probe(hook: &Hook) -> Probe {
    let arguments = u64::from(hook.arguments.pack()) << ARGUMENTS_SHIFT;
    let null = if hook.null_is_malloc { NULL_IS_MALLOC } else { 0 };
    let plain = if hook.plain_is_malloc { PLAIN_IS_MALLOC } else { 0 };
    let leads_to = u64::from(hook.leads_to as u32) << LEADS_SHIFT;
    Probe { offset: hook.offset, cookie: hook.role as u64 | null | plain | arguments | leads_to }
}
