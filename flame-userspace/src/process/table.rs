//! Who is who at a time. Fed with events and samples in the order of their times, so that an
//! address is looked up in the mappings that its process had when the sample was taken.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use super::executable::{Mapped, file_owner};
use super::mapping::{Code, Mapping, classify, insert};
use super::{
    CodeRange, Executable, ExecutableId, Executables, FileIdentity, ProcessEvent, RangeCode,
    procfs, root,
};

/// A handle of a process. A pid that is used again is another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ProcessId(u32);

/// What lies at a code address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CodeAddress {
    /// Code of a file, by the address in the file's own address space.
    Executable(ExecutableId, u64),
    /// Code that the kernel maps into each process, by offset.
    Vdso(u64),
    /// The kernel's, to which functions return whose return is probed, by offset.
    ReturnProbe(u64),
    /// Code without a file, made while its process ran.
    Generated(ProcessId, u64),
    /// An address that is in no known mapping.
    Unmapped(u64),
    /// The kernel's own code.
    Kernel(u64),
}

/// A process, alive or not.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) comm: String,
    /// The program that it runs, by its path in its own file system, if known.
    pub(crate) program: Option<PathBuf>,
    /// Names of generated code: `/tmp/perf-PID.map`, opened when it was first needed.
    pub(crate) perf_map: Option<File>,
    perf_map_sought: bool,
    mappings: BTreeMap<u64, Mapping>,
    /// Goes up with each change of the mappings.
    epoch: u32,
    /// How many files of mappings were opened since they were taken in.
    opened: u32,
    mount_namespace: Option<u64>,
    owner: Option<u32>,
    /// Whether its first thread has ended.
    ended: bool,
    /// Whether it was seen to begin, or to begin to be this program.
    pub(crate) born: bool,
}

/// The processes of a session.
#[derive(Debug)]
pub(crate) struct ProcessTable {
    processes: Vec<Process>,
    current: HashMap<u32, ProcessId>,
    executables: Executables,
    /// Whether events of processes that are not known yet matter.
    every_process: bool,
    /// Names that make a process matter when it takes one of them.
    names: HashSet<String>,
    /// Whether children of the processes are left out.
    leaves_out_children: bool,
    /// Pids whose first thread ended; to be forgotten when the process is gone.
    ended: Vec<u32>,
}

impl ProcessTable {
    /// An empty table. It follows every process, or those added, their children, and those that
    /// take one of `names`.
    pub(crate) fn new(every_process: bool, names: HashSet<String>) -> Self {
        Self {
            processes: Vec::new(),
            current: HashMap::new(),
            executables: Executables::new(),
            every_process,
            names,
            leaves_out_children: false,
            ended: Vec::new(),
        }
    }

    /// Does not follow the children of those added.
    pub(crate) fn leave_out_children(&mut self) {
        self.leaves_out_children = !self.every_process;
    }

    /// One process.
    pub(crate) fn get(&self, id: ProcessId) -> &Process {
        &self.processes[id.0 as usize]
    }

    /// The number of processes seen.
    pub(crate) fn count(&self) -> usize {
        self.processes.len()
    }

    /// One executable.
    pub(crate) fn executable(&self, id: ExecutableId) -> &Executable {
        self.executables.get(id)
    }

    /// Takes in a process that runs already, with what `/proc` says of it. One that has gone
    /// meanwhile is taken in without mappings.
    pub(crate) fn add_running(&mut self, pid: u32) -> ProcessId {
        let id = self.begin(pid, procfs::process_name(pid).unwrap_or_default());
        self.get_mut(id).program = procfs::program(pid);
        for found in procfs::code_mappings(pid).unwrap_or_default() {
            let code = classify(&found.path)
                .unwrap_or_else(|| Code::Unopened(found.path.as_path().into(), found.identity));
            self.map(id, found.start, Mapping { end: found.end, offset: found.offset, code });
        }
        id
    }

    /// The process that a sample's pid means now. `comm` is the thread's name, used where the
    /// process is not known and has gone.
    pub(crate) fn of_sample(&mut self, pid: u32, comm: &str) -> ProcessId {
        if let Some(&id) = self.current.get(&pid) {
            return id;
        }
        let id = self.add_running(pid);
        let process = self.get_mut(id);
        if process.comm.is_empty() {
            comm.clone_into(&mut process.comm);
        }
        id
    }

