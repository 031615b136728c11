//! The compiler for the kernel programs: whichever is there of a rustup nightly that builds `core`
//! from rust-src, and a rustc that comes with a `core` for BPF (Debian packages one).

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use super::linker::Linker;
use crate::{command, workspace};

/// The machine whose registers the programs read. The tree holds one object: a second machine
/// needs a second object.
pub(crate) const ARCH: &str = "x86_64";

const TARGET: &str = "bpfel-unknown-none";

/// A compiler that can build the programs.
pub(crate) struct Compiler {
    kind: Kind,
    /// The first line of `rustc -vV`.
    pub(crate) version: String,
    /// The major version of the LLVM whose bitcode it writes.
    pub(crate) llvm_major: u32,
    sysroot: PathBuf,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    /// rustup's nightly, with rust-src.
    Nightly,
    /// A rustc with a precompiled `core` for BPF; not a nightly, so it is told to be one.
    Precompiled(PathBuf),
}

/// What to install for a compiler to be found.
pub(crate) fn install_hint() -> &'static str {
    "one of these is needed:\n  \
     rustup toolchain install nightly --component rust-src, and LLVM's development files for bpf-linker\n  \
     Debian 12: apt-get install rustc-web libstd-rust-web-dev-bpf llvm-22-dev libpolly-22-dev libzstd-dev zlib1g-dev\n  \
     Debian 14: apt-get install rustc libstd-rust-dev-bpf llvm-22-dev libpolly-22-dev libzstd-dev zlib1g-dev"
}

impl Compiler {
    /// A compiler of this version if there is one, or else any that can build the programs.
    pub(crate) fn find(preferred: Option<&str>) -> Result<Self> {
        let precompiled = command::find_all("rustc").into_iter().map(Kind::Precompiled);
        let mut found: Vec<Self> =
            [Kind::Nightly].into_iter().chain(precompiled).filter_map(Self::probe).collect();
        if found.is_empty() {
            return Err(anyhow!("no compiler here can build eBPF programs; {}", install_hint()));
        }
        let best = found.iter().position(|compiler| Some(compiler.version.as_str()) == preferred);
        Ok(found.swap_remove(best.unwrap_or(0)))
    }

    /// The compiler of this kind, if it is there, new enough, and has a `core` for BPF.
    fn probe(kind: Kind) -> Option<Self> {
        let verbose = command::output(kind.rustc().arg("-vV")).ok()?;
        let sysroot = command::output(kind.rustc().args(["--print", "sysroot"])).ok()?;
        let sysroot = PathBuf::from(sysroot);
        let release = field(&verbose, "release: ")?;
        let new_enough = minor(release)? >= minor(env!("CARGO_PKG_RUST_VERSION"))?;
        let has_core = match kind {
            Kind::Nightly => sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists(),
            Kind::Precompiled(_) => has_precompiled_core(&sysroot),
        };
        (new_enough && has_core).then_some(())?;
        Some(Self {
            kind,
            version: verbose.lines().next()?.to_owned(),
            llvm_major: field(&verbose, "LLVM version: ")?.split('.').next()?.parse().ok()?,
            sysroot,
        })
    }

    /// For people: which compiler this is.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Nightly => format!("rustup's nightly and rust-src ({})", self.version),
            Kind::Precompiled(rustc) => {
                format!("{} and its core for BPF ({})", rustc.display(), self.version)
            }
        }
    }

    /// The version of the cargo that drives it.
    pub(crate) fn cargo_version(&self) -> Result<String> {
        command::output(self.kind.cargo().arg("-V"))
    }

    /// Compiles the programs; the object's place.
    pub(crate) fn build(&self, linker: &Linker) -> Result<PathBuf> {
        // A target directory of its own: cargo locks the outer one while it runs this task.
        let target_dir = workspace::target_dir().join("bpf");
        let mut cargo = self.kind.cargo();
        cargo
            .args(["build", "--locked", "--package", "flame-ebpf", "--profile", "bpf"])
            .args(["--target", TARGET, "--target-dir"])
            .arg(&target_dir)
            .current_dir(workspace::root())
            .env("AYA_BPF_TARGET_ARCH", ARCH)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(linker)?)
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
        if self.kind == Kind::Nightly {
            cargo.args(["-Z", "build-std=core"]);
        }
        command::run(&mut cargo).context("build the kernel programs")?;
        Ok(target_dir.join(TARGET).join("bpf/flame-ebpf"))
    }

    /// rustc's flags, as cargo wants them: with 0x1f between.
    fn flags(&self, linker: &Linker) -> Result<OsString> {
        let mut flags: Vec<OsString> =
            ["-C", "debuginfo=2", "-C", "link-arg=--btf", "-C"].map(OsString::from).into();
        flags.push(joined("linker=", &linker.path, ""));
        flags.push(joined("--remap-path-prefix=", workspace::root(), "=/flame"));
        flags.push(joined("--remap-path-prefix=", &self.sysroot, "=/rust"));
        let registries = cargo_home().join("registry/src");
        for registry in fs::read_dir(&registries).into_iter().flatten() {
            let registry = registry.context("list cargo's registries")?.path();
            flags.push(joined("--remap-path-prefix=", &registry, "=/registry"));
        }
        Ok(flags.join("\u{1f}".as_ref()))
    }

    /// Paths of this machine that an object for everybody must not carry.
    pub(crate) fn local_paths() -> Vec<String> {
        let mut paths = vec![workspace::root().to_path_buf(), cargo_home()];
        paths.extend(env::var_os("HOME").map(PathBuf::from));
        paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            // A home of `/` says nothing.
            .filter(|path| path.len() > 1)
            .collect()
    }
}

impl Kind {
    fn rustc(&self) -> Command {
        match self {
            Self::Nightly => in_nightly("rustc"),
            Self::Precompiled(rustc) => Command::new(rustc),
        }
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Nightly => in_nightly("cargo"),
            Self::Precompiled(rustc) => {
                let mut cargo = Command::new(workspace::cargo());
                // aya-ebpf uses an unstable feature (inline assembly for BPF).
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                cargo.env_remove("LD_LIBRARY_PATH");
                cargo
            }
        }
    }
}

/// A program of rustup's nightly, free of what the toolchain that runs this task put into the
/// environment.
fn in_nightly(program: &str) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly", program]);
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        rustup.env_remove(variable);
    }
    rustup
}

fn has_precompiled_core(sysroot: &Path) -> bool {
    let folder = sysroot.join("lib/rustlib").join(TARGET);
    // Debian keeps the libraries in the folder itself, rustup in its `lib`.
    [folder.clone(), folder.join("lib")]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    )
}

fn joined(before: &str, path: &Path, after: &str) -> OsString {
    let mut joined = OsString::from(before);
    joined.push(path);
    joined.push(after);
    joined
}

/// The rest of the line that starts so.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

/// The 95 of 1.95.0: rustc's major version is 1.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_rustc_says() {
        let said =
            "rustc 1.97.0-nightly (abc 2026-06-01)\nrelease: 1.97.0-nightly\nLLVM version: 22.1.2";
        assert_eq!(field(said, "LLVM version: "), Some("22.1.2"));
        assert_eq!(field(said, "release: ").and_then(minor), Some(97));
        assert_eq!(field(said, "host: "), None);
        assert_eq!(minor("1.95"), Some(95));
        assert_eq!(minor("nonsense"), None);
    }
}
