//! From sums of addresses to a profile with names.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;

use super::quality::Quality;
use super::values::Values;
use super::{UnnamedFile, advice};
use crate::aggregate::{Aggregate, Key, Stack};
use crate::process::{CodeAddress, ExecutableId, ProcessId, ProcessTable, Segment, hex, reopened};
use crate::profile::{
    Builder, Function, LabelSetId, Line, Location, LocationId, Mapping, MappingId, Profile,
    SampleType, StackId, without_errors,
};
use crate::symbolize::{FileRequest, GeneratedRequest, KnownFunction, Names, Request, Symbol};
use crate::unwind::Unwinder;

/// What a profile says of its session besides the samples.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) sample_types: Vec<SampleType>,
    pub(super) default: usize,
    pub(super) period_type: SampleType,
    pub(super) period: i64,
    pub(super) start_ns: i64,
    pub(super) duration_ns: i64,
    pub(super) comments: Vec<String>,
    /// Rows that are flame's own cost, and are labelled so.
    pub(super) cost: HashSet<Key>,
}

/// What a function of a file without a name is called, by where it begins.
pub(super) fn nameless(file: &str, start: u64) -> String {
    format!("[{file}+{start:#x}]")
}

/// The last part of a file's path.
pub(super) fn file_name(processes: &ProcessTable, id: ExecutableId) -> String {
    let path = &processes.executable(id).path;
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The addresses of a sum that want names. Files that cannot be opened once more cost their names
/// alone.
pub(super) fn request(sum: &Aggregate, processes: &ProcessTable, unwinder: &Unwinder) -> Request {
    let addresses: BTreeSet<CodeAddress> = sum.stacks.addresses().iter().copied().collect();
    let mut files: HashMap<ExecutableId, Vec<u64>> = HashMap::new();
    let mut generated: HashMap<ProcessId, Vec<u64>> = HashMap::new();
    let mut request = Request::default();
    for address in addresses {
        match address {
            CodeAddress::Executable(id, address) => files.entry(id).or_default().push(address),
            CodeAddress::Generated(id, address) => generated.entry(id).or_default().push(address),
            CodeAddress::Vdso(offset) => request.vdso.push(offset),
            CodeAddress::Kernel(address) => request.kernel.push(address),
            CodeAddress::ReturnProbe(_) | CodeAddress::Unmapped(_) => {}
        }
    }
    let mut unopened = Vec::new();
    for (executable, addresses) in files {
        let found = processes.executable(executable);
        match found.file.as_ref().map(reopened) {
            Some(Ok(file)) => request.files.push(FileRequest {
                executable,
                name: found.path.display().to_string(),
                file,
                debug_file: found.debug_file.as_ref().and_then(|file| reopened(file).ok()),
                functions: functions(unwinder, executable, processes, &addresses),
                addresses,
            }),
            Some(Err(error)) => unopened.push(error),
            None => {}
        }
    }
    for (process, addresses) in generated {
        match processes.get(process).perf_map.as_ref().map(File::try_clone) {
            Some(Ok(perf_map)) => {
                request.generated.push(GeneratedRequest { process, perf_map, addresses });
            }
            Some(Err(error)) => unopened.push(error),
            None => {}
        }
    }
    request.problems.extend(note_unopened(&unopened));
    request
}

/// Tells of files that could not be opened once more, all in one line: at the limit of open files
/// they may be thousands.
fn note_unopened(errors: &[io::Error]) -> Option<String> {
    let first = errors.first()?;
    Some(format!("no names from {} files that could not be opened again: {first}", errors.len()))
}

/// What unwind tables know of functions: where they begin, and the names that Go keeps there.
fn functions(
    unwinder: &Unwinder,
    executable: ExecutableId,
    processes: &ProcessTable,
    addresses: &[u64],
) -> HashMap<u64, KnownFunction> {
    let known = unwinder.functions(executable, processes, addresses).into_iter();
    known.map(|(address, start, name)| (address, KnownFunction { start, name })).collect()
}

/// Adds to `quality` what has no name, and what would give it one.
pub(super) fn judge_names(
    sum: &Aggregate,
    processes: &ProcessTable,
    names: &Names,
    quality: &mut Quality,
) {
    let mut sampled = BTreeSet::new();
    // Samples that each frame is innermost of, then all that it is on.
    let mut counts = vec![0u64; sum.stacks.frames().len()];
    for (key, (count, _)) in &sum.sums {
        sampled.insert(key.process);
        if let Some(innermost) = key.stack {
            counts[innermost as usize] += count;
        }
    }
    let generated = in_generated_code(sum, names, &counts);
    let mut files: HashMap<ExecutableId, u64> = HashMap::new();
    let mut unmapped = 0;
    for (at, (caller, address)) in sum.stacks.frames().enumerate().rev() {
        let count = counts[at];
        if let Some(caller) = caller {
            counts[caller as usize] += count;
        }
        quality.frames += count;
        if !names.get(address).is_empty() {
            continue;
        }
        quality.unnamed += count;
        match address {
            CodeAddress::Executable(id, _) => *files.entry(id).or_default() += count,
            CodeAddress::Unmapped(_) => unmapped += count,
            _ => {}
        }
    }
    quality.processes = sampled.len() as u64;
    quality.generated = generated.values().sum();
    quality.unnamed_files = unnamed_files(files, processes);
    note_generated(generated, processes, quality);
    if unmapped > 0 {
        quality.notes.push(format!("{unmapped} frames lie in no known mapping"));
    }
    quality.notes.extend(names.problems.iter().cloned());
}

/// The samples on whose stacks is generated code without a name, by the process whose it is;
/// `counts` are those that each frame is innermost of.
fn in_generated_code(sum: &Aggregate, names: &Names, counts: &[u64]) -> HashMap<ProcessId, u64> {
    let mut samples = HashMap::new();
    let mut within: Vec<Option<ProcessId>> = Vec::with_capacity(counts.len());
    for ((caller, address), count) in sum.stacks.frames().zip(counts) {
        let process = match address {
            CodeAddress::Generated(process, _) if names.get(address).is_empty() => Some(process),
            _ => caller.and_then(|caller| within[caller as usize]),
        };
        within.push(process);
        if let Some(process) = process {
            *samples.entry(process).or_default() += count;
        }
    }
    samples.retain(|_, count| *count > 0);
    samples
}

/// The files with most unnamed frames, at most this many.
const MOST_FILES: usize = 10;

fn unnamed_files(files: HashMap<ExecutableId, u64>, processes: &ProcessTable) -> Vec<UnnamedFile> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_key(|&(id, frames)| (std::cmp::Reverse(frames), id));
    files.truncate(MOST_FILES);
    let stripped = |&(id, _): &(ExecutableId, u64)| {
        let found = processes.executable(id);
        (found.file.is_some() && !found.layout.has_symbols)
            .then_some((found.path.as_path(), found.layout.build_id.as_deref()))
    };
    let mut for_stripped =
        advice::for_files(&files.iter().filter_map(stripped).collect::<Vec<_>>()).into_iter();
    let unnamed = |(id, frames)| {
        let executable = processes.executable(id);
        let advice = match (&executable.file, executable.layout.has_symbols) {
            (None, _) => "the file could not be opened".to_owned(),
            (Some(_), true) => "its symbols do not cover this code".to_owned(),
            (Some(_), false) => for_stripped.next().unwrap_or_default(),
        };
        let build_id = executable.layout.build_id.as_deref().map(hex).unwrap_or_default();
        UnnamedFile { path: executable.path.clone(), build_id, frames, advice }
    };
    files.into_iter().map(unnamed).collect()
}

