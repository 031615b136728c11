//! Names in native code: blazesym on one file, or on the kernel.

use std::borrow::Cow;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result};
use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};

use super::Symbol;
use super::blind::see_no_files;
use super::texts::Texts;
use crate::process::is_installed_debug_file;

/// Looks names up in files and in the kernel.
pub(super) struct Native {
    inlined: bool,
}

impl Native {
    /// `inlined` functions are told apart from the function they were inlined into, or not.
    pub(super) fn new(inlined: bool) -> Self {
        Self { inlined }
    }

    /// The functions at addresses of a file's own address space. No other file is opened for that
    /// but those that an installed debug file names.
    pub(super) fn in_file(
        &self,
        file: &File,
        addresses: &[u64],
        texts: &mut Texts,
    ) -> Result<Vec<Vec<Symbol>>> {
        // On a thread of its own, which can do nothing else afterwards.
        thread::scope(|scope| {
            thread::Builder::new()
                .name("flame-symbols".into())
                .spawn_scoped(scope, || self.in_file_alone(file, addresses, texts))
                .context("start a thread that reads symbols")?
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// blazesym follows the links to debug files that a file holds (`.gnu_debuglink`,
    /// `.gnu_debugaltlink`, `.debug_sup`), in flame's own file system and as whoever flame is: they
    /// could name a pipe, a device or what is nobody else's business. The file may change while it
    /// is read, so that looking for links beforehand would not do.
    fn in_file_alone(
        &self,
        file: &File,
        addresses: &[u64],
        texts: &mut Texts,
    ) -> Result<Vec<Vec<Symbol>>> {
        let symbolizer = self.symbolizer();
        // By descriptor: the name may mean another file by now, or none.
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let mut elf = Elf::new(path);
        // Without debug information it opens the file, and reads nothing yet.
        elf.debug_syms = false;
        let opened = symbolizer.symbolize(&Source::from(elf.clone()), Input::VirtOffset(&[]));
        opened.context("open the file")?;
        // Where files cannot be kept out of sight: names, and no lines.
        elf.debug_syms = is_installed_debug_file(file) || see_no_files().is_ok();
        let source = Source::from(elf);
        by_portions(addresses, texts, |portion| {
            symbolizer.symbolize(&source, Input::VirtOffset(portion))
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
        let symbolizer = self.symbolizer();
        let source = Source::from(kernel);
        by_portions(addresses, texts, |portion| {
            symbolizer.symbolize(&source, Input::AbsAddr(portion))
        })
        .context("read /proc/kallsyms")
    }

    fn symbolizer(&self) -> Symbolizer {
        Symbolizer::builder()
            .enable_code_info(true)
            .enable_inlined_fns(self.inlined)
            .enable_demangling(false)
            // What is open is not looked for again.
            .enable_auto_reload(false)
            .build()
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::process::test_elf::{sparse, with_sections};
    use crate::process::{CodeAddress, ProcessTable};

    /// A file with a function `f` from 0x1000 on, and a link of this name to others.
    fn linking(section: &str, link: &[u8]) -> File {
        const PROGRAM: u32 = 1;
        const SYMBOLS: u32 = 2;
        const TEXTS: u32 = 3;
        let mut symbols = vec![0; 24];
        symbols.extend([1, 0, 0, 0, 0x12, 0, 1, 0]);
        symbols.extend([0x1000_u64, 0x10].map(u64::to_le_bytes).concat());
        let sections = [
            (".symtab", SYMBOLS, &*symbols),
            (".strtab", TEXTS, b"\0f\0"),
            (section, PROGRAM, link),
        ];
        let bytes = with_sections(&[7; 20], &sections);
        sparse(&bytes, bytes.len() as u64)
    }

    #[test]
    fn a_file_cannot_have_others_opened() {
        let pipe = std::env::temp_dir().join(format!("flame-linked-{}", std::process::id()));
        let pipe = CString::new(pipe.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the call reads a text that ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0, "a pipe");
        let path = pipe.as_bytes_with_nul();
        let mut debug_link = path.to_vec();
        debug_link.resize(path.len().next_multiple_of(4) + 4, 0);
        let links = [
            (".gnu_debuglink", debug_link),
            (".gnu_debugaltlink", [path, &[1; 20]].concat()),
            (".debug_sup", [&[5, 0, 0], path, &[1, 1]].concat()),
        ];
        for (section, link) in links {
            let (done, is_done) = mpsc::channel();
            thread::spawn(move || {
                let file = linking(section, &link);
                let found = Native::new(true).in_file(&file, &[0x1008], &mut Texts::default());
                // Nobody listens any more where it took too long.
                _ = done.send(found);
            });
            let found = is_done.recv_timeout(Duration::from_secs(20));
            let found = found.unwrap_or_else(|_| panic!("{section} is followed to a pipe"));
            assert_eq!(found.expect("symbols"), [[Symbol::named("f")]], "{section}");
        }
        fs::remove_file(pipe.to_str().expect("a text")).expect("the pipe");
    }

    #[inline(never)]
    fn known_function() -> u32 {
        std::hint::black_box(line!())
    }

    #[test]
    fn a_files_own_lines_are_told() {
        let mut table = ProcessTable::new(false, HashSet::new());
        let own = table.add_running(std::process::id());
        let address = known_function as *const () as u64;
        let CodeAddress::Executable(_, address) = table.locate(own, address) else {
            panic!("the function is in a file");
        };
        let file = File::open("/proc/self/exe").expect("this test binary");
        let found = Native::new(true).in_file(&file, &[address], &mut Texts::default());
        let found = found.expect("symbols");
        let function = found[0].last().expect("a name");
        assert!(function.name.ends_with("known_function"), "{function:?}");
        assert!(function.file.ends_with("symbolize/native.rs"), "{function:?}");
        assert!(known_function().abs_diff(function.line) <= 2, "{function:?}");
    }
}
