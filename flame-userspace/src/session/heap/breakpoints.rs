//! Whether probes are in a process, by what is in its memory: the kernel says nothing when it has
//! taken them out.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use crate::process::{Memory as _, ProcessMemory, code_mappings};

/// What the kernel puts in the place of an instruction's first byte (`UPROBE_SWBP_INSN`).
const BREAKPOINT: u8 = 0xcc;

/// The places of a process where probes were put.
pub(super) struct Breakpoints {
    memory: ProcessMemory,
    addresses: Vec<u64>,
}

impl Breakpoints {
    /// Those of these offsets of a file that the process has mapped; none if it has gone.
    pub(super) fn of(pid: u32, file: &File, offsets: impl Iterator<Item = u64>) -> Self {
        let inode = file.metadata().map_or(0, |about| about.ino());
        let mut mappings = code_mappings(pid).unwrap_or_default();
        // Which device a file is on is not told alike everywhere.
        mappings.retain(|mapping| mapping.identity.inode == inode);
        let is_other = |offset: &u64| {
            let mut byte = [BREAKPOINT];
            file.read_exact_at(&mut byte, *offset).is_ok() && byte != [BREAKPOINT]
        };
        let places = |offset: u64| {
            mappings.iter().filter_map(move |mapping| {
                let address = mapping.start.checked_add(offset.checked_sub(mapping.offset)?)?;
                (address < mapping.end).then_some(address)
            })
        };
        let addresses = offsets.filter(is_other).flat_map(places).collect();
        Self { memory: ProcessMemory { pid }, addresses }
    }

    /// Whether one of them is there.
    pub(super) fn are_there(&self) -> bool {
        self.addresses.iter().any(|&address| {
            let mut byte = [0];
            self.memory.read(address, &mut byte) == 1 && byte == [BREAKPOINT]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::own_file_offset;

    #[test]
    fn breakpoints_are_seen_where_the_file_has_none() {
        let code = breakpoints_are_seen_where_the_file_has_none as *const () as u64;
        let offset = own_file_offset(code).expect("own code");
        let file = File::open("/proc/self/exe").expect("own program");
        let of = |pid| Breakpoints::of(pid, &file, std::iter::once(offset));
        let own = of(std::process::id());
        assert_eq!(own.addresses, [code]);
        assert!(!own.are_there());
        let byte = Box::new(BREAKPOINT);
        let address = &raw const *byte as u64;
        assert!(Breakpoints { addresses: vec![code, address], ..own }.are_there());
        assert!(of(0).addresses.is_empty(), "no such process");
    }
}
