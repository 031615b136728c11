//! The text that `perf script` prints: a line for each sample, and one for each of its frames, the
//! innermost first.
//!
//! ```text
//! python3 4711/4712 [001]  5017.326117:    1001001 cpu-clock:ppp:
//!         7f5e3c12 _PyEval_EvalFrameDefault+0x1a2 (/usr/bin/python3.11)
//!             55e0 main (inlined)
//! ```
//!
//! The process, the CPU, the period and the frames may be missing, as `perf script -F` has it. The
//! name is the thread's; that of a process is its first thread's.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{ReadError, is_skipped, lines, push, quoted};
use crate::analyze::is_kernel;
use crate::profile::{
    Builder, Function, FunctionId, Line, Location, LocationId, Mapping, MappingId, Profile,
    SampleType,
};

const FORMAT: &str = "the output of perf script";
/// The most events that a file may have columns of.
const MAX_EVENTS: usize = 32;
/// The lowest address of the kernel, on all machines of 64 bits.
const KERNEL: u64 = 0xffff_0000_0000_0000;

/// The line of a sample.
#[derive(Debug, PartialEq)]
struct Header<'a> {
    comm: &'a str,
    pid: Option<i64>,
    tid: i64,
    /// In nanoseconds.
    time: i64,
    period: Option<i64>,
    event: &'a str,
    /// The one frame, where the stack was not recorded.
    frame: &'a str,
}

/// Whether a line is that of a sample.
pub(super) fn is_header(line: &str) -> bool {
    Header::parse(line).is_some()
}

impl<'a> Header<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with([' ', '\t']) && !line.trim_start().contains(": ") {
            return None;
        }
        // The time is the first word of digits, a dot, digits and a colon.
        let (at, time) = words(line).find_map(|(at, word)| Some((at, time(word)?)))?;
        let (before, after) = (line[..at].trim(), &line[at..]);
        let after = after.split_once(':')?.1.trim_start();
        let before = match before.rsplit_once(char::is_whitespace) {
            Some((rest, cpu)) if cpu.starts_with('[') && cpu.ends_with(']') => rest.trim_end(),
            _ => before,
        };
        let (comm, ids) = before.rsplit_once(char::is_whitespace)?;
        let (pid, tid) = match ids.split_once('/') {
            Some((pid, tid)) => (Some(pid.parse().ok()?), tid.parse().ok()?),
            None => (None, ids.parse().ok()?),
        };
        let (first, rest) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        let (period, rest) = match first.parse::<i64>() {
            Ok(period) => (Some(period), rest.trim_start()),
            Err(_) => (None, after),
        };
        let (event, frame) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let event = event.strip_suffix(':')?;
        Some(Self { comm: comm.trim(), pid, tid, time, period, event, frame: frame.trim() })
    }

    /// The event without its modifiers.
    fn event(&self) -> &'a str {
        match self.event.rsplit_once(':') {
            Some((event, modifiers)) if modifiers.chars().all(|c| "ukhGHpPDSWe".contains(c)) => {
                event
            }
            _ => self.event,
        }
    }
}

fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = line.as_ptr() as usize;
    line.split_whitespace().map(move |word| (word.as_ptr() as usize - start, word))
}

/// `5017.326117:` in nanoseconds.
fn time(word: &str) -> Option<i64> {
    let (seconds, fraction) = word.strip_suffix(':')?.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// Reads the output of `perf script`.
pub(super) fn read(text: &[u8]) -> Result<Profile, ReadError> {
    let mut reader = Reader::new(text)?;
    for (number, line) in lines(text) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            reader.finish_sample(number)?;
        } else if let Some(header) = Header::parse(&line) {
            reader.finish_sample(number)?;
            reader.begin_sample(&header);
        } else if reader.open.is_some() {
            reader.frame(&line);
        } else {
            let found = format!("expected a sample, found {}", quoted(&line));
            return Err(ReadError::Text { format: FORMAT, line: number, found });
        }
    }
    reader.finish_sample(0)?;
    let Reader { mut b, first, last, .. } = reader;
    if first <= last {
        b.time(0, last - first);
    }
    b.comment("read from the output of perf script");
    Ok(b.finish())
}

