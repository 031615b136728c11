//! From addresses to names: functions, inlined frames, files and lines.
//!
//! blazesym does the work, in a process of its own for each file: whoever is profiled may have made
//! it. A thread waits for that, which would hold up everything else.

mod apart;
mod blind;
mod demangle;
mod message;
mod native;
mod texts;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use crate::process::CodeAddress;

pub(crate) use apart::{COMMAND, enable as read_files_apart, serve};
use texts::Texts;
pub(crate) use worker::{FileRequest, GeneratedRequest, KnownFunction, Request, Symbolizer};

/// A function at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// The name for people, demangled.
    pub(crate) name: Arc<str>,
    /// The linker's name.
    pub(crate) system_name: Arc<str>,
    /// The source file; empty if unknown.
    pub(crate) file: Arc<str>,
    /// The line that runs or that calls; 0 if unknown.
    pub(crate) line: u32,
    /// The column; 0 if unknown.
    pub(crate) column: u16,
}

impl Symbol {
    /// A function of which nothing but its name is known.
    pub(crate) fn named(name: &str) -> Self {
        let name: Arc<str> = Arc::from(&*texts::cut(name));
        Self { system_name: Arc::clone(&name), name, file: Arc::from(""), line: 0, column: 0 }
    }
}

/// The functions at addresses, inlined ones first; addresses without a name are absent.
#[derive(Debug, Default)]
pub(crate) struct Names {
    symbols: HashMap<CodeAddress, Vec<Symbol>>,
    /// Where the functions begin that have no name, as far as unwind information tells.
    starts: HashMap<CodeAddress, u64>,
    texts: Texts,
    /// What could not be read, and why: one line each.
    pub(crate) problems: Vec<String>,
}

impl Names {
    /// The functions at an address, inlined ones first; empty if it has no name.
    pub(crate) fn get(&self, address: CodeAddress) -> &[Symbol] {
        self.symbols.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Where the function of an address without a name begins, in the file's address space.
    pub(crate) fn start(&self, address: CodeAddress) -> Option<u64> {
        self.starts.get(&address).copied()
    }
}
