//! Perf maps: the names of generated code, as runtimes write them to `/tmp/perf-PID.map`.
//!
//! A line for each function, `START SIZE name`, both numbers hexadecimal
//! (tools/perf/Documentation/jit-interface.txt of the kernel's source). Later lines replace
//! earlier ones: the runtime has used the memory again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

/// The most that is read of a map, in bytes: the file is the target's, which may write what it
/// likes.
const LONGEST: u64 = 256 << 20;

/// Most functions that are kept.
const MOST_FUNCTIONS: usize = 4 << 20;

/// The functions of a map by their address.
#[derive(Debug, Default)]
pub(crate) struct PerfMap {
    /// End and name, by start.
    pub(super) functions: BTreeMap<u64, (u64, Box<str>)>,
    /// Lines that are not of the format.
    pub(crate) malformed: u64,
}

impl PerfMap {
    /// Reads a map from its start.
    pub(crate) fn read(mut file: &File) -> io::Result<Self> {
        file.rewind()?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes))
    }

    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut map = Self::default();
        // What follows the last newline is still being written.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for line in bytes[..whole].split(|&byte| byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            match parse_line(line) {
                Some((start, end, name)) if map.functions.len() < MOST_FUNCTIONS => {
                    map.insert(start, end, name);
                }
                _ => map.malformed += 1,
            }
        }
        map
    }

    fn insert(&mut self, start: u64, end: u64, name: &[u8]) {
        let over: Vec<u64> = self
            .functions
            .range(..end)
            .rev()
            .take_while(|(_, (old_end, _))| *old_end > start)
            .map(|(&at, _)| at)
            .collect();
        for at in over {
            self.functions.remove(&at);
        }
        let name = String::from_utf8_lossy(name).into_owned().into_boxed_str();
        self.functions.insert(start, (end, name));
    }

    /// The name of the function at an address.
    pub(crate) fn name(&self, address: u64) -> Option<&str> {
        let (_, (end, name)) = self.functions.range(..=address).next_back()?;
        (address < *end).then_some(name)
    }
}

fn parse_line(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let start = hexadecimal(parts.next()?)?;
    let size = hexadecimal(parts.next()?)?;
    let name = parts.next()?.trim_ascii();
    let end = start.checked_add(size)?;
    (size > 0 && !name.is_empty()).then_some((start, end, name))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_later_lines_win() {
        let map = PerfMap::parse(
            b"1000 100 LazyCompile:~f /a b.js:1:2\n0x2000 10 old\n2008 10 new\nnonsense\n3000 1 cut",
        );
        assert_eq!(map.name(0x10ff), Some("LazyCompile:~f /a b.js:1:2"));
        assert_eq!(map.name(0x1100), None);
        assert_eq!(map.name(0x2000), None, "its memory was used again");
        assert_eq!(map.name(0x2008), Some("new"));
        assert_eq!(map.name(0x3000), None, "the last line is not whole");
        assert_eq!(map.malformed, 1);
    }

    #[test]
    fn garbage_gives_no_names() {
        let garbage: Vec<u8> =
            (0..10_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(PerfMap::parse(&garbage).functions.len(), 0);
        assert_eq!(PerfMap::parse(b"ffffffffffffffff 2 x\n").malformed, 1, "it would wrap around");
    }
}