/// The sample whose frames are being read.
struct Open {
    labels: crate::profile::LabelSetId,
    values: Vec<i64>,
    /// The innermost first.
    locations: Vec<LocationId>,
    /// Functions that were inlined into the next frame's.
    inlined: Vec<FunctionId>,
}

struct Reader {
    b: Builder,
    /// The columns of events.
    columns: HashMap<String, usize>,
    /// What processes are called, by pid.
    processes: HashMap<i64, String>,
    mappings: HashMap<String, MappingId>,
    open: Option<Open>,
    first: i64,
    last: i64,
}

impl Reader {
    /// A reader that knows the processes of the text, with a column for each event in it, and one
    /// for the samples.
    fn new(text: &[u8]) -> Result<Self, ReadError> {
        // The events, and whether their periods are told.
        let mut events: Vec<(String, bool)> = Vec::new();
        let mut processes = HashMap::new();
        for (line, text) in lines(text).filter(|(_, line)| !is_skipped(line)) {
            let Some(header) = Header::parse(&text) else { continue };
            name_process(&mut processes, &header);
            let event = header.event();
            if let Some((_, told)) = events.iter_mut().find(|(known, _)| known == event) {
                *told |= header.period.is_some();
                continue;
            }
            if events.len() == MAX_EVENTS {
                let found = format!("more than {MAX_EVENTS} events");
                return Err(ReadError::Text { format: FORMAT, line, found });
            }
            events.push((event.to_owned(), header.period.is_some()));
        }
        let mut types = vec![SampleType::new("samples", "count")];
        let mut columns = HashMap::new();
        for (event, told) in &events {
            // Without a period it is not known what time a sample stands for.
            let is_time = *told && matches!(event.as_str(), "cpu-clock" | "task-clock");
            let taken = types.iter().any(|t| t.kind == "cpu");
            types.push(match (is_time, taken) {
                (true, false) => SampleType::new("cpu", "nanoseconds"),
                (true, true) => SampleType::new(event, "nanoseconds"),
                (false, _) => SampleType::new(event, "count"),
            });
            columns.insert(event.clone(), types.len() - 1);
        }
        let default = usize::from(events.first().is_some_and(|(_, told)| *told));
        let b = Builder::new(types, default);
        let mappings = HashMap::new();
        let (first, last) = (i64::MAX, i64::MIN);
        Ok(Self { b, columns, processes, mappings, open: None, first, last })
    }

    fn begin_sample(&mut self, header: &Header<'_>) {
        let mut values = vec![0; self.columns.len() + 1];
        values[0] = 1;
        values[self.columns[header.event()]] = header.period.unwrap_or(1);
        let mut labels = Vec::with_capacity(4);
        if let Some(pid) = header.pid {
            labels.push(self.b.number_label("pid", pid, ""));
        }
        labels.push(self.b.number_label("tid", header.tid, ""));
        if let Some(process) = header.pid.and_then(|pid| self.processes.get(&pid)) {
            labels.push(self.b.text_label("comm", process));
        }
        labels.push(self.b.text_label("thread", header.comm));
        let labels = self.b.label_set(labels);
        self.first = self.first.min(header.time);
        self.last = self.last.max(header.time);
        self.open = Some(Open { labels, values, locations: Vec::new(), inlined: Vec::new() });
        if !header.frame.is_empty() {
            self.frame(header.frame);
        }
    }

