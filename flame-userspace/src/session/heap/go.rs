//! The heaps of Go programs: which processes have one, and what of their readings gets into the
//! profile.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::go_reader::{GoReader, Reading, Watched};
use crate::aggregate::Key;
use crate::heap::go::GoBlocks;
use crate::heap::{ClosedLedger, HeapRow};
use crate::process::{CodeAddress, ExecutableId, ProcessId, ProcessTable, parent, reopened};
use crate::profile::Unit;
use crate::symbolize::{Names, Symbol};

/// The Go programs among the targets.
pub(super) struct GoHeaps {
    reader: GoReader,
    programs: HashMap<ProcessId, Program>,
    /// Processes that began to run another program during the session.
    began: HashSet<ProcessId>,
    /// Programs of this part beyond the most that are read.
    unread: u64,
}

/// The most Go programs that are read in a part of a session.
const MOST: usize = 512;
/// The most that are told of one by one.
const MOST_TOLD: usize = 5;

/// Where a program lies in memory.
#[derive(Debug, Clone, Copy)]
struct Program {
    pid: u32,
    executable: ExecutableId,
    bias: u64,
}

impl GoHeaps {
    pub(super) fn start() -> Result<Self> {
        let reader = GoReader::start()?;
        Ok(Self { reader, programs: HashMap::new(), began: HashSet::new(), unread: 0 })
    }

    /// A process has mapped a file, whose first address is at `start`. `at_start`: the session
    /// begins.
    pub(super) fn maps(
        &mut self,
        process: ProcessId,
        (executable, address): (ExecutableId, u64),
        start: u64,
        at_start: bool,
        processes: &ProcessTable,
    ) {
        let found = processes.executable(executable);
        if found.layout.go.is_none() || self.programs.contains_key(&process) {
            return;
        }
        let pid = processes.get(process).pid;
        if !at_start && self.is_copy(process, pid, executable) {
            return;
        }
        if self.programs.len() >= MOST {
            self.unread += 1;
            return;
        }
        let Some(Ok(file)) = found.file.as_ref().map(reopened) else { return };
        let bias = start.wrapping_sub(address);
        self.programs.insert(process, Program { pid, executable, bias });
        let layout = found.layout.clone();
        let was_there = at_start && !self.began.contains(&process);
        self.reader.watch(Watched { process, pid, executable, file, layout, bias, was_there });
    }

    /// Whether a process is on its way from a Go program to another: until then it has a copy of
    /// its parent's memory.
    fn is_copy(&self, process: ProcessId, pid: u32, executable: ExecutableId) -> bool {
        let is_parent = |program: &Program| {
            program.executable == executable && parent(pid) == Some(program.pid)
        };
        !self.began.contains(&process) && self.programs.values().any(is_parent)
    }

    /// A process runs another program.
    pub(super) fn exec(&mut self, process: ProcessId) {
        self.began.insert(process);
        if self.programs.remove(&process).is_some() {
            self.reader.forget(process);
        }
    }

    /// What the programs know, at the end of a part. Names are wanted for its addresses.
    pub(super) fn close(&mut self, processes: &ProcessTable) -> GoPart {
        let mut part = GoPart::default();
        let mut readings: Vec<(ProcessId, Reading)> = self.reader.read_now().into_iter().collect();
        readings.sort_unstable_by_key(|(process, _)| *process);
        for (process, reading) in readings {
            let Some(&program) = self.programs.get(&process) else { continue };
            if reading.gone_ns.is_some() {
                self.programs.remove(&process);
            }
            part.add(process, program, &reading, processes);
        }
        part.shorten(std::mem::take(&mut self.unread));
        part
    }
}

/// What Go programs know of a part of a session.
#[derive(Debug, Default)]
pub(super) struct GoPart {
    rows: Vec<Row>,
    /// Processes that are Go programs, whether they know something or not.
    pub(super) processes: HashSet<ProcessId>,
    pub(super) comments: Vec<String>,
    pub(super) notes: Vec<String>,
    /// Mean bytes between samples, if it is the same of all.
    pub(super) interval: Option<u64>,
}

/// Blocks of a stack.
#[derive(Debug)]
struct Row {
    process: ProcessId,
    /// Innermost first. Each inlined call has an address of its own.
    stack: Vec<CodeAddress>,
    blocks: GoBlocks,
}

impl GoPart {
    /// Whether a program told something.
    pub(super) fn knows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Adds the bytes in use by process.
    pub(super) fn add_in_use(&self, sums: &mut HashMap<ProcessId, f64>) {
        for row in &self.rows {
            *sums.entry(row.process).or_default() += row.blocks.in_use.space.value;
        }
    }

    /// The addresses to be named.
    pub(super) fn addresses(&self) -> impl Iterator<Item = CodeAddress> {
        self.rows.iter().flat_map(|row| row.stack.iter().copied())
    }

