//! The symbolizer's thread: takes requests, answers with names.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use super::native::Native;
use super::texts::Texts;
use super::{Names, Symbol, apart};
use crate::memory;
use crate::process::{CodeAddress, ExecutableId, ProcessId};
use crate::runtime::perf_map::PerfMap;

/// How long the files of a request may take together. One takes two minutes at most, and anybody may
/// have made very many that do.
const LONGEST: Duration = Duration::from_secs(600);

/// Addresses to name, each once, with the files to look in.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) files: Vec<FileRequest>,
    pub(crate) vdso: Vec<u64>,
    pub(crate) kernel: Vec<u64>,
    pub(crate) generated: Vec<GeneratedRequest>,
    /// What is not asked for, and why: one line each.
    pub(crate) problems: Vec<String>,
}

/// Addresses of one executable.
#[derive(Debug)]
pub(crate) struct FileRequest {
    pub(crate) executable: ExecutableId,
    /// What to call it in messages.
    pub(crate) name: String,
    pub(crate) file: File,
    /// A separate debug file, asked first: it tells lines as well. The file itself is asked where
    /// that has no name.
    pub(crate) debug_file: Option<File>,
    pub(crate) addresses: Vec<u64>,
    /// What else is known of functions, by address, where the files have no name.
    pub(crate) functions: HashMap<u64, KnownFunction>,
}

/// A function that no symbol tells of.
#[derive(Debug)]
pub(crate) struct KnownFunction {
    /// Where it begins, in the file's address space.
    pub(crate) start: u64,
    pub(crate) name: Option<String>,
}

/// Addresses of code that a process generated.
#[derive(Debug)]
pub(crate) struct GeneratedRequest {
    pub(crate) process: ProcessId,
    pub(crate) perf_map: File,
    pub(crate) addresses: Vec<u64>,
}

/// A handle of the symbolizer's thread, which ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Symbolizer {
    requests: mpsc::Sender<(Request, oneshot::Sender<Names>)>,
}

impl Symbolizer {
    /// Starts the thread. `inlined` functions are frames of their own, or not.
    pub(crate) fn start(inlined: bool) -> Result<Self> {
        let (requests, inbox) = mpsc::channel::<(Request, oneshot::Sender<Names>)>();
        thread::Builder::new()
            .name("flame-symbols".into())
            .spawn(move || {
                let worker = Worker::new(inlined);
                for (request, reply) in inbox {
                    // Nobody waits any more if the session was dropped meanwhile.
                    _ = reply.send(worker.answer(request));
                }
            })
            .context("start the symbolizer's thread")?;
        Ok(Self { requests })
    }

    /// Names addresses. What cannot be read is told in the answer and costs its names alone.
    pub(crate) async fn names(&self, request: Request) -> Result<Names> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send((request, reply));
        sent.ok().context("reach the symbolizer's thread")?;
        answer.await.context("wait for the symbolizer's answer")
    }
}

/// What is told of files, or of others, that were left out for want of time.
fn too_long(left_out: usize, what: &str) -> Option<String> {
    let minutes = LONGEST.as_secs() / 60;
    (left_out > 0).then(|| {
        format!(
            "no names from {left_out} {what}: reading the symbols of others took {minutes} minutes"
        )
    })
}

struct Worker {
    inlined: bool,
    vdso: Option<File>,
}

impl Worker {
    fn new(inlined: bool) -> Self {
        let vdso = crate::process::vdso();
        Self { inlined, vdso }
    }

