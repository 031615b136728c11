//! Putting probes into allocators, on a thread of its own: looking for an allocator's functions
//! and opening links takes milliseconds, closing them tens of milliseconds.
//!
//! Each process has links of its own, so that no other process is touched. Where every process is
//! a target, a file has one link for all.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context as _, Result};
use flame_common::block::{ARGUMENTS_SHIFT, NULL_IS_MALLOC};
use flame_common::heap::Role;

use crate::bpf::{HeapPrograms, Probe, ProbeLink};
use crate::heap::{Hook, Hooks, hooks};
use crate::process::{ExecutableId, ProcessId};

/// Whose probes a link holds: those of a process, or of all (`None`).
pub(super) type Owner = Option<ProcessId>;

/// How allocators are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probing {
    /// Blocks are followed from their allocation to their end.
    Follow,
    /// Allocations alone.
    Allocations,
    /// Not at all.
    Nothing,
}

/// What the thread is told.
enum Order {
    Hook(HookFile),
    Gone(ProcessId),
    Probe(Probing),
    /// Answer when everything of before is done.
    Settle(Sender<()>),
}

/// A file that a process has mapped.
pub(super) struct HookFile {
    pub(super) owner: Owner,
    /// The process's pid; 0 for all.
    pub(super) pid: u32,
    pub(super) executable: ExecutableId,
    pub(super) file: File,
    pub(super) debug_file: Option<File>,
    /// For messages.
    pub(super) path: String,
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A file has an allocator.
    Found { executable: ExecutableId, path: String, hooks: Arc<Hooks> },
    /// The allocator of a process is probed.
    Hooked(Owner),
    /// Something did not succeed.
    Failed(String),
}

/// The thread's other end. Dropping it takes all probes away.
pub(super) struct Hooker {
    orders: Option<Sender<Order>>,
    told: Receiver<Told>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Hooker {
    /// Starts the thread.
    pub(super) fn start(programs: HeapPrograms, own: Vec<(String, Role)>) -> Result<Self> {
        let (orders, received) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let (closing, closed) = mpsc::channel();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(work).context("start a thread")
        };
        // Closing a link waits for all CPUs; the probes of new processes are not to wait for that.
        spawn("flame-unhook", Box::new(move || closed.into_iter().for_each(drop::<ProbeLink>)))?;
        let work = Work {
            programs,
            own,
            tell,
            closing,
            files: HashMap::new(),
            targets: Vec::new(),
            probing: Probing::Follow,
        };
        let thread = spawn("flame-hook", Box::new(move || work.run(&received)))?;
        Ok(Self { orders: Some(orders), told, thread: Some(thread) })
    }

    pub(super) fn hook(&self, file: HookFile) {
        self.order(Order::Hook(file));
    }

    /// A process has gone.
    pub(super) fn gone(&self, process: ProcessId) {
        self.order(Order::Gone(process));
    }

    /// Probes otherwise from now on.
    pub(super) fn probe(&self, how: Probing) {
        self.order(Order::Probe(how));
    }

    /// Waits until everything that was ordered is done.
    pub(super) fn settle(&self) {
        let (done, waited) = mpsc::channel();
        self.order(Order::Settle(done));
        // A thread that has ended has nothing left to do.
        _ = waited.recv();
    }

    /// What was told meanwhile.
    pub(super) fn told(&self) -> impl Iterator<Item = Told> {
        self.told.try_iter()
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread ends when this end is dropped, and not before.
            _ = orders.send(order);
        }
    }
}

impl Drop for Hooker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its links too.
            _ = thread.join();
        }
    }
}

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
struct Work {
    programs: HeapPrograms,
    /// The user's own functions.
    own: Vec<(String, Role)>,
    tell: Sender<Told>,
    closing: Sender<ProbeLink>,
    files: HashMap<ExecutableId, Option<Found>>,
    targets: Vec<Target>,
    probing: Probing,
}

impl Work {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Hook(file) => self.hook(file),
                Order::Gone(process) => {
                    for target in self.targets.extract_if(.., |t| t.owner == Some(process)) {
                        close(&self.closing, target.link);
                    }
                }
                Order::Probe(how) => self.probe(how),
                // Whoever waited may have gone.
                Order::Settle(done) => _ = done.send(()),
            }
        }
        self.close_all();
    }

    fn hook(&mut self, file: HookFile) {
        let HookFile { owner, pid, executable, .. } = file;
        self.files.entry(executable).or_insert_with(|| {
            let found = look(file, &self.own);
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
        let mut target = Target { owner, pid, executable, link: None };
        self.open(&mut target);
        if self.files.get(&executable).is_some_and(Option::is_some) {
            self.targets.push(target);
        }
    }

    /// Opens a target's link, as things are probed now.
    fn open(&self, target: &mut Target) {
        let Some(Some(found)) = self.files.get(&target.executable) else { return };
        let pid = (target.pid != 0).then_some(target.pid);
        let link = match self.probing {
            Probing::Follow => self.programs.follow(&found.file, &found.makes, &found.frees, pid),
            Probing::Allocations => self.programs.allocations(&found.file, &found.makes, pid),
            Probing::Nothing => return,
        };
        match link {
            Ok(link) => {
                target.link = Some(link);
                tell(&self.tell, Told::Hooked(target.owner));
            }
            // The process has gone meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => {
                let path = &found.path;
                tell(&self.tell, Told::Failed(format!("probe the allocator in {path}: {error}")));
            }
        }
    }

    fn probe(&mut self, how: Probing) {
        if how == self.probing {
            return;
        }
        self.probing = how;
        self.close_all();
        let mut targets = std::mem::take(&mut self.targets);
        for target in &mut targets {
            self.open(target);
        }
        self.targets = targets;
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
fn look(file: HookFile, own: &[(String, Role)]) -> Result<Option<(Found, Hooks)>> {
    let HookFile { file, debug_file, path, .. } = file;
    let hooks = hooks(&file, debug_file.as_ref(), own)
        .with_context(|| format!("look for an allocator in {path}"))?;
    if hooks.probed.is_empty() {
        return Ok(None);
    }
    let (makes, frees): (Vec<&Hook>, _) =
        hooks.probed.iter().partition(|hook| hook.role != Role::Free);
    let probes = |hooks: Vec<&Hook>| hooks.into_iter().map(probe).collect();
    let (makes, frees) = (probes(makes), probes(frees));
    Ok(Some((Found { file, path, makes, frees }, hooks)))
}

fn probe(hook: &Hook) -> Probe {
    let arguments = u64::from(hook.arguments.pack()) << ARGUMENTS_SHIFT;
    let null = if hook.null_is_malloc { NULL_IS_MALLOC } else { 0 };
    Probe { offset: hook.offset, cookie: hook.role as u64 | null | arguments }
}

fn close(closing: &Sender<ProbeLink>, link: Option<ProbeLink>) {
    if let Some(link) = link {
        // If that thread has ended, the link is closed here.
        _ = closing.send(link);
    }
}

fn tell(to: &Sender<Told>, told: Told) {
    // Nobody listens any more: the session ends.
    _ = to.send(told);
}
