//! The kernel programs' object: built from `flame-ebpf`, kept in the tree so that a user needs no
//! BPF toolchain, and checked against its sources.
//!
//! Beside the object lies a record of what it came from. Whoever changes the sources builds the
//! object anew and commits both; `check` fails where that was forgotten.

mod compiler;
mod linker;
mod record;
mod sources;
mod strip;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use self::compiler::Compiler;
use self::linker::Linker;
use self::record::{Record, Tools};
use crate::workspace;

/// How far a check could go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Checked {
    /// Built from source, byte for byte what the tree holds.
    Bytes,
    /// Builds from source; the tools here are not the recorded ones, so the bytes may differ.
    Builds,
    /// No BPF toolchain here: the hashes alone.
    Hashes,
}

/// Whether the kernel programs can be built here.
pub(crate) fn can_build() -> bool {
    compiler(None).is_ok()
}

/// A compiler for which there is a linker, or what one is built from.
fn compiler(preferred: Option<&str>) -> Result<Compiler> {
    let compiler = Compiler::find(preferred)?;
    Linker::ensure_obtainable(compiler.llvm_major)?;
    Ok(compiler)
}

/// Builds the object into the tree and writes its record.
pub(crate) fn build() -> Result<()> {
    let root = workspace::root();
    let compiler = compiler(None)?;
    let linker = Linker::find_or_install(compiler.llvm_major)?;
    let tools = tools(&compiler, &linker)?;
    println!("kernel programs: built with {}, {}", compiler.name(), linker.name());
    let object = compile(&compiler, &linker)?;
    let record = Record { sources: sources::hash(root)?, object: sources::sha256(&object), tools };
    fs::create_dir_all(folder()).context("make the object's folder")?;
    fs::write(object_path(), &object).context("write the object")?;
    fs::write(record_path(), record.to_string()).context("write the object's record")?;
    println!("kernel programs: {} bytes in {}", object.len(), object_path().display());
    Ok(())
}

/// Checks the object in the tree against its record, the record against the sources, and, where a
/// toolchain is there, the object against what the sources build to.
pub(crate) fn check() -> Result<Checked> {
    let root = workspace::root();
    let record = fs::read_to_string(record_path())
        .with_context(|| format!("read {}", record_path().display()))
        .and_then(|text| Record::parse(&text))
        .context("no record of the kernel programs; `cargo xtask build-ebpf` makes it")?;
    let kept = fs::read(object_path()).context("read the kernel programs' object")?;
    ensure!(
        sources::sha256(&kept) == record.object,
        "{} is not the object that its record speaks of: run `cargo xtask build-ebpf` and commit both",
        object_path().display()
    );
    ensure!(
        sources::hash(root)? == record.sources,
        "the kernel programs' sources (or what they are built with in Cargo.toml and Cargo.lock) \
         changed since the object was built: run `cargo xtask build-ebpf` and commit \
         flame-userspace/bpf"
    );
    let compiler = match compiler(Some(&record.tools.rustc)) {
        Ok(compiler) => compiler,
        Err(error) => {
            println!("kernel programs: hashes match; not built from source, as {error:#}");
            return Ok(Checked::Hashes);
        }
    };
    let linker = Linker::find_or_install(compiler.llvm_major)?;
    let tools = tools(&compiler, &linker)?;
    let object = compile(&compiler, &linker)?;
    if tools != record.tools {
        println!(
            "kernel programs: hashes match, and the sources build; bytes not compared, as the \
             tools differ (recorded: {}; here: {tools})",
            record.tools
        );
        return Ok(Checked::Builds);
    }
    if object != kept {
        let built = workspace::target_dir().join("bpf/flame.bpf.o");
        fs::write(&built, &object).context("write the object that differs")?;
        bail!(
            "the same sources and tools built another object, {}: is the build still reproducible?",
            built.display()
        );
    }
    println!("kernel programs: built from source, byte for byte those in the tree");
    Ok(Checked::Bytes)
}

/// The finished object: compiled, without DWARF, without a path of this machine.
fn compile(compiler: &Compiler, linker: &Linker) -> Result<Vec<u8>> {
    let built = compiler.build(linker)?;
    let built = fs::read(&built).with_context(|| format!("read {}", built.display()))?;
    let object = strip::strip_dwarf(&built)?;
    strip::check(&object, &Compiler::local_paths())?;
    Ok(object)
}

fn tools(compiler: &Compiler, linker: &Linker) -> Result<Tools> {
    Ok(Tools {
        arch: compiler::ARCH.to_owned(),
        cargo: compiler.cargo_version()?,
        rustc: compiler.version.clone(),
        linker: linker.version.clone(),
        llvm: linker.llvm.clone(),
    })
}

fn folder() -> PathBuf {
    workspace::root().join("flame-userspace/bpf")
}

fn object_path() -> PathBuf {
    folder().join("flame.bpf.o")
}

fn record_path() -> PathBuf {
    folder().join("flame.bpf.toml")
}