    /// Takes in an event.
    pub(crate) fn apply(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::Fork { pid, parent, tid } => self.fork(pid, parent, tid),
            ProcessEvent::Comm { pid, tid, comm, exec } => self.name(pid, tid, comm, exec),
            ProcessEvent::Mmap { pid, start, length, offset, path, identity } => {
                if let Some(&id) = self.current.get(&pid) {
                    let end = start.saturating_add(length);
                    let code = classify(&path).unwrap_or_else(|| {
                        // The first file that a new program maps is the program itself.
                        self.get_mut(id).program.get_or_insert_with(|| path.clone());
                        self.open_code(id, start, end, &path, &identity)
                    });
                    self.map(id, start, Mapping { end, offset, code });
                }
            }
            ProcessEvent::Exit { pid, tid } => {
                if pid == tid
                    && let Some(&id) = self.current.get(&pid)
                {
                    // Its other threads may go on: it is forgotten when it is really gone.
                    self.get_mut(id).ended = true;
                    self.ended.push(pid);
                }
            }
        }
    }

    /// Forgets the mappings of processes that have gone: these. To be called when all samples of
    /// before have been taken in.
    pub(crate) fn sweep(&mut self) -> Vec<ProcessId> {
        let mut gone = Vec::new();
        for pid in std::mem::take(&mut self.ended) {
            if Path::new(&format!("/proc/{pid}")).exists() {
                self.ended.push(pid);
            } else if let Some(&id) = self.current.get(&pid)
                && self.get(id).ended
            {
                self.current.remove(&pid);
                self.get_mut(id).mappings.clear();
                gone.push(id);
            }
        }
        gone
    }

    /// Whether a process has not been found to be gone.
    pub(crate) fn is_current(&self, id: ProcessId) -> bool {
        self.current.get(&self.get(id).pid) == Some(&id)
    }

    /// The processes that have not been found to be gone, by pid.
    pub(crate) fn current(&self) -> impl Iterator<Item = &Process> {
        let mut ids: Vec<_> = self.current.iter().collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, &id)| self.get(id))
    }

    /// The same, by handle.
    pub(crate) fn current_ids(&self) -> impl Iterator<Item = ProcessId> {
        self.current.values().copied()
    }

    /// The code of a process, in the order of addresses.
    pub(crate) fn code_ranges(&self, id: ProcessId) -> impl Iterator<Item = CodeRange> {
        self.get(id).mappings.iter().filter_map(|(&start, mapping)| {
            let code = match mapping.code {
                Code::File(executable) => {
                    let layout = &self.executables.get(executable).layout;
                    let length = mapping.end - start;
                    let address = layout.address_of_mapping(mapping.offset, length);
                    RangeCode::Executable(executable, address)
                }
                Code::Unopened(..) => RangeCode::Unopened,
                Code::Vdso => RangeCode::Vdso,
                Code::Generated => RangeCode::Generated,
                // The kernel's walk looks up who waits for the return.
                Code::ReturnProbe => return None,
            };
            Some(CodeRange { start, end: mapping.end, code })
        })
    }

    /// The process that has this pid now, if it is followed.
    pub(crate) fn current_id(&self, pid: u32) -> Option<ProcessId> {
        self.current.get(&pid).copied()
    }

    /// Whether a process of this pid is followed.
    pub(crate) fn knows(&self, pid: u32) -> bool {
        self.current.contains_key(&pid)
    }

    /// How often the mappings of a process have changed: a stack of addresses means the same as
    /// long as this stays.
    pub(crate) fn epoch(&self, id: ProcessId) -> u32 {
        self.get(id).epoch
    }

    /// How many files have been opened since their mappings were taken in: what a mapping holds
    /// may be known since this went up.
    pub(crate) fn opened(&self, id: ProcessId) -> u32 {
        self.get(id).opened
    }

    /// What lies at an address of a process.
    pub(crate) fn locate(&mut self, id: ProcessId, address: u64) -> CodeAddress {
        let process = self.get(id);
        let below = process.mappings.range(..=address).next_back();
        let Some((&start, mapping)) = below.filter(|(_, mapping)| address < mapping.end) else {
            return CodeAddress::Unmapped(address);
        };
        let Mapping { end, offset, code } = mapping.clone();
        let into = address - start;
        match code {
            Code::File(executable) => {
                let file = self.executables.get(executable);
                let address = file.address_of_offset(offset.wrapping_add(into));
                CodeAddress::Executable(executable, address)
            }
            Code::Unopened(path, identity) => {
                let code = self.open_code(id, start, end, &path, &identity);
                let process = self.get_mut(id);
                process.opened += 1;
                if let Some(mapping) = process.mappings.get_mut(&start) {
                    mapping.code = code;
                }
                self.locate(id, address)
            }
            Code::Vdso => CodeAddress::Vdso(into),
            Code::ReturnProbe => CodeAddress::ReturnProbe(into),
            Code::Generated => {
                self.seek_perf_map(id);
                CodeAddress::Generated(id, address)
            }
        }
    }

    fn get_mut(&mut self, id: ProcessId) -> &mut Process {
        &mut self.processes[id.0 as usize]
    }

    /// A new process of this pid.
    fn begin(&mut self, pid: u32, comm: String) -> ProcessId {
        let id = ProcessId(self.processes.len() as u32);
        self.processes.push(Process {
            pid,
            comm,
            program: None,
            perf_map: None,
            perf_map_sought: false,
            mappings: BTreeMap::new(),
            epoch: 0,
            opened: 0,
            mount_namespace: procfs::mount_namespace(pid),
            owner: procfs::owner(pid),
            ended: false,
            born: false,
        });
        self.current.insert(pid, id);
        id
    }

    fn fork(&mut self, pid: u32, parent: u32, tid: u32) {
        if pid != tid || pid == parent {
            return;
        }
        if !self.leaves_out_children
            && let Some(&parent) = self.current.get(&parent)
        {
            let Process { comm, program, mappings, mount_namespace, owner, .. } = self.get(parent);
            let (comm, program, mappings) = (comm.clone(), program.clone(), mappings.clone());
            let (mount_namespace, owner) = (*mount_namespace, *owner);
            let id = self.begin(pid, comm);
            let child = self.get_mut(id);
            child.born = true;
            child.program = program;
            child.mappings = mappings;
            child.mount_namespace = child.mount_namespace.or(mount_namespace);
            child.owner = child.owner.or(owner);
        } else {
            // Whoever had this pid before is not it.
            self.current.remove(&pid);
        }
    }

    fn name(&mut self, pid: u32, tid: u32, comm: String, exec: bool) {
        let known = self.current.get(&pid).copied();
        let matters = known.is_some() || self.every_process || self.names.contains(&comm);
        if !matters {
            return;
        }
        match (known, exec) {
            (Some(id), true) => {
                let process = self.get_mut(id);
                process.comm = comm;
                process.program = None;
                process.mappings.clear();
                process.epoch += 1;
                process.perf_map = None;
                process.perf_map_sought = false;
                // Another thread executed it, and the first has ended for that.
                process.ended = false;
                process.owner = procfs::owner(pid).or(process.owner);
                process.mount_namespace = procfs::mount_namespace(pid).or(process.mount_namespace);
            }
            (Some(id), false) if pid == tid => self.get_mut(id).comm = comm,
            (None, true) => {
                let id = self.begin(pid, comm);
                self.get_mut(id).born = true;
            }
            _ => {}
        }
    }

    fn map(&mut self, id: ProcessId, start: u64, mapping: Mapping) {
        let process = self.get_mut(id);
        process.epoch += 1;
        insert(&mut process.mappings, start, mapping);
    }

    /// Opens the file of a mapping. A file of memory alone may be a program, as container runtimes
    /// run themselves, or hold code that a runtime generates.
    fn open_code(
        &mut self,
        id: ProcessId,
        start: u64,
        end: u64,
        path: &Path,
        identity: &FileIdentity,
    ) -> Code {
        let Process { pid, mount_namespace, .. } = *self.get(id);
        let mapped = Mapped { pid, start, end, path, identity, mount_namespace };
        let executable = self.executables.intern(mapped);
        if path.to_string_lossy().starts_with("/memfd:") && !self.executables.is_elf(executable) {
            // Held open it would keep the memory of a process that has gone.
            self.executables.close(executable);
            return Code::Generated;
        }
        Code::File(executable)
    }

    /// Looks again for perf maps that were not there when they were first needed: some runtimes
    /// write theirs when they are asked to, or at their end.
    pub(crate) fn seek_late_perf_maps(&mut self) {
        for row in 0..self.processes.len() {
            let process = &mut self.processes[row];
            if process.perf_map_sought && process.perf_map.is_none() {
                process.perf_map_sought = false;
                self.seek_perf_map(ProcessId(row as u32));
            }
        }
    }

    /// Opens the process's perf map, once: a regular file, no link, of the process's own user.
    fn seek_perf_map(&mut self, id: ProcessId) {
        let process = self.get_mut(id);
        if process.perf_map_sought {
            return;
        }
        process.perf_map_sought = true;
        // The pid of a process that has ended may be another's by now.
        let alive = (!process.ended).then_some(process.pid);
        let inner = alive.and_then(procfs::innermost_pid).unwrap_or(process.pid);
        let path = PathBuf::from(format!("/tmp/perf-{inner}.map"));
        process.perf_map = alive
            .and_then(|pid| root::open(pid, &path, false))
            .or_else(|| root::open(std::process::id(), &path, false))
            .filter(|file| process.owner.is_some() && file_owner(file) == process.owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(pid: u32, start: u64, length: u64) -> ProcessEvent {
        ProcessEvent::Mmap {
            pid,
            start,
            length,
            offset: 0,
            path: "//anon".into(),
            identity: FileIdentity::default(),
        }
    }

    fn exec(pid: u32, comm: &str) -> ProcessEvent {
        ProcessEvent::Comm { pid, tid: pid, comm: comm.into(), exec: true }
    }

    /// A pid that no process of this machine can have.
    const PID: u32 = 1 << 30;

    #[test]
    fn a_child_has_its_parents_mappings_until_it_runs_another_program() {
        let mut table = ProcessTable::new(true, HashSet::new());
        table.apply(exec(PID, "parent"));
        table.apply(anonymous(PID, 0x1000, 0x1000));
        table.apply(ProcessEvent::Fork { pid: PID + 1, parent: PID, tid: PID + 1 });
        let child = table.of_sample(PID + 1, "");
        assert_eq!(table.get(child).comm, "parent");
        assert_eq!(table.locate(child, 0x1800), CodeAddress::Generated(child, 0x1800));
        table.apply(exec(PID + 1, "child"));
        assert_eq!(table.of_sample(PID + 1, ""), child, "exec keeps the process");
        assert_eq!(table.locate(child, 0x1800), CodeAddress::Unmapped(0x1800));
    }

    #[test]
    fn a_pid_that_is_used_again_is_another_process() {
        let mut table = ProcessTable::new(true, HashSet::new());
        table.apply(exec(PID, "first"));
        let first = table.of_sample(PID, "");
        table.apply(ProcessEvent::Exit { pid: PID, tid: PID });
        table.apply(ProcessEvent::Fork { pid: PID, parent: 1, tid: PID });
        table.apply(exec(PID, "second"));
        let second = table.of_sample(PID, "");
        assert_ne!(first, second);
        assert_eq!(table.get(first).comm, "first");
        assert_eq!(table.get(second).comm, "second");
    }

    #[test]
    fn an_ended_process_keeps_its_mappings_for_its_last_samples() {
        let mut table = ProcessTable::new(true, HashSet::new());
        table.apply(exec(PID, "p"));
        table.apply(anonymous(PID, 0x1000, 0x1000));
        table.apply(ProcessEvent::Exit { pid: PID, tid: PID });
        let id = table.of_sample(PID, "");
        assert_eq!(table.locate(id, 0x1000), CodeAddress::Generated(id, 0x1000));
        table.sweep();
        assert_ne!(table.of_sample(PID, "later"), id);
    }

    #[test]
    fn what_another_thread_than_the_first_executes_has_not_ended() {
        let mut table = ProcessTable::new(true, HashSet::new());
        table.apply(exec(PID, "before"));
        // The kernel ends the first thread for that.
        table.apply(ProcessEvent::Exit { pid: PID, tid: PID });
        table.apply(exec(PID, "after"));
        let id = table.of_sample(PID, "");
        assert!(!table.get(id).ended && table.get(id).comm == "after");
    }

    #[test]
    fn processes_that_do_not_matter_are_left_out() {
        let mut table = ProcessTable::new(false, HashSet::from(["wanted".to_owned()]));
        table.apply(exec(PID, "other"));
        assert_eq!(table.count(), 0);
        table.apply(exec(PID, "wanted"));
        assert_eq!(table.count(), 1);
    }
}