    fn answer(&self, request: Request) -> Names {
        let mut names = Names { problems: request.problems, ..Names::default() };
        let began = Instant::now();
        let mut left_out = 0;
        for of in request.files {
            if began.elapsed() > LONGEST {
                left_out += 1;
            } else {
                self.in_file(of, &mut names);
            }
        }
        names.problems.extend(too_long(left_out, "files"));
        if let Some(vdso) = &self.vdso
            && !request.vdso.is_empty()
        {
            let found = self.guard(|native| native.in_file(vdso, &request.vdso, &mut names.texts));
            names.add("the vDSO", &request.vdso, CodeAddress::Vdso, found);
        }
        if !request.kernel.is_empty() {
            let found = self.guard(|native| native.in_kernel(&request.kernel, &mut names.texts));
            names.add("the kernel", &request.kernel, CodeAddress::Kernel, found);
        }
        let mut left_out = 0;
        for GeneratedRequest { process, perf_map, addresses } in request.generated {
            if began.elapsed() > LONGEST {
                left_out += 1;
                continue;
            }
            let found = PerfMap::read(&perf_map).context("read the perf map").map(|map| {
                let name = |address| map.name(address).map(Symbol::named);
                addresses.iter().map(|&address| name(address).into_iter().collect()).collect()
            });
            let place = |address| CodeAddress::Generated(process, address);
            names.add("generated code", &addresses, place, found);
        }
        names.problems.extend(too_long(left_out, "perf maps"));
        // Nobody adds to them any more.
        names.texts = Texts::default();
        names
    }

    fn in_file(&self, of: FileRequest, names: &mut Names) {
        let FileRequest { executable, name, file, debug_file, addresses, functions } = of;
        let place = |address| CodeAddress::Executable(executable, address);
        let debug_file = debug_file.map(|debug| (format!("the debug file of {name}"), debug));
        for (name, file) in debug_file.into_iter().chain([(name, file)]) {
            let unnamed = |address: &u64| names.get(place(*address)).is_empty();
            let rest: Vec<u64> = addresses.iter().copied().filter(unnamed).collect();
            let found = self.of_file(&file, &rest, &mut names.texts);
            names.add(&name, &rest, place, found);
        }
        names.add_known(functions, place);
        memory::trim();
    }

    /// The functions at addresses of a file that anybody may have made.
    fn of_file(
        &self,
        file: &File,
        addresses: &[u64],
        texts: &mut Texts,
    ) -> Result<Vec<Vec<Symbol>>> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        if apart::is_enabled() {
            return apart::in_file(self.inlined, file, addresses);
        }
        self.guard(|native| native.in_file(file, addresses, texts))
    }

    /// Runs a look-up on this thread; should it panic, its names alone are
    /// lost. Each starts with a fresh symbolizer: one that is kept holds all that it has read of
    /// every file, and the debug information of a whole machine's programs is large.
    fn guard(
        &self,
        look_up: impl FnOnce(&Native) -> Result<Vec<Vec<Symbol>>>,
    ) -> Result<Vec<Vec<Symbol>>> {
        let native = Native::new(self.inlined);
        catch_unwind(AssertUnwindSafe(|| look_up(&native)))
            .unwrap_or_else(|_| anyhow::bail!("the file's symbols are damaged"))
    }
}

impl Names {
    fn add(
        &mut self,
        source: &str,
        addresses: &[u64],
        place: impl Fn(u64) -> CodeAddress,
        found: Result<Vec<Vec<Symbol>>>,
    ) {
        match found {
            Ok(found) => {
                for (&address, symbols) in addresses.iter().zip(found) {
                    if !symbols.is_empty() {
                        self.symbols.insert(place(address), symbols);
                    }
                }
            }
            Err(error) => self.problems.push(format!("no names from {source}: {error:#}")),
        }
    }
}

impl Names {
    /// Adds what is known of functions without a name.
    fn add_known(
        &mut self,
        functions: HashMap<u64, KnownFunction>,
        place: impl Fn(u64) -> CodeAddress,
    ) {
        for (address, function) in functions {
            if !self.get(place(address)).is_empty() {
                continue;
            }
            match function.name {
                Some(name) => _ = self.symbols.insert(place(address), vec![Symbol::named(&name)]),
                None => _ = self.starts.insert(place(address), function.start),
            }
        }
    }
}