fn note_generated(
    generated: HashMap<ProcessId, u64>,
    processes: &ProcessTable,
    quality: &mut Quality,
) {
    let mut by_program: HashMap<(&str, &str), u64> = HashMap::new();
    for (id, samples) in generated {
        let process = processes.get(id);
        let advice = advice::for_generated_code(process.program.as_deref());
        *by_program.entry((&process.comm, advice)).or_default() += samples;
    }
    let mut rows: Vec<_> = by_program.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    rows.retain(|(_, samples)| samples * 1000 >= quality.samples);
    for ((comm, advice), samples) in rows {
        let share = super::quality::percent(samples, quality.samples);
        quality.notes.push(format!(
            "{share} of samples are in generated code of {comm} that has no names; {advice}"
        ));
    }
}

/// The profile of a sum's stacks and these values, or of one process of it.
pub(super) fn profile(
    (sum, values): (&Aggregate, &Values<'_>),
    processes: &ProcessTable,
    names: &Names,
    frame: &Frame,
    only: Option<ProcessId>,
) -> Profile {
    let mut assembly = Assembly::new(sum, processes, names, frame);
    for comment in &frame.comments {
        // The errors are those of all processes.
        let kept = if only.is_some() { without_errors(comment) } else { comment };
        if !kept.is_empty() {
            assembly.builder.comment(kept);
        }
    }
    let wanted = |key: &Key| only.is_none_or(|process| key.process == process);
    assembly.map_main_program(|| values.keys().iter().copied().filter(|key| wanted(key)));
    for (key, values) in values.rows().filter(|(key, _)| wanted(key)) {
        let stack = assembly.stack(key.stack);
        let labels = assembly.labels(key, frame.cost.contains(key));
        assembly.builder.sample(Some(stack), labels, values);
    }
    assembly.builder.finish()
}

struct Assembly<'a> {
    sum: &'a Aggregate,
    processes: &'a ProcessTable,
    names: &'a Names,
    builder: Builder,
    /// The profile's stacks by the sum's frames, as far as they were needed.
    stacks: HashMap<u32, StackId>,
    locations: HashMap<CodeAddress, LocationId>,
}