    /// Reads `ADDRESS SYMBOL+OFFSET (FILE)`. What is something else, such as a source line, is
    /// left out.
    fn frame(&mut self, line: &str) {
        let Some(open) = &mut self.open else { return };
        let line = line.trim();
        let (address, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let Ok(address) = u64::from_str_radix(address.trim_start_matches("0x"), 16) else { return };
        let (symbol, file) = match split_file(rest.trim()) {
            Some((symbol, file)) => (symbol.trim_end(), file),
            None => (rest.trim(), ""),
        };
        let symbol = match symbol.rsplit_once("+0x") {
            Some((symbol, offset)) if offset.bytes().all(|b| b.is_ascii_hexdigit()) => symbol,
            _ => symbol,
        };
        let b = &mut self.b;
        let function = (!symbol.is_empty() && symbol != "[unknown]").then(|| {
            let (name, file) = (b.string(symbol), b.string(""));
            b.function(Function { name, system_name: name, file, start_line: 0 })
        });
        if file == "inlined" {
            open.inlined.extend(function);
            return;
        }
        let mapping = match &*module(file, address) {
            "" | "[unknown]" => None,
            file => Some(match self.mappings.get(file) {
                Some(mapping) => *mapping,
                None => {
                    let (path, build_id) = (b.string(file), b.string(""));
                    let mapping = b.mapping(Mapping {
                        start: 0,
                        limit: 0,
                        file_offset: 0,
                        path,
                        build_id,
                        has_functions: true,
                        has_filenames: false,
                        has_line_numbers: false,
                        has_inline_frames: true,
                    });
                    self.mappings.insert(file.to_owned(), mapping);
                    mapping
                }
            }),
        };
        let functions = open.inlined.drain(..).chain(function);
        let lines = functions.map(|function| Line { function, line: 0, column: 0 }).collect();
        open.locations.push(b.location(Location { mapping, address, lines }));
    }

    fn finish_sample(&mut self, line: usize) -> Result<(), ReadError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let error = |found: String| ReadError::Text { format: FORMAT, line, found };
        let mut stack = None;
        for &location in open.locations.iter().rev() {
            stack = Some(push(&mut self.b, stack, location, error)?);
        }
        self.b.sample(stack, open.labels, &open.values);
        Ok(())
    }
}

/// Notes what the process of a sample is called: as its first thread is in its last sample, when it
/// may have become another program; or as another thread, where the first has no sample.
fn name_process(processes: &mut HashMap<i64, String>, header: &Header<'_>) {
    let Some(pid) = header.pid else { return };
    let name = processes.entry(pid).or_insert_with(|| header.comm.to_owned());
    if pid == header.tid {
        header.comm.clone_into(name);
    }
}

/// What a frame's file is called, so that the kernel's are known for what they are: perf writes its
/// modules as `[name]`, and of the kernel itself the file that it read the symbols from, if it did.
fn module(file: &str, address: u64) -> Cow<'_, str> {
    if address < KERNEL || is_kernel(file) || matches!(file, "" | "[unknown]" | "[vsyscall]") {
        return Cow::Borrowed(file);
    }
    match file.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) if !name.starts_with("bpf") => Cow::Owned(format!("{name}.ko")),
        _ => Cow::Borrowed("[kernel.kallsyms]"),
    }
}

