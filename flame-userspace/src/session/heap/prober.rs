//! The handle of the thread that puts probes into allocators, and what the two tell each other.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context as _, Result};

use super::busy::Busy;
use super::governor::{Governor, Probing};
use super::links::Links;
use super::work::Work;
use crate::bpf::{HeapPrograms, HeapSwitch, TrapClock};
use crate::heap::{Hooks, OwnFunction, Price, Window};
use crate::process::{ExecutableId, ProcessId};
use crate::session::cgroups::Cgroups;

/// Whose probes a link holds: those of a process, or of all (`None`).
pub(super) type Owner = Option<ProcessId>;

/// What the thread is told.
pub(super) enum Order {
    Hook(HookFile),
    /// A file is not what it was when it was hooked.
    Rewritten(Owner, ExecutableId),
    /// A process of this pid has gone.
    Gone(ProcessId, u32),
    /// A thread of a process has ended, which had used so much CPU time.
    ThreadEnded {
        pid: u32,
        cpu_ns: u64,
    },
    /// All processes have been looked at of which threads have ended.
    Looked,
    /// Mean bytes between two samples.
    Interval(u64),
    /// End the stratum of windows that is open.
    EndStratum,
    /// Take all probes away.
    Close,
    /// Answer when everything of before is done.
    Settle(Sender<()>),
}

/// A file that a process has mapped.
pub(super) struct HookFile {
    pub(super) owner: Owner,
    /// The process's pid; 0 for all.
    pub(super) pid: u32,
    /// Whether the process began under the session.
    pub(super) is_born: bool,
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
    /// A file has these of the functions that the user named.
    Own(Vec<String>),
    /// Something did not succeed.
    Failed(String),
    /// From this time on (`CLOCK_MONOTONIC`, nanoseconds) allocators are probed so, because of what was
    /// used, at this price of a hit as far as it is known.
    Probing { at_ns: u64, how: Probing, busy: Busy, price_ns: f64 },
    /// A window was open up to this time, and what the targets did about it, if that is known.
    Window { end_ns: u64, window: Option<Window> },
    /// A stratum of windows ended, in which this work (nanoseconds of CPU time) was done; and what
    /// a hit costs without its sample, if a contrast told it.
    Stratum { end_ns: u64, work_ns: f64, told: Option<Price> },
    /// What the probes cost up to now.
    Cost(Cost),
}

/// What the probes of a session cost, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    /// Hits of probes.
    pub(super) hits: f64,
    /// Nanoseconds of CPU time for a hit.
    pub(super) price_ns: f64,
    /// CPU time of the targets that the clock of traps took, in nanoseconds.
    pub(super) clock_ns: f64,
    /// CPU time of the targets, in nanoseconds, the probes' time in it.
    pub(super) cpu_ns: f64,
    /// The longest that it took to put probes in and to take them out, in nanoseconds of time.
    pub(super) attach_ns: f64,
    pub(super) detach_ns: f64,
}

/// The thread's other end. Dropping it takes all probes away.
pub(super) struct Prober {
    orders: Option<Sender<Order>>,
    told: Receiver<Told>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Prober {
    /// Starts the thread.
    pub(super) fn start(
        programs: HeapPrograms,
        own: Vec<OwnFunction>,
        switch: HeapSwitch,
        clock: TrapClock,
        governor: Governor,
        interval: u64,
        cgroups: Cgroups,
    ) -> Result<Self> {
        let (orders, received) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let links = Links::new(programs, own, tell.clone());
        let work = Work::new(links, switch, clock, governor, interval, cgroups, tell)?;
        let thread = thread::Builder::new().name("flame-probe".to_owned());
        let thread = thread.spawn(move || work.run(&received)).context("start a thread")?;
        Ok(Self { orders: Some(orders), told, thread: Some(thread) })
    }

    /// A handle of no thread: nothing is probed.
    pub(super) fn none() -> Self {
        let (_, told) = mpsc::channel();
        Self { orders: None, told, thread: None }
    }

    pub(super) fn hook(&self, file: HookFile) {
        self.order(Order::Hook(file));
    }

    /// A file that was hooked is not what it was.
    pub(super) fn rewritten(&self, owner: Owner, executable: ExecutableId) {
        self.order(Order::Rewritten(owner, executable));
    }

    /// A process has gone.
    pub(super) fn gone(&self, process: ProcessId, pid: u32) {
        self.order(Order::Gone(process, pid));
    }

    /// A thread of a process has ended.
    pub(super) fn thread_ended(&self, pid: u32, cpu_ns: u64) {
        self.order(Order::ThreadEnded { pid, cpu_ns });
    }

    /// All processes have been looked at of which threads have ended.
    pub(super) fn looked(&self) {
        self.order(Order::Looked);
    }

    /// Samples at another interval, in bytes, from now on.
    pub(super) fn interval(&self, bytes: u64) {
        self.order(Order::Interval(bytes));
    }

    /// Ends the stratum of windows that is open, and waits for it.
    pub(super) fn end_stratum(&self) {
        self.order(Order::EndStratum);
        self.settle();
    }

    /// Takes all probes away, and waits until they are.
    pub(super) fn close(&self) {
        self.order(Order::Close);
        self.settle();
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

impl Drop for Prober {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its links too.
            _ = thread.join();
        }
    }
}

/// Tells the other end.
pub(super) fn tell(to: &Sender<Told>, told: Told) {
    // Nobody listens any more: the session ends.
    _ = to.send(told);
}
