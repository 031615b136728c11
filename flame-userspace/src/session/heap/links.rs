//! The links that put probes into allocators: one for each process and file, so that no other
//! process is touched; where every process is a target, a file has one link for all. Looking for an
//! allocator's functions and opening links takes milliseconds; until the kernel has taken probes out,
//! ten and more pass.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use flame_common::block::{
    ARGUMENTS_SHIFT, LEADS_SHIFT, MAY_THROW, NULL_IS_MALLOC, PLAIN_IS_MALLOC,
};
use flame_common::heap::Role;

use super::breakpoints::Breakpoints;
use super::governor::Probing;
use super::prober::{HookFile, Owner, Told, tell};
use super::refusal::is_limited;
use crate::bpf::{HeapPrograms, Probe, ProbeLink};
use crate::heap::{Emulated, Hook, Hooks, OwnFunction, hooks};
use crate::priority::GiveWay;
use crate::process::ExecutableId;

/// How long probes that are to go are waited for, at most, and how often they are looked for.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(1);

/// How often targets are asked whether their memory is limited.
const LIMITS: Duration = Duration::from_millis(50);

/// How long looking for an allocator waits for whoever wants the CPUs, at most.
const LOOKING: Duration = Duration::from_millis(100);

/// A file that a process, or all, is to be probed in.
pub(super) struct Target {
    pub(super) owner: Owner,
    pid: u32,
    pub(super) executable: ExecutableId,
    link: Option<ProbeLink>,
    /// Whether it follows what functions make that may throw: not once there is a limit.
    trusts: bool,
    /// Of the frees, while they trap for the contrast.
    frees: Option<ProbeLink>,
}

/// A file with an allocator.
struct Found {
    file: File,
    path: String,
    /// Of functions whose return matters, of those of them that may throw, and of the others.
    makes: Vec<Probe>,
    throwing: Vec<Probe>,
    frees: Vec<Probe>,
    /// Whether it was told that some are not followed.
    is_told: Cell<bool>,
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
    /// The longest that opening all links took, and closing all until their probes were out.
    longest_opening: Duration,
    longest_closing: Duration,
    files: HashMap<ExecutableId, Option<Found>>,
    targets: Vec<Target>,
    /// When limits were looked at.
    minded: Instant,
}

impl Links {
    pub(super) fn new(programs: HeapPrograms, own: Vec<OwnFunction>, tell: Sender<Told>) -> Self {
        Self {
            programs,
            own,
            tell,
            longest_opening: Duration::ZERO,
            longest_closing: Duration::ZERO,
            files: HashMap::new(),
            targets: Vec::new(),
            minded: Instant::now(),
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
        let mut target = Target { owner, pid, executable, link: None, trusts: false, frees: None };
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
        self.targets.retain(|target| !is_it(target));
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
        // Of what is not followed no return is taken: no limit has to be minded.
        target.trusts = false;
        let link = match how {
            Probing::Follow => self.follow(found, pid).map(|(link, trusts)| {
                target.trusts = trusts;
                link
            }),
            Probing::Allocations | Probing::Windows => {
                let makes = [found.makes.as_slice(), &found.throwing].concat();
                self.programs.allocations(&found.file, &makes, pid)
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

    /// Probes those anew that follow what functions make that may throw, and have a limit by now: a
    /// shell that sets one for the program that it becomes, say.
    pub(super) fn mind_limits(&mut self) {
        if self.minded.elapsed() < LIMITS {
            return;
        }
        self.minded = Instant::now();
        let mut targets = std::mem::take(&mut self.targets);
        for target in targets.iter_mut().filter(|target| target.trusts && target.link.is_some()) {
            if is_limited(target.pid) {
                target.link = None;
                self.open(target, Probing::Follow);
            }
        }
        self.targets = targets;
    }

    /// Follows blocks, but for those of functions that may throw where that may happen: of these the
    /// allocations alone are sampled. Whether that is to be looked at again.
    fn follow(&self, found: &Found, pid: Option<u32>) -> io::Result<(ProbeLink, bool)> {
        let Found { file, path, makes, throwing, frees, is_told, .. } = found;
        let all = |makes: &[Probe]| self.programs.follow(file, makes, frees, pid);
        // Where the program chooses the returns it sees for itself whether one may be refused.
        let chooses = self.programs.chooses_returns();
        let why = match pid {
            _ if throwing.is_empty() => None,
            _ if !chooses => Some("this kernel takes the return of every call (before Linux 6.13)"),
            Some(pid) if is_limited(pid) => Some("the memory of the process, or all, is limited"),
            _ => None,
        };
        let Some(why) = why else {
            let link = all(&[makes.as_slice(), throwing].concat())?;
            return Ok((link, !throwing.is_empty() && pid.is_some()));
        };
        if !is_told.replace(true) {
            let text = format!(
                "blocks that {path} makes by functions that may throw, as C++'s operator new, count as allocated and not as in use: an exception does not get through a return that is probed, and {why}"
            );
            tell(&self.tell, Told::Failed(text));
        }
        let followed = all(makes)?;
        Ok((ProbeLink::of([followed, self.programs.allocations(file, throwing, pid)?]), false))
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

    /// Closes all links, and waits until the probes are out of all targets.
    pub(super) fn close_all(&mut self) {
        let began = Instant::now();
        self.close_later();
        self.wait_for_originals(began + PATIENCE);
        self.longest_closing = self.longest_closing.max(began.elapsed());
        log::debug!("probes closed in {:?}", began.elapsed());
    }

    /// Closes all links. The kernel takes the probes out meanwhile: the next window is not to wait.
    pub(super) fn close_later(&mut self) {
        for target in &mut self.targets {
            (target.link, target.frees) = (None, None);
        }
    }

    /// Waits until no target's text has breakpoints where its probes were, up to a time.
    fn wait_for_originals(&self, until: Instant) {
        for target in self.targets.iter().filter(|target| target.pid != 0) {
            let Some(Some(found)) = self.files.get(&target.executable) else { continue };
            let probes = found
                .makes
                .iter()
                .chain(&found.throwing)
                .chain(&found.frees)
                .chain(&found.contrast);
            let offsets = probes.map(|probe| probe.offset);
            let breakpoints = Breakpoints::of(target.pid, &found.file, offsets);
            while breakpoints.are_there() {
                if Instant::now() > until {
                    let (pid, path) = (target.pid, &found.path);
                    tell(
                        &self.tell,
                        Told::Failed(format!(
                            "after {} s there were still breakpoints in {path} of process {pid}: another tool's, or flame's, which the kernel has not taken out yet",
                            PATIENCE.as_secs()
                        )),
                    );
                    break;
                }
                thread::sleep(LOOK);
            }
        }
    }

    /// The longest that it took to open all links, and to close all, in nanoseconds.
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
    let (throwing, makes): (Vec<&Hook>, _) = makes.into_iter().partition(|hook| hook.may_throw);
    let probes = |hooks: Vec<&Hook>| hooks.into_iter().map(probe).collect();
    let (makes, throwing, frees) = (probes(makes), probes(throwing), probes(frees));
    let is_told = Cell::new(false);
    let found = Found { file, path, makes, throwing, frees, is_told, contrast, alike };
    Ok(Some((found, hooks)))
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
    let throws = if hook.may_throw { MAY_THROW } else { 0 };
    let leads_to = u64::from(hook.leads_to as u32) << LEADS_SHIFT;
    let flags = null | plain | throws;
    Probe { offset: hook.offset, cookie: hook.role as u64 | flags | arguments | leads_to }
}