/// A symbol and the file in parentheses after it. Symbols have parentheses too.
fn split_file(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix(')')?;
    let at = [" (/", " (["].iter().find_map(|start| inner.rfind(start));
    let at = at.or_else(|| inner.rfind(" ("));
    match at {
        Some(at) => Some((&inner[..at], &inner[at + 2..])),
        None => inner.strip_prefix('(').map(|file| ("", file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_all_their_forms() {
        let header = |line: &'static str| Header::parse(line).unwrap_or_else(|| panic!("{line}"));
        let full = header("Web Content  12/34 [001]  5017.326117:    1001001 cpu-clock:ppp: ");
        assert_eq!((full.comm, full.pid, full.tid), ("Web Content", Some(12), 34));
        assert_eq!((full.time, full.period), (5_017_326_117_000, Some(1_001_001)));
        assert_eq!((full.event(), full.frame), ("cpu-clock", ""));
        let bare = header("swapper     0  1.5: sched:sched_switch: ");
        assert_eq!((bare.comm, bare.pid, bare.tid, bare.period), ("swapper", None, 0, None));
        assert_eq!((bare.event(), bare.time), ("sched:sched_switch", 1_500_000_000));
        let flat = header(":-1 7 [000] 1.000000: 5 cycles:u:  7f00 memcpy (/lib/libc.so.6)");
        assert_eq!((flat.event(), flat.frame), ("cycles", "7f00 memcpy (/lib/libc.so.6)"));
        for line in ["", "main;f 17", "\t7f00 f+0x1 (/bin/x)", "a b c", "a 1 [000] x: y:"] {
            assert_eq!(Header::parse(line), None, "{line}");
        }
    }

    #[test]
    fn where_no_period_is_told_samples_are_counted() {
        let types = |profile: &Profile| -> Vec<(String, String)> {
            let types = profile.sample_types().iter();
            types.map(|t| (t.kind.clone(), t.unit.name().to_owned())).collect()
        };
        let shown =
            |profile: &Profile| profile.sample_types()[profile.default_sample_type()].clone();
        let frame = "\t1 f (/bin/x)\n\n";
        let bare = format!("x 1/1 1.5: cpu-clock:ppp:\n{frame}x 1/1 1.6: cpu-clock:ppp:\n{frame}");
        let bare = read(bare.as_bytes()).expect("samples");
        assert!(types(&bare).contains(&("cpu-clock".into(), "count".into())), "{:?}", types(&bare));
        assert_eq!((shown(&bare).kind.as_str(), bare.total(0)), ("samples", 2));
        let told = format!("x 1/1 1.5: 1001001 cpu-clock:ppp:\n{frame}");
        let told = read(told.as_bytes()).expect("samples");
        assert_eq!((shown(&told).kind.as_str(), told.total(1)), ("cpu", 1_001_001));
    }

    #[test]
    fn processes_are_called_as_their_first_threads_are() {
        let text = "\
pool-1 12/14 1.1: cycles:\n\t1 f (/bin/x)\n
sh 12/12 1.2: cycles:\n\t1 f (/bin/x)\n
app 12/12 1.3: cycles:\n\t1 f (/bin/x)\n
pool-2 12/15 1.4: cycles:\n\t1 f (/bin/x)\n
one 20/21 1.5: cycles:\n\t1 f (/bin/x)\n
two 20/22 1.6: cycles:\n\t1 f (/bin/x)\n
bare 30 1.7: cycles:\n\t1 f (/bin/x)\n";
        let profile = read(text.as_bytes()).expect("samples");
        let labels = profile.samples().map(|sample| {
            let number = |key| profile.number_label(sample.labels, key);
            let text = |key| profile.text_label(sample.labels, key);
            (number("pid"), number("tid"), text("comm"), text("thread"))
        });
        assert_eq!(
            labels.collect::<Vec<_>>(),
            [
                (Some(12), Some(14), Some("app"), Some("pool-1")),
                (Some(12), Some(12), Some("app"), Some("sh")),
                (Some(12), Some(12), Some("app"), Some("app")),
                (Some(12), Some(15), Some("app"), Some("pool-2")),
                (Some(20), Some(21), Some("one"), Some("one")),
                (Some(20), Some(22), Some("one"), Some("two")),
                (None, Some(30), None, Some("bare")),
            ]
        );
    }

    #[test]
    fn the_kernels_modules_are_known_for_what_they_are() {
        let high = 0xffff_ffff_c012_3456;
        for (file, expected) in [
            ("[nf_conntrack]", "nf_conntrack.ko"),
            ("/lib/modules/6.1/kernel/net/x.ko.xz", "/lib/modules/6.1/kernel/net/x.ko.xz"),
            ("/usr/lib/debug/boot/vmlinux-6.1.0", "[kernel.kallsyms]"),
            ("[bpf]", "[kernel.kallsyms]"),
            ("[vsyscall]", "[vsyscall]"),
            ("[unknown]", "[unknown]"),
        ] {
            assert_eq!(module(file, high), expected);
            assert_eq!(module(file, 0x7f00_0000_1000), file, "at an address of user space");
        }
    }

    #[test]
    fn symbols_with_parentheses_and_deleted_files_are_split() {
        assert_eq!(split_file("f(int) (/bin/a b)"), Some(("f(int)", "/bin/a b")));
        assert_eq!(split_file("x (/tmp/y (deleted))"), Some(("x", "/tmp/y (deleted)")));
        assert_eq!(split_file("main (inlined)"), Some(("main", "inlined")));
        assert_eq!(
            split_file("[unknown] ([kernel.kallsyms])"),
            Some(("[unknown]", "[kernel.kallsyms]"))
        );
        assert_eq!(split_file("([unknown])"), Some(("", "[unknown]")));
        assert_eq!(split_file("f(int)"), None);
    }
}
