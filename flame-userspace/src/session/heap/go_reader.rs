//! The thread that reads what Go programs know of their own heaps: now and then, since a program
//! that has ended can be read no more, and then what was read last is kept.

use std::collections::HashMap;
use std::fs::File;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::heap::go::{Cut, GoProfile, NoProfile, Variables, locate, read};
use crate::process::{ElfLayout, ExecutableId, ProcessId, ProcessMemory, state};
use crate::session::timeline::now_ns;

/// The shortest time between two readings of a program.
const SHORTEST: Duration = Duration::from_millis(100);
/// How many times longer the time between readings is than what they take.
const REST: u32 = 100;

/// A Go program that runs.
pub(super) struct Watched {
    pub(super) process: ProcessId,
    pub(super) pid: u32,
    pub(super) executable: ExecutableId,
    pub(super) file: File,
    pub(super) layout: ElfLayout,
    /// How much further than in its file the program lies in memory.
    pub(super) bias: u64,
    /// Whether it ran before the session, so that what it had allocated then is not of it.
    pub(super) was_there: bool,
}

/// What was read of a program.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// The last reading, or why there is none.
    pub(super) profile: Result<Arc<GoProfile>, String>,
    /// What of it is not of this part of the session.
    pub(super) base: Option<Arc<GoProfile>>,
    /// When it was read (`CLOCK_MONOTONIC`, nanoseconds).
    pub(super) read_ns: u64,
    /// When it was found to be readable no more.
    pub(super) gone_ns: Option<u64>,
}

type Readings = HashMap<ProcessId, Reading>;

enum Order {
    Watch(Box<Watched>),
    Forget(ProcessId),
    /// Read all now, and answer when that is done.
    Read(Sender<()>),
}

/// The thread's other end.
pub(super) struct GoReader {
    orders: Sender<Order>,
    readings: Arc<Mutex<Readings>>,
}

impl GoReader {
    /// Starts the thread. It ends when this is dropped.
    pub(super) fn start() -> Result<Self> {
        let (orders, received) = mpsc::channel();
        let readings = Arc::<Mutex<Readings>>::default();
        let reader = Reader { watched: Vec::new(), places: HashMap::new(), to: readings.clone() };
        let thread = thread::Builder::new().name("flame-go".to_owned());
        thread.spawn(move || reader.run(&received)).context("start a thread")?;
        Ok(Self { orders, readings })
    }

    pub(super) fn watch(&self, program: Watched) {
        self.order(Order::Watch(Box::new(program)));
    }

    /// The process runs another program: what was read is of one that has gone.
    pub(super) fn forget(&self, process: ProcessId) {
        self.order(Order::Forget(process));
    }

    /// Reads all once more. Every part is then counted from there.
    pub(super) fn read_now(&self) -> Readings {
        let (done, waited) = mpsc::channel();
        self.order(Order::Read(done));
        // A thread that has ended leaves what it read.
        _ = waited.recv();
        let mut readings = lock(&self.readings);
        let read = readings.clone();
        readings.retain(|_, reading| reading.gone_ns.is_none());
        for reading in readings.values_mut() {
            reading.base = reading.profile.as_ref().ok().cloned();
        }
        read
    }

    fn order(&self, order: Order) {
        // The thread ends when this end is dropped, and not before.
        _ = self.orders.send(order);
    }
}

fn lock(readings: &Mutex<Readings>) -> MutexGuard<'_, Readings> {
    // A reading is put there whole.
    readings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's state.
struct Reader {
    watched: Vec<(Watched, Variables)>,
    /// Where the runtime's variables are, by file.
    places: HashMap<ExecutableId, Variables>,
    to: Arc<Mutex<Readings>>,
}

impl Reader {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut due = Instant::now() + SHORTEST;
        loop {
            let wait = if self.watched.is_empty() {
                Duration::from_secs(3600)
            } else {
                due.saturating_duration_since(Instant::now())
            };
            match orders.recv_timeout(wait) {
                Ok(Order::Watch(program)) => self.watch(*program),
                Ok(Order::Forget(process)) => {
                    self.watched.retain(|(program, _)| program.process != process);
                    lock(&self.to).remove(&process);
                }
                Ok(Order::Read(done)) => {
                    self.read_all();
                    // Whoever waited may have gone.
                    _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {
                    let took = self.read_all();
                    due = Instant::now() + SHORTEST.max(took * REST);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn watch(&mut self, program: Watched) {
        let process = program.process;
        match self.variables(&program) {
            Ok(Some(variables)) => {
                self.watched.push((program, variables));
                self.read_one(self.watched.len() - 1);
            }
            Ok(None) => {}
            Err(error) => {
                let profile = Err(format!("its heap profile is not found: {error:#}"));
                let (read_ns, gone_ns) = (now_ns(), None);
                let reading = Reading { profile, base: None, read_ns, gone_ns };
                lock(&self.to).insert(process, reading);
            }
        }
    }

    fn variables(&mut self, program: &Watched) -> Result<Option<Variables>> {
        if let Some(known) = self.places.get(&program.executable) {
            return Ok(Some(*known));
        }
        let memory = ProcessMemory { pid: program.pid };
        let found = locate(&program.file, &program.layout, &memory, program.bias)?;
        if let Some(found) = found {
            self.places.insert(program.executable, found);
        }
        Ok(found)
    }

    /// Reads all; how long that took.
    fn read_all(&mut self) -> Duration {
        let began = Instant::now();
        for index in (0..self.watched.len()).rev() {
            if !self.read_one(index) {
                self.watched.remove(index);
            }
        }
        began.elapsed()
    }

    /// Reads one; whether it will be there to be read again.
    fn read_one(&self, index: usize) -> bool {
        let Some((program, variables)) = self.watched.get(index) else { return false };
        let pid = program.pid;
        let found = read(variables, &ProcessMemory { pid }, program.bias).map(Arc::new);
        let mut readings = lock(&self.to);
        let last = readings.get_mut(&program.process);
        let had = last.as_ref().and_then(|last| last.profile.as_ref().ok());
        // The list of stacks only grows, and what is read of it where it is too long does not:
        // anything less is another program's memory.
        let is_other = match &found {
            Ok(found) if found.cut == Some(Cut::TooMany) => false,
            Ok(found) => had.is_some_and(|had| found.records.len() < had.records.len()),
            Err(_) => had.is_some(),
        };
        let read_ns = now_ns();
        let has_gone = found.is_err() && state(pid).is_none_or(|state| "ZX".contains(state));
        match (found, last) {
            (Err(NoProfile::Unreadable), Some(last)) => {
                let has_gone = is_other || has_gone;
                last.gone_ns = has_gone.then_some(read_ns);
                return !has_gone;
            }
            (_, Some(last)) if is_other => {
                last.gone_ns = Some(read_ns);
                return false;
            }
            (found, Some(last)) => {
                last.read_ns = read_ns;
                last.profile = found.map_err(|why| why.message().to_owned());
                last.gone_ns = has_gone.then_some(read_ns);
            }
            (found, None) => {
                let base = found.as_ref().ok().filter(|_| program.was_there).cloned();
                let profile = found.map_err(|why| why.message().to_owned());
                let gone_ns = has_gone.then_some(read_ns);
                readings.insert(program.process, Reading { profile, base, read_ns, gone_ns });
            }
        }
        !has_gone
    }
}
