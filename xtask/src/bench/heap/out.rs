//! How long probes stay in a process once flame is told to end, as seen from outside: by the text in
//! its memory, beside that of the files that it maps.

use std::fmt;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::bench::interval::middle;
use crate::bench::profiler::{self, Place, Target};
use crate::bench::programs::Prepared;

/// How long probes may take to come, or to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a round is under probes before it ends.
const UNDER_PROBES: Duration = Duration::from_millis(300);

/// From the signal to the last original byte, in milliseconds, of each round.
#[derive(Debug)]
pub(in crate::bench) struct Out {
    name: &'static str,
    took: Vec<f64>,
}

/// Attaches to a program that is at work and ends, `rounds` times, every allocation's probe armed.
pub(in crate::bench) fn measure(program: &Prepared, place: &Place, rounds: usize) -> Result<Out> {
    let mut process = program.start(1)?;
    process.release()?;
    // It has its libraries by then.
    sleep(UNDER_PROBES);
    let text = Text::of(process.pid())?;
    ensure!(text.changed()?.is_none(), "the text of {} is not its files'", program.program.name);
    let mut out = Out { name: program.program.name, took: Vec::new() };
    for _ in 0..rounds {
        let target = Target::Pids(vec![process.pid()]);
        let flame = place
            .attach_flame(&["--type", "heap", "--heap-mode", "exact"], &target)?
            .target_ended()?;
        let start = Instant::now();
        while text.changed()?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "flame puts no probe into {}", out.name);
            sleep(Duration::from_millis(1));
        }
        sleep(UNDER_PROBES);
        let probed = text.changed()?.context("the probes are in")?;
        let told = Instant::now();
        flame.interrupt()?;
        while text.is_changed(&probed)? {
            ensure!(told.elapsed() < PATIENCE, "probes stay in {}", out.name);
        }
        out.took.push(told.elapsed().as_secs_f64() * 1e3);
        flame.wait()?;
        profiler::tidy(&place.folder);
        ensure!(text.changed()?.is_none(), "something of flame stays in {}", out.name);
    }
    Ok(out)
}

/// The text of a process as its files have it.
struct Text {
    memory: File,
    /// Where each mapping begins, and its bytes.
    mappings: Vec<(u64, Vec<u8>)>,
}

impl Text {
    fn of(pid: u32) -> Result<Self> {
        let memory = File::open(format!("/proc/{pid}/mem")).context("open the program's memory")?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("read its mappings")?;
        let mut mappings = Vec::new();
        for Mapping { addresses, offset, path } in maps.lines().filter_map(mapping) {
            let mut bytes = vec![0; (addresses.end - addresses.start) as usize];
            let file = File::open(path).with_context(|| format!("open {path}"))?;
            // The last page of a file may be shorter than the mapping's, whose rest is zero.
            let mut done = 0;
            while done < bytes.len() {
                let read = file.read_at(&mut bytes[done..], offset + done as u64)?;
                if read == 0 {
                    break;
                }
                done += read;
            }
            mappings.push((addresses.start, bytes));
        }
        ensure!(!mappings.is_empty(), "process {pid} maps no text");
        Ok(Self { memory, mappings })
    }

    /// From the first to the last byte that is not the file's.
    fn changed(&self) -> Result<Option<Range<u64>>> {
        let mut all: Option<Range<u64>> = None;
        for (start, bytes) in &self.mappings {
            if let Some(found) = self.changed_in(*start, bytes)? {
                let first = all.as_ref().map_or(found.start, |all| all.start.min(found.start));
                let end = all.as_ref().map_or(found.end, |all| all.end.max(found.end));
                all = Some(first..end);
            }
        }
        Ok(all)
    }

    /// Whether a byte of these is not the file's.
    fn is_changed(&self, range: &Range<u64>) -> Result<bool> {
        for (start, bytes) in &self.mappings {
            let end = start + bytes.len() as u64;
            let (from, to) = (range.start.max(*start), range.end.min(end));
            if from < to {
                let bytes = &bytes[(from - start) as usize..(to - start) as usize];
                if self.changed_in(from, bytes)?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn changed_in(&self, start: u64, bytes: &[u8]) -> Result<Option<Range<u64>>> {
        let mut now = vec![0; bytes.len()];
        self.memory.read_exact_at(&mut now, start).context("read the program's text")?;
        let differ = |(a, b): (&u8, &u8)| a != b;
        let first = now.iter().zip(bytes).position(differ);
        let last = now.iter().zip(bytes).rposition(differ);
        Ok(first.zip(last).map(|(first, last)| start + first as u64..start + last as u64 + 1))
    }
}

/// A file's text in a process.
struct Mapping<'a> {
    addresses: Range<u64>,
    offset: u64,
    path: &'a str,
}

/// One of a line of `/proc/PID/maps`, if it is of a file's text.
fn mapping(line: &str) -> Option<Mapping<'_>> {
    let (head, path) = line.split_once('/')?;
    let path = &line[line.len() - path.len() - 1..];
    let mut words = head.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_text = words.next()?.contains('x');
    let number = |word| u64::from_str_radix(word, 16).ok();
    let (addresses, offset) = (number(start)?..number(end)?, number(words.next()?)?);
    is_text.then_some(Mapping { addresses, offset, path })
}

impl fmt::Display for Out {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.took.iter().copied().fold(0.0, f64::max);
        writeln!(
            out,
            "From Ctrl-C until the text of {} is its files' again, every allocation's probe armed \
             before: {:.1} ms in the median of {} rounds, {most:.1} ms at most. Aim: 100 ms.",
            self.name,
            middle(self.took.iter().copied()),
            self.took.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_text_is_found_among_the_mappings() {
        let line = "7f10-7f30 r-xp 00001000 fe:00 12   /usr/lib/a b.so";
        let found = mapping(line).expect("text");
        assert_eq!(
            (found.addresses, found.offset, found.path),
            (0x7f10..0x7f30, 0x1000, "/usr/lib/a b.so")
        );
        assert!(mapping("7f10-7f30 r--p 00001000 fe:00 12 /usr/lib/a.so").is_none());
        assert!(mapping("7f10-7f30 r-xp 00000000 00:00 0 [vdso]").is_none());
    }

    #[test]
    fn changed_text_is_seen() {
        let mut text = Text::of(std::process::id()).expect("our own text");
        assert_eq!(text.changed().expect("compare"), None);
        let (start, bytes) = &mut text.mappings[0];
        bytes[3] ^= 1;
        bytes[7] ^= 1;
        let range = *start + 3..*start + 8;
        assert_eq!(text.changed().expect("compare"), Some(range.clone()));
        assert!(text.is_changed(&range).expect("compare"));
        assert!(!text.is_changed(&(range.start + 1..range.start + 4)).expect("compare"));
    }
}