impl<'a> Assembly<'a> {
    fn new(
        sum: &'a Aggregate,
        processes: &'a ProcessTable,
        names: &'a Names,
        frame: &Frame,
    ) -> Self {
        let mut builder = Builder::new(frame.sample_types.clone(), frame.default);
        builder.period(frame.period_type.clone(), frame.period);
        builder.time(frame.start_ns, frame.duration_ns);
        let (stacks, locations) = (HashMap::new(), HashMap::new());
        Self { sum, processes, names, builder, stacks, locations }
    }

    /// Puts the program of the process with most samples first among the mappings, as readers of
    /// pprof expect.
    fn map_main_program<'k, Keys: Iterator<Item = &'k Key>>(&mut self, keys: impl Fn() -> Keys) {
        let mut counts: HashMap<ProcessId, u64> = HashMap::new();
        for key in keys() {
            *counts.entry(key.process).or_default() +=
                self.sum.sums.get(key).map_or(0, |sum| sum.0);
        }
        let Some((&main, _)) =
            counts.iter().max_by_key(|&(&id, &count)| (count, std::cmp::Reverse(id)))
        else {
            return;
        };
        let program = self.processes.get(main).program.as_deref();
        let sum = self.sum;
        let own = keys().filter(|key| key.process == main);
        let mut addresses = own.flat_map(|key| sum.stacks.of(key.stack));
        let in_program = addresses.find(|address| match address {
            CodeAddress::Executable(id, _) => {
                Some(self.processes.executable(*id).path.as_path()) == program
            }
            _ => false,
        });
        if let Some(CodeAddress::Executable(id, address)) = in_program {
            self.file_mapping(id, address);
        }
    }

    fn labels(&mut self, key: &Key, is_cost: bool) -> LabelSetId {
        let process = self.processes.get(key.process);
        let mut labels = vec![self.builder.number_label("pid", process.pid.into(), "")];
        let thread = (key.tid != 0).then_some(&key.thread);
        if thread.is_some() {
            labels.push(self.builder.number_label("tid", key.tid.into(), ""));
        }
        labels.push(self.builder.text_label("comm", &process.comm));
        if let Some(thread) = thread {
            labels.push(self.builder.text_label("thread", thread));
        }
        if is_cost {
            labels.push(self.builder.text_label("cost", "flame"));
        }
        if key.guesses > 0 {
            labels.push(self.builder.number_label("guessed_frames", key.guesses.into(), ""));
        }
        if let Some(end) = key.cut {
            labels.push(self.builder.text_label("stack_end", end.meaning()));
        }
        self.builder.label_set(labels)
    }

    fn stack(&mut self, stack: Stack) -> StackId {
        let Some(innermost) = stack else {
            // Some readers of pprof leave out samples without a stack, and with them their time.
            let location = self.frameless();
            return self.builder.push_frame(None, location);
        };
        // Out to a frame that the profile has already, and in again.
        let frames = &self.sum.stacks;
        let (mut new, mut at) = (Vec::new(), stack);
        while let Some(frame) = at.filter(|frame| !self.stacks.contains_key(frame)) {
            new.push(frame);
            at = frames.frame(frame).0;
        }
        let mut caller = at.map(|frame| self.stacks[&frame]);
        for frame in new.into_iter().rev() {
            let location = self.location(frames.frame(frame).1);
            let stack = self.builder.push_frame(caller, location);
            self.stacks.insert(frame, stack);
            caller = Some(stack);
        }
        self.stacks[&innermost]
    }

    fn location(&mut self, address: CodeAddress) -> LocationId {
        if let Some(&location) = self.locations.get(&address) {
            return location;
        }
        let (mapping, place) = match address {
            CodeAddress::Executable(id, address) => (Some(self.file_mapping(id, address)), address),
            CodeAddress::Vdso(offset) => (Some(self.named_mapping("[vdso]", VDSO)), offset),
            CodeAddress::Kernel(address) => {
                (Some(self.named_mapping("[kernel.kallsyms]", KERNEL)), address)
            }
            CodeAddress::Generated(_, address) => {
                (Some(self.named_mapping("[generated code]", USER)), address)
            }
            CodeAddress::ReturnProbe(offset) => {
                (Some(self.named_mapping("[uprobes]", USER)), offset)
            }
            CodeAddress::Unmapped(address) => (None, address),
        };
        let names = self.names;
        let mut lines: Vec<Line> =
            names.get(address).iter().map(|symbol| self.line(symbol)).collect();
        if let (CodeAddress::Executable(id, _), Some(start)) = (address, names.start(address)) {
            lines.push(self.nameless(id, start));
        }
        if let CodeAddress::ReturnProbe(_) = address {
            lines.push(self.named("[return probe]"));
        }
        let location = self.builder.location(Location { mapping, address: place, lines });
        self.locations.insert(address, location);
        location
    }

