//! Whether a stack reaches its root, judged from the ELF files that its outermost frame lies in,
//! and not from what flame says of it.
//!
//! A root is code whose unwind information says that its return address is undefined, the code at
//! which a program begins to run, or one of the functions without unwind information that are known
//! to be the first of a stack: Go's, and musl's for a thread.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use gimli::{
    BaseAddresses, EhFrame, EndianSlice, LittleEndian, Register, RegisterRule, UnwindContext,
    UnwindSection as _,
};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::seen::{Frame, Stack};

/// The kernel's frames have this as their mapping.
const KERNEL: &str = "[kernel.kallsyms]";
/// The return address among DWARF's registers of x86-64.
const RETURN_ADDRESS: Register = Register(16);
/// How far the code goes with which a program without unwind information for it begins.
const ENTRY: u64 = 64;
/// Functions that nobody calls, in files that say nothing of them. Go: of a goroutine, of a
/// thread, of the program, and those that leave a goroutine for the scheduler's stack for good.
const NAMES: [&str; 8] = [
    "runtime.goexit",
    "runtime.mstart",
    "runtime.rt0_go",
    "runtime.mcall",
    "runtime.morestack",
    "gogo",
    "_rt0_amd64",
    "__clone",
];

/// What a stack's outermost frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outermost<'a> {
    /// A root.
    Root,
    /// There is no user frame: the program has no memory yet, or no more.
    NoUserStack,
    /// Something else: the stack is cut.
    Cut(&'a Frame),
}

/// Judges stacks; keeps what it reads of files.
#[derive(Debug, Default)]
pub struct Judge {
    files: HashMap<String, Option<File>>,
    roots: HashMap<(String, u64), bool>,
}

/// What is known of an ELF file.
#[derive(Debug)]
struct File {
    eh_frame: Vec<u8>,
    address: u64,
    /// Start, end and offset of each entry, by start.
    entries: Vec<(u64, u64, usize)>,
    program_entry: u64,
    /// Start, length and name of each function, by start.
    functions: Vec<(u64, u64, String)>,
}

impl Judge {
    /// What the outermost frame of a stack is.
    pub fn outermost<'s>(&mut self, stack: &'s Stack) -> Outermost<'s> {
        let Some(frame) = stack.frames.iter().find(|frame| frame.mapping != KERNEL) else {
            return Outermost::NoUserStack;
        };
        let key = (frame.mapping.clone(), frame.address);
        if let Some(&is_root) = self.roots.get(&key) {
            return if is_root { Outermost::Root } else { Outermost::Cut(frame) };
        }
        let file = self.files.entry(frame.mapping.clone()).or_insert_with(|| {
            let path = Path::new(&frame.mapping);
            path.is_absolute().then(|| File::read(path)).flatten()
        });
        let is_root = file.as_ref().is_some_and(|file| file.is_root(frame.address));
        self.roots.insert(key, is_root);
        if is_root { Outermost::Root } else { Outermost::Cut(frame) }
    }
}

impl File {
    fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let elf = ElfFile64::<object::LittleEndian>::parse(&*bytes).ok()?;
        let section = elf.section_by_name(".eh_frame");
        let address = section.as_ref().map_or(0, object::ObjectSection::address);
        let eh_frame = section.and_then(|section| Some(section.data().ok()?.to_owned()));
        let mut file = Self {
            eh_frame: eh_frame.unwrap_or_default(),
            address,
            entries: Vec::new(),
            program_entry: elf.entry(),
            functions: Vec::new(),
        };
        file.entries = file.read_entries();
        file.functions = functions(&elf);
        // A stripped program may have its symbols beside it.
        if file.functions.is_empty() {
            let beside = PathBuf::from(format!("{}.symbols", path.display()));
            let bytes = fs::read(beside).unwrap_or_default();
            if let Ok(elf) = ElfFile64::<object::LittleEndian>::parse(&*bytes) {
                file.functions = functions(&elf);
            }
        }
        Some(file)
    }

    fn section(&self) -> (EhFrame<EndianSlice<'_, LittleEndian>>, BaseAddresses) {
        let bases = BaseAddresses::default().set_eh_frame(self.address);
        (EhFrame::new(&self.eh_frame, LittleEndian), bases)
    }

    fn read_entries(&self) -> Vec<(u64, u64, usize)> {
        let (section, bases) = self.section();
        let mut found = Vec::new();
        let mut entries = section.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            if let gimli::CieOrFde::Fde(partial) = entry
                && let Ok(fde) = partial.parse(EhFrame::cie_from_offset)
            {
                found.push((fde.initial_address(), fde.end_address(), fde.offset()));
            }
        }
        found.sort_unstable();
        found
    }

    fn is_root(&self, address: u64) -> bool {
        let before = self.entries.partition_point(|entry| entry.0 <= address);
        let entry = before.checked_sub(1).map(|last| self.entries[last]);
        if let Some((_, _, offset)) = entry.filter(|entry| address < entry.1) {
            return self.is_undefined(offset, address);
        }
        let entry = self.program_entry..self.program_entry.saturating_add(ENTRY);
        entry.contains(&address) || self.function(address).is_some_and(is_first)
    }

    /// Whether the entry at an offset says that an address has no return address.
    fn is_undefined(&self, offset: usize, address: u64) -> bool {
        let (section, bases) = self.section();
        let get_cie = EhFrame::cie_from_offset;
        let Ok(fde) = section.fde_from_offset(&bases, offset.into(), get_cie) else { return false };
        let mut context = UnwindContext::new();
        fde.unwind_info_for_address(&section, &bases, &mut context, address)
            .is_ok_and(|row| row.register(RETURN_ADDRESS) == Some(RegisterRule::Undefined))
    }

    fn function(&self, address: u64) -> Option<&str> {
        let before = self.functions.partition_point(|function| function.0 <= address);
        let (start, length, name) = self.functions.get(before.checked_sub(1)?)?;
        // Assembly may have functions without a length.
        (*length == 0 || address - start < *length).then_some(name)
    }
}

/// Whether a name is that of a function which nobody calls.
fn is_first(name: &str) -> bool {
    let name = name.strip_suffix(".abi0").unwrap_or(name);
    NAMES.contains(&name) || name.starts_with("_rt0_")
}

fn functions(elf: &ElfFile64<'_, object::LittleEndian>) -> Vec<(u64, u64, String)> {
    let symbols = elf.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text);
    let mut found: Vec<_> = symbols
        .filter_map(|symbol| {
            Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned()))
        })
        .collect();
    found.sort_unstable();
    found
}
