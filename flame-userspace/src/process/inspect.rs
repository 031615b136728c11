//! What is known of a process's code: for `flame doctor`.

use std::collections::HashSet;

use super::table::ProcessTable;
use super::{Executable, procfs};

/// A piece of a process's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspected<W> {
    /// The file, or what the kernel calls memory without one.
    pub(crate) path: String,
    pub(crate) named: Named,
    pub(crate) code: W,
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

/// What a piece of a process's code is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    File(&'a Executable),
    /// The kernel's own.
    Vdso,
    /// What a runtime made.
    Generated,
}

/// Each of a process's pieces of code once, with what `look` finds in it; `None` if its mappings
/// cannot be read.
pub(crate) fn inspect<W>(pid: u32, look: impl Fn(Piece<'_>) -> W) -> Option<Vec<Inspected<W>>> {
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
        let (named, code) = match table.locate(id, mapping.start) {
            super::CodeAddress::Executable(executable, _) => {
                let executable = table.executable(executable);
                (Named::of(executable), look(Piece::File(executable)))
            }
            super::CodeAddress::Vdso(_) => (Named::ByExportsAlone, look(Piece::Vdso)),
            _ if table.get(id).perf_map.is_some() => (Named::ByPerfMap, look(Piece::Generated)),
            _ => (Named::NotAtAll, look(Piece::Generated)),
        };
        found.push(Inspected { path, named, code });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_named_code() {
        let is_file = |piece: Piece<'_>| matches!(piece, Piece::File(_));
        let found = inspect(std::process::id(), is_file).expect("own mappings");
        assert!(found.iter().any(|piece| piece.code && piece.named == Named::BySymbols));
        assert!(found.iter().any(|piece| !piece.code && piece.path == "[vdso]"));
    }
}