    /// What stands for the stack of a sample without frames: a kernel thread, with the kernel
    /// left out.
    fn frameless(&mut self) -> LocationId {
        let line = self.named("[no frames]");
        self.builder.location(Location { mapping: None, address: 0, lines: vec![line] })
    }

    /// A name alone.
    fn named(&mut self, name: &str) -> Line {
        let name = self.builder.string(name);
        let file = self.builder.string("");
        let function = Function { name, system_name: name, file, start_line: 0 };
        Line { function: self.builder.function(function), line: 0, column: 0 }
    }

    fn line(&mut self, symbol: &Symbol) -> Line {
        let function = Function {
            name: self.builder.string(&symbol.name),
            system_name: self.builder.string(&symbol.system_name),
            file: self.builder.string(&symbol.file),
            start_line: 0,
        };
        Line {
            function: self.builder.function(function),
            line: symbol.line.into(),
            column: symbol.column.into(),
        }
    }

    /// A function without a name, told by where it begins, so that its samples add up.
    fn nameless(&mut self, id: ExecutableId, start: u64) -> Line {
        let name = nameless(&file_name(self.processes, id), start);
        self.named(&name)
    }

    /// The mapping of the part of an executable that an address lies in, in the file's own
    /// address space: processes map it at different places, and it is one in the profile.
    fn file_mapping(&mut self, id: ExecutableId, address: u64) -> MappingId {
        let executable = self.processes.executable(id);
        let segment = executable.layout.code_segment(address);
        let (start, limit, file_offset) = segment.map_or((0, u64::MAX, 0), pages_of);
        let path = executable.path.to_string_lossy().into_owned();
        let build_id = executable.layout.build_id.as_deref().map(hex).unwrap_or_default();
        self.mapping(start, limit, file_offset, &path, &build_id)
    }

    fn named_mapping(&mut self, name: &str, (start, limit): (u64, u64)) -> MappingId {
        self.mapping(start, limit, 0, name, "")
    }

    fn mapping(
        &mut self,
        start: u64,
        limit: u64,
        file_offset: u64,
        path: &str,
        build_id: &str,
    ) -> MappingId {
        let mapping = Mapping {
            start,
            limit,
            file_offset,
            path: self.builder.string(path),
            build_id: self.builder.string(build_id),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        };
        self.builder.mapping(mapping)
    }
}

/// The pages that a segment is mapped by: their start and end in the file's address space, and
/// their offset in the file. A segment may be said to lie anywhere.
fn pages_of(segment: Segment) -> (u64, u64, u64) {
    /// Size of a page: what mappings start at.
    const PAGE: u64 = 4096;
    let Segment { address, offset, length, .. } = segment;
    let lead = address % PAGE;
    let limit = address.saturating_add(length).checked_next_multiple_of(PAGE);
    (address - lead, limit.unwrap_or(u64::MAX), offset.saturating_sub(lead))
}

/// Where the vDSO lies, by offset in it.
const VDSO: (u64, u64) = (0, 0x10000);
/// Where the kernel's code and its modules' lie: the upper half of the address space.
const KERNEL: (u64, u64) = (0xffff_8000_0000_0000, u64::MAX);
/// Where a process's own code can lie.
const USER: (u64, u64) = (0x1000, 1 << 56);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_may_lie_anywhere() {
        let pages = |address, offset, length| {
            pages_of(Segment { address, offset, length, executable: true })
        };
        assert_eq!(pages(0x1_2bc0, 0x1_1bc0, 0x9000), (0x1_2000, 0x1_c000, 0x1_1000));
        assert_eq!(pages(0x1000, 0x1000, 0), (0x1000, 0x1000, 0x1000));
        assert_eq!(pages(u64::MAX - 5, 7, 4), (u64::MAX - 0xfff, u64::MAX, 0));
        assert_eq!(pages(0x1001, 0, u64::MAX), (0x1000, u64::MAX, 0));
    }

    #[test]
    fn files_that_cannot_be_opened_are_counted_in_one_line() {
        assert_eq!(note_unopened(&[]), None);
        let errors = [libc::EMFILE, libc::EMFILE].map(io::Error::from_raw_os_error);
        let note = note_unopened(&errors).expect("a note");
        assert!(note.contains("2 files") && note.contains("Too many open files"), "{note}");
    }
}