    fn add(&mut self, id: ProcessId, program: Program, reading: &Reading, of: &ProcessTable) {
        self.processes.insert(id);
        let process = of.get(id);
        let name = format!("{} (pid {})", process.comm, process.pid);
        let profile = match &reading.profile {
            Ok(profile) => profile,
            Err(why) => {
                self.notes.push(format!("{name}: {why}"));
                return;
            }
        };
        let layout = &of.executable(program.executable).layout;
        let place = |address: &u64| {
            // A return address: the call lies before it.
            let at = address.wrapping_sub(program.bias).wrapping_sub(1);
            match layout.code_segment(at) {
                Some(_) => CodeAddress::Executable(program.executable, at),
                None => CodeAddress::Unmapped(*address),
            }
        };
        for blocks in profile.since(reading.base.as_deref()) {
            let stack = blocks.stack.iter().map(place).collect();
            self.rows.push(Row { process: id, stack, blocks });
        }
        self.interval =
            Some(profile.rate).filter(|rate| self.interval.is_none_or(|known| known == *rate));
        self.comments.push(format!(
            "Go: {name} samples its own heap, one allocation each {}{} on average; its records were read from its memory, {}; allocated: since {}; in use: all there is, whenever allocated; both as of the last finished garbage collection",
            Unit::Bytes.format(profile.rate as i64),
            if profile.is_rate_assumed { " (Go's default: its own rate is not known)" } else { "" },
            when(reading),
            if reading.base.is_some() { "the recording began" } else { "it began" },
        ));
        self.notes.push(format!("{name}: Go's own heap profile, {}", when(reading)));
        if profile.is_rate_assumed {
            self.notes.push(format!(
                "{name}: how densely it samples is not known: its numbers hold if that is Go's default"
            ));
        }
        if let Some(cut) = profile.cut {
            self.notes.push(format!("{name}: not all of Go's records were read: {cut}"));
        }
    }

    /// Keeps what is told to some lines, however many programs there are.
    fn shorten(&mut self, unread: u64) {
        for lines in [&mut self.comments, &mut self.notes] {
            if lines.len() > MOST_TOLD {
                let more = lines.split_off(MOST_TOLD).len();
                lines.push(format!("Go: {more} more lines of other programs"));
            }
        }
        if unread > 0 {
            self.notes.push(format!("{unread} more Go programs than flame reads were left out"));
        }
    }

    /// Puts the stacks together, now that it is known how many calls are inlined at an address,
    /// and adds them to the books.
    pub(super) fn settle(&mut self, names: &Names, books: &mut ClosedLedger) {
        let symbols = |at: &CodeAddress| names.get(*at);
        let inlines = self.addresses().any(|address| names.get(address).len() > 1);
        for Row { process, stack, blocks } in self.rows.drain(..) {
            let stack = callers(&folded(&stack, symbols, inlines), symbols);
            let row = HeapRow {
                allocated: blocks.allocated,
                in_use: blocks.in_use,
                ..HeapRow::default()
            };
            books.add_known(process, &stack, row, blocks.samples);
        }
    }
}

/// When a program was read last.
fn when(reading: &Reading) -> String {
    match reading.gone_ns {
        Some(gone_ns) => format!(
            "last read {:.2} s before it was found to have ended",
            gone_ns.saturating_sub(reading.read_ns) as f64 / 1e9
        ),
        None => "read at the end".to_owned(),
    }
}

/// A stack with each address once: where n functions are at an address, the n - 1 behind it tell
/// the outer ones again. Where inlined calls are not known, a function behind itself is taken for
/// one that tells itself again.
fn folded<'a>(
    stack: &[CodeAddress],
    symbols: impl Fn(&CodeAddress) -> &'a [Symbol],
    inlines: bool,
) -> Vec<CodeAddress> {
    let mut folded: Vec<CodeAddress> = Vec::new();
    let mut rest = stack.iter();
    while let Some(address) = rest.next() {
        let here = symbols(address);
        let again = folded.last().is_some_and(|last| {
            let before = symbols(last).first().map(|symbol| &symbol.name);
            !inlines && before.is_some() && before == here.first().map(|symbol| &symbol.name)
        });
        if again {
            continue;
        }
        folded.push(*address);
        for _ in 1..here.len() {
            rest.next();
        }
    }
    folded
}

/// A stack without the runtime's own innermost functions, as Go's own profiles have it.
fn callers<'a>(
    stack: &[CodeAddress],
    symbols: impl Fn(&CodeAddress) -> &'a [Symbol],
) -> Vec<CodeAddress> {
    let is_runtime = |address: &&CodeAddress| {
        let here = symbols(address);
        !here.is_empty() && here.iter().all(|symbol| symbol.name.starts_with("runtime."))
    };
    let own = stack.iter().take_while(is_runtime).count();
    if own == stack.len() { stack.to_vec() } else { stack[own..].to_vec() }
}

/// The bytes in use by process.
pub(super) fn in_use(rows: &HashMap<Key, HeapRow>) -> HashMap<ProcessId, f64> {
    let mut sums = HashMap::new();
    for (key, row) in rows {
        *sums.entry(key.process).or_default() += row.in_use.space.value;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(address: u64) -> CodeAddress {
        CodeAddress::Unmapped(address)
    }

    #[test]
    fn inlined_calls_are_told_once_and_the_runtimes_own_are_left_out() {
        let names: HashMap<CodeAddress, Vec<Symbol>> = [
            (at(1), vec![Symbol::named("runtime.mallocgc")]),
            (at(2), vec![Symbol::named("main.inner"), Symbol::named("main.outer")]),
            (at(3), vec![Symbol::named("main.outer")]),
            (at(4), vec![Symbol::named("main.main")]),
            (at(5), vec![Symbol::named("runtime.main")]),
        ]
        .into();
        let symbols = |at: &CodeAddress| names.get(at).map_or(&[][..], Vec::as_slice);
        let stack = [1, 2, 3, 4, 5].map(at);
        let folded_stack = folded(&stack, symbols, true);
        assert_eq!(folded_stack, [1, 2, 4, 5].map(at));
        assert_eq!(callers(&folded_stack, symbols), [2, 4, 5].map(at));
        assert_eq!(callers(&[at(1), at(5)], symbols), [at(1), at(5)]);
    }

    #[test]
    fn where_inlined_calls_are_not_known_a_function_behind_itself_is_one() {
        let symbols = [Symbol::named("main.f")];
        let of = |_: &CodeAddress| &symbols[..];
        assert_eq!(folded(&[at(1), at(2), at(3)], of, false), [at(1)]);
        assert_eq!(folded(&[at(1), at(2), at(3)], of, true).len(), 3);
    }
}
