//! What is known of a process's code: for `flame doctor`.

use std::collections::HashSet;

use super::table::ProcessTable;
use super::{ElfLayout, Executable, Section, procfs};

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
    /// By its `.eh_frame`.
    ByEhFrame,
    /// By the unwind information for debuggers, its own or its debug file's.
    ByDebugFrame,
    /// By the functions of Go's runtime.
    ByGoFunctions,
    ByFramePointer,
}

/// Where the names of functions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    BySymbols,
    ByDebugFile,
    ByGoFunctions,
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
            Executable { layout, .. } if layout.go.is_some() => Self::ByGoFunctions,
            Executable { .. } => Self::ByExportsAlone,
        }
    }
}

impl Walked {
    fn of(executable: &Executable) -> Self {
        let layout = &executable.layout;
        let not_empty = |section: Option<Section>| section.is_some_and(|s| s.length > 0);
        let in_debug_file = || {
            let debug = executable.debug_file.as_ref().and_then(ElfLayout::read);
            debug.is_some_and(|debug| not_empty(debug.debug_frame))
        };
        if executable.file.is_none() {
            Self::ByFramePointer
        } else if layout.go.is_some() {
            Self::ByGoFunctions
        } else if not_empty(layout.unwind_section)
            || layout.unwind_section.is_none() && layout.unwind_index.is_some()
        {
            Self::ByEhFrame
        } else if not_empty(layout.debug_frame) || in_debug_file() {
            Self::ByDebugFrame
        } else {
            Self::ByFramePointer
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
            super::CodeAddress::Vdso(_) => (Named::ByExportsAlone, Walked::ByEhFrame),
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
        assert_eq!(own.map(|file| file.walked), Some(Walked::ByEhFrame));
    }
}
