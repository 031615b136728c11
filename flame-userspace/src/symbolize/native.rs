//! Names in native code: blazesym on one file, or on the kernel.

use std::borrow::Cow;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{self, CodeInfo, Input, Sym, Symbolized};

use super::Symbol;
use super::texts::Texts;

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
    pub(super) fn in_file(
        &self,
        file: &File,
        addresses: &[u64],
        texts: &mut Texts,
    ) -> Result<Vec<Vec<Symbol>>> {
        // By descriptor: the name may mean another file by now, or none.
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let source = Source::from(Elf::new(path));
        by_portions(addresses, texts, |portion| {
            self.symbolizer.symbolize(&source, Input::VirtOffset(portion))
        })
        .context("read symbols")
    }

    /// The functions at addresses of the running kernel, its modules among them.
    pub(super) fn in_kernel(
        &self,
        addresses: &[u64],
        texts: &mut Texts,
    ) -> Result<Vec<Vec<Symbol>>> {
        let kernel = Kernel {
            kallsyms: MaybeDefault::Some(PathBuf::from("/proc/kallsyms")),
            vmlinux: MaybeDefault::None,
            debug_syms: false,
            ..Kernel::default()
        };
        let source = Source::from(kernel);
        by_portions(addresses, texts, |portion| {
            self.symbolizer.symbolize(&source, Input::AbsAddr(portion))
        })
        .context("read /proc/kallsyms")
    }
}

/// Addresses that are asked for at a time: an answer of blazesym's takes many times the memory of
/// what is kept of it.
const PORTION: usize = 1024;

/// The functions at addresses.
fn by_portions<'a>(
    addresses: &[u64],
    texts: &mut Texts,
    look_up: impl Fn(&[u64]) -> blazesym::Result<Vec<Symbolized<'a>>>,
) -> blazesym::Result<Vec<Vec<Symbol>>> {
    let mut all = Vec::with_capacity(addresses.len());
    for portion in addresses.chunks(PORTION) {
        all.extend(look_up(portion)?.iter().map(|found| symbols(found, texts)));
    }
    Ok(all)
}

/// The functions of a result, inlined ones first.
fn symbols(found: &Symbolized<'_>, texts: &mut Texts) -> Vec<Symbol> {
    let Symbolized::Sym(sym) = found else {
        return Vec::new();
    };
    let Sym { name, code_info, inlined, .. } = sym;
    // blazesym tells them outermost first, each with its own line.
    let outer = symbol(name, code_info.as_deref(), texts);
    let inner = inlined.iter().map(|inner| symbol(&inner.name, inner.code_info.as_ref(), texts));
    let mut all: Vec<Symbol> = std::iter::once(outer).chain(inner).collect();
    all.reverse();
    all
}

fn symbol(name: &str, code: Option<&CodeInfo<'_>>, texts: &mut Texts) -> Symbol {
    let (name, system_name) = texts.names(name);
    let path = code.map_or(Cow::from(Path::new("")), CodeInfo::to_path);
    Symbol {
        name,
        system_name,
        file: texts.file(&path.to_string_lossy()),
        line: code.and_then(|code| code.line).unwrap_or(0),
        column: code.and_then(|code| code.column).unwrap_or(0),
    }
}
