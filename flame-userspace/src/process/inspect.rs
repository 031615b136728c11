//! What is known of a process's code: for `flame doctor`.

use std::collections::HashSet;

use super::table::ProcessTable;
use super::{Executable, procfs};

/// A piece of a process's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// The file, or what the kernel calls memory without one.
    pub(crate) path: String,
    pub(crate) named: Named,
    pub(crate) walked: Walked,
}

/// How stacks go through the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// By its unwind information.
    ByTable,
    ByFramePointer,
}

/// Where the names of functions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    BySymbols,
    ByDebugFile,
    ByExportsAlone,
    ByPerfMap,
    NotAtAll,
    Unreadable,
}

impl Named {
    fn of(executable: &Executable) -> Self {
        match executable {
            Executable { file: None, .. } => Self::Unreadable,
            Executable { layout, .. } if layout.has_symbols => Self::BySymbols,
            Executable { debug_file: Some(_), .. } => Self::ByDebugFile,
            Executable { .. } => Self::ByExportsAlone,
        }
    }
}

impl Walked {
    fn of(executable: &Executable) -> Self {
        let readable = executable.file.is_some();
        match executable.layout.unwind_section {
            Some(section) if readable && section.length > 0 => Self::ByTable,
            _ => Self::ByFramePointer,
        }
    }
}

/// Each of a process's pieces of code once; `None` if its mappings cannot be read.
pub(crate) fn inspect(pid: u32) -> Option<Vec<Inspected>> {
    let mappings = procfs::code_mappings(pid)?;
    let mut table = ProcessTable::new(false, HashSet::new());
    let id = table.add_running(pid);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for mapping in mappings {
        let path = mapping.path.to_string_lossy().into_owned();
        let path = if path.is_empty() { "memory without a file".to_owned() } else { path };
        if !seen.insert(path.clone()) || path == "[vsyscall]" {
            continue;
        }
        let (named, walked) = match table.locate(id, mapping.start) {
            super::CodeAddress::Executable(executable, _) => {
                let executable = table.executable(executable);
                (Named::of(executable), Walked::of(executable))
            }
            super::CodeAddress::Vdso(_) => (Named::ByExportsAlone, Walked::ByTable),
            _ if table.get(id).perf_map.is_some() => (Named::ByPerfMap, Walked::ByFramePointer),
            _ => (Named::NotAtAll, Walked::ByFramePointer),
        };
        found.push(Inspected { path, named, walked });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_named_code() {
        let found = inspect(std::process::id()).expect("own mappings");
        assert!(found.iter().any(|file| file.named == Named::BySymbols), "this test binary");
        let own = found.iter().find(|file| file.named == Named::BySymbols);
        assert_eq!(own.map(|file| file.walked), Some(Walked::ByTable));
    }
}
