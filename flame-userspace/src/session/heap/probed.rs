//! Which files of which processes are probed.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;

use super::Heap;
use super::prober::HookFile;
use crate::process::{CodeAddress, ProcessId, ProcessTable, RangeCode, reopened};

impl Heap {
    /// Has the files probed that processes have mapped since the last time.
    pub(super) fn probe_new(&mut self, processes: &mut ProcessTable, at_start: bool) {
        let current: HashSet<ProcessId> = processes.current_ids().collect();
        let gone: Vec<ProcessId> =
            self.looked.keys().filter(|id| !current.contains(id)).copied().collect();
        for process in gone {
            self.looked.remove(&process);
            self.asked.retain(|(owner, _)| *owner != Some(process));
            self.probed.retain(|(owner, ..), _| *owner != Some(process));
            self.exit(process);
            self.prober.gone(process, processes.get(process).pid);
        }
        for process in current {
            let epoch = processes.epoch(process);
            if self.looked.insert(process, epoch) != Some(epoch) {
                self.probe_files(process, processes, at_start);
            }
        }
        if std::mem::take(&mut self.threads_ended) {
            self.prober.looked();
        }
    }

    /// Takes in that these processes have gone. Who lived between two looks for files to probe has
    /// blocks as well: the kernel programs and the links of files that all share know it.
    pub(in crate::session) fn swept(&mut self, gone: &[ProcessId]) {
        for &process in gone {
            if !self.looked.contains_key(&process) {
                self.exit(process);
            }
        }
    }

    fn probe_files(&mut self, process: ProcessId, processes: &mut ProcessTable, at_start: bool) {
        let owner = (!self.every_process).then_some(process);
        let pid = if self.every_process { 0 } else { processes.get(process).pid };
        let is_born = !self.every_process && processes.get(process).born;
        let is_target = self.cgroups.is_empty() || self.cgroups.hold(processes.get(process).pid);
        if is_target {
            self.residency.add(process);
        }
        let ranges: Vec<_> = processes.code_ranges(process).collect();
        for range in ranges {
            let (executable, address) = match range.code {
                RangeCode::Executable(executable, address) => (executable, address),
                RangeCode::Unopened => match processes.locate(process, range.start) {
                    CodeAddress::Executable(executable, address) => (executable, Some(address)),
                    _ => continue,
                },
                RangeCode::Vdso | RangeCode::Generated => continue,
            };
            if is_target {
                self.unseen.maps(process, executable);
            }
            if let Some(address) = address.filter(|_| is_target) {
                let place = (executable, address);
                self.go.maps(process, place, range.start, at_start, processes);
            }
            if !self.asked.insert((owner, executable)) {
                continue;
            }
            let found = processes.executable(executable);
            let Some(Ok(file)) = found.file.as_ref().map(reopened) else {
                continue;
            };
            let Ok(meta) = file.metadata() else { continue };
            let inode = (owner, meta.dev(), meta.ino());
            if let Some(before) = self.probed.insert(inode, executable) {
                // It was written anew in its place: its probes would be hit twice, or where they do
                // not belong.
                self.prober.rewritten(owner, before);
            }
            let debug_file = found.debug_file.as_ref().and_then(|file| reopened(file).ok());
            let path = found.path.display().to_string();
            self.prober.hook(HookFile { owner, pid, is_born, executable, file, debug_file, path });
        }
    }
}
