//! What of the targets' heaps cannot be seen, and why: found out when a part ends, by what their
//! files hold.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::heap::{Allocator, Explained, Hooks, Object, Runtime, choose, traces};
use crate::process::{ExecutableId, ProcessId, ProcessTable};

/// The files of the processes.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    mapped: HashMap<ProcessId, BTreeSet<ExecutableId>>,
    hooks: HashMap<ExecutableId, Arc<Hooks>>,
    traces: HashMap<ExecutableId, Vec<Allocator>>,
}

impl Unseen {
    /// A process has mapped a file.
    pub(super) fn maps(&mut self, process: ProcessId, executable: ExecutableId) {
        self.mapped.entry(process).or_default().insert(executable);
    }

    /// A process runs another program.
    pub(super) fn exec(&mut self, process: ProcessId) {
        self.mapped.remove(&process);
    }

    /// A part ended, and these have been told of: who has ended has nothing more to tell.
    pub(super) fn leave_ended(&mut self, processes: &ProcessTable) {
        self.mapped.retain(|&process, _| processes.is_current(process));
    }

    /// A file has an allocator.
    pub(super) fn found(&mut self, executable: ExecutableId, hooks: &Arc<Hooks>) {
        self.hooks.insert(executable, Arc::clone(hooks));
    }

    /// What is not seen, a sentence each. `go` are Go programs, which tell of their heaps
    /// themselves; `grows` tells whether the profile has who made processes grow.
    pub(super) fn sentences(
        &mut self,
        go: &HashSet<ProcessId>,
        explained: &[(ProcessId, Explained)],
        grows: bool,
        processes: &ProcessTable,
    ) -> Vec<String> {
        let mut sentences: BTreeSet<String> = self.of_runtimes(explained, grows, processes);
        let mut seen = HashSet::new();
        for (&process, files) in &self.mapped {
            if !seen.insert(files) {
                continue;
            }
            let program = processes.get(process).program.as_deref();
            let objects: Vec<Object> = files
                .iter()
                .map(|id| {
                    let executable = processes.executable(*id);
                    let is_program = program == Some(executable.path.as_path());
                    let traces = if is_program {
                        let search = || executable.file.as_ref().map(traces).unwrap_or_default();
                        self.traces.entry(*id).or_insert_with(search).clone()
                    } else {
                        Vec::new()
                    };
                    Object {
                        path: executable.path.clone(),
                        is_program,
                        has_symbols: executable.layout.has_symbols
                            || executable.debug_file.is_some(),
                        hooks: self
                            .hooks
                            .get(id)
                            .map(|hooks| (**hooks).clone())
                            .unwrap_or_default(),
                        traces,
                    }
                })
                .collect();
            let comm = &processes.get(process).comm;
            match choose(&objects) {
                Ok(choice) => sentences.extend(choice.unseen),
                Err(_) if go.contains(&process) => {}
                Err(cannot) => {
                    sentences
                        .insert(format!("nothing of {comm}'s heap is known: {}", cannot.reason));
                }
            }
        }
        sentences.into_iter().collect()
    }

    /// The heaps of language runtimes, once a program.
    fn of_runtimes(
        &self,
        explained: &[(ProcessId, Explained)],
        grows: bool,
        processes: &ProcessTable,
    ) -> BTreeSet<String> {
        let mut told = HashSet::new();
        let mut sentences = BTreeSet::new();
        for (&id, files) in &self.mapped {
            let process = processes.get(id);
            let paths = files.iter().map(|file| processes.executable(*file).path.as_path());
            let program = process.program.as_deref().into_iter();
            for runtime in Runtime::of_files(program.chain(paths)) {
                if !told.insert((&process.comm, runtime)) {
                    continue;
                }
                let share = explained.iter().find(|(of, _)| *of == id);
                let share = share.map_or_else(String::new, |(_, share)| format!(" ({share})"));
                let message = runtime.message(grows);
                sentences.insert(format!("{}: {message}{share}", process.comm));
            }
        }
        sentences
    }
}
