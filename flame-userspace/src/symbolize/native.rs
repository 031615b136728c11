//! Names in native code: blazesym on one file, or on the kernel.

use std::borrow::Cow;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{self, CodeInfo, Input, Sym, Symbolized};

use super::Symbol;
use super::demangle::demangle;

/// Looks names up in files and in the kernel.
pub(super) struct Native {
    symbolizer: symbolize::Symbolizer,
}

impl Native {
    /// `inlined` functions are told apart from the function they were inlined into, or not.
    pub(super) fn new(inlined: bool) -> Self {
        let symbolizer = symbolize::Symbolizer::builder()
            .enable_code_info(true)
            .enable_inlined_fns(inlined)
            .enable_demangling(false)
            .build();
        Self { symbolizer }
    }

    /// The functions at addresses of a file's own address space.
    pub(super) fn in_file(&self, file: &File, addresses: &[u64]) -> Result<Vec<Vec<Symbol>>> {
        // By descriptor: the name may mean another file by now, or none.
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let found =
            self.symbolizer.symbolize(&Source::from(Elf::new(path)), Input::VirtOffset(addresses));
        Ok(found.context("read symbols")?.iter().map(symbols).collect())
    }

    /// The functions at addresses of the running kernel, its modules among them.
    pub(super) fn in_kernel(&self, addresses: &[u64]) -> Result<Vec<Vec<Symbol>>> {
        let kernel = Kernel {
            kallsyms: MaybeDefault::Some(PathBuf::from("/proc/kallsyms")),
            vmlinux: MaybeDefault::None,
            debug_syms: false,
            ..Kernel::default()
        };
        let found = self.symbolizer.symbolize(&Source::from(kernel), Input::AbsAddr(addresses));
        Ok(found.context("read /proc/kallsyms")?.iter().map(symbols).collect())
    }
}

/// The functions of a result, inlined ones first.
fn symbols(found: &Symbolized<'_>) -> Vec<Symbol> {
    let Symbolized::Sym(sym) = found else {
        return Vec::new();
    };
    let Sym { name, code_info, inlined, .. } = sym;
    // blazesym tells them outermost first, each with its own line.
    let outer = symbol(name, code_info.as_deref());
    let inner = inlined.iter().map(|function| symbol(&function.name, function.code_info.as_ref()));
    let mut all: Vec<Symbol> = std::iter::once(outer).chain(inner).collect();
    all.reverse();
    all
}

fn symbol(name: &str, code: Option<&CodeInfo<'_>>) -> Symbol {
    Symbol {
        name: demangle(name).unwrap_or_else(|| name.to_owned()),
        system_name: name.to_owned(),
        file: code
            .map(|code| code.to_path())
            .map_or_else(String::new, |path: Cow<'_, _>| path.to_string_lossy().into_owned()),
        line: code.and_then(|code| code.line).unwrap_or(0),
        column: code.and_then(|code| code.column).unwrap_or(0),
    }
}
