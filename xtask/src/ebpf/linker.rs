//! bpf-linker: found beside the tools that this workspace built for itself, found on the PATH, or
//! built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::compiler::install_hint;
use crate::{command, workspace};

/// The version that is built where none is there.
const VERSION: &str = "0.13.0";

/// A bpf-linker.
pub(crate) struct Linker {
    /// The program.
    pub(crate) path: PathBuf,
    /// Its version.
    pub(crate) version: String,
    /// Its LLVM's version; a library's name alone where no llvm-config is beside it.
    pub(crate) llvm: String,
}

impl Linker {
    /// A bpf-linker that reads the bitcode of this LLVM; built where there is none.
    pub(crate) fn find_or_install(llvm_major: u32) -> Result<Self> {
        if let Some(found) = Self::find(llvm_major) {
            return Ok(found);
        }
        install(llvm_major)?;
        Self::find(llvm_major).context("bpf-linker was built, but does not run")
    }

    /// Whether `find_or_install` has what it needs.
    pub(crate) fn ensure_obtainable(llvm_major: u32) -> Result<()> {
        let llvm = llvm_folder(llvm_major);
        let can_be_built = || Path::new(&llvm).join("bin/llvm-config").exists();
        ensure!(
            Self::find(llvm_major).is_some() || can_be_built(),
            "there is no bpf-linker for LLVM {llvm_major}, and no {llvm} to build one against; {}",
            install_hint()
        );
        Ok(())
    }

    fn find(llvm_major: u32) -> Option<Self> {
        let own = tools_folder().join("bin/bpf-linker");
        let own = own.exists().then_some(own);
        own.into_iter()
            .chain(command::find_all("bpf-linker"))
            .filter_map(|path| Self::probe(&path))
            // An LLVM reads its own bitcode and older ones.
            .find(|linker| major(&linker.llvm).is_none_or(|major| major >= llvm_major))
    }

    fn probe(path: &Path) -> Option<Self> {
        let said = command::output(Command::new(path).arg("--version")).ok()?;
        Some(Self {
            path: path.to_path_buf(),
            version: said.split_whitespace().nth(1)?.to_owned(),
            llvm: llvm_version(path),
        })
    }

    /// For people: which linker this is.
    pub(crate) fn name(&self) -> String {
        format!("bpf-linker {} with LLVM {} ({})", self.version, self.llvm, self.path.display())
    }
}

fn tools_folder() -> PathBuf {
    workspace::target_dir().join("tools")
}

/// Where Debian and LLVM's own packages put it.
fn llvm_folder(llvm_major: u32) -> String {
    format!("/usr/lib/llvm-{llvm_major}")
}

/// Builds bpf-linker against the system's LLVM.
fn install(llvm_major: u32) -> Result<()> {
    let llvm = llvm_folder(llvm_major);
    println!("bpf-linker: building {VERSION} against {llvm}, once");
    command::run(
        Command::new(workspace::cargo())
            .args(["install", "bpf-linker", "--version", VERSION, "--locked"])
            .args(["--no-default-features", "--features", &format!("llvm-{llvm_major}")])
            .arg("--root")
            .arg(tools_folder())
            // Without a prefix its build script may take an empty folder for LLVM's.
            .env("LLVM_PREFIX", &llvm)
            .env(format!("LLVM_SYS_{llvm_major}1_PREFIX"), &llvm),
    )
    .with_context(|| {
        format!("build bpf-linker (it needs libpolly-{llvm_major}-dev, libzstd-dev, zlib1g-dev)")
    })
}

/// bpf-linker does not tell its LLVM: the loader does, and the llvm-config beside the library.
fn llvm_version(linker: &Path) -> String {
    let Some(library) =
        command::output(Command::new("ldd").arg(linker)).ok().and_then(|said| llvm_library(&said))
    else {
        return "built in".to_owned();
    };
    let config = library.parent().and_then(Path::parent).map(|llvm| llvm.join("bin/llvm-config"));
    config
        .and_then(|config| command::output(Command::new(config).arg("--version")).ok())
        .unwrap_or_else(|| {
            let name = library.file_name().unwrap_or_default().to_string_lossy();
            name.trim_start_matches("libLLVM.so.").to_owned()
        })
}

/// libLLVM's path among what ldd prints.
fn llvm_library(ldd: &str) -> Option<PathBuf> {
    let line = ldd.lines().find(|line| line.contains("libLLVM"))?;
    let path = line.split("=>").nth(1)?.split_whitespace().next()?;
    Some(PathBuf::from(path))
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_library_is_found_among_the_others() {
        let ldd = "\tlinux-vdso.so.1 (0x1)\n\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x2)\n";
        assert_eq!(llvm_library(ldd), Some("/usr/lib/llvm-22/lib/libLLVM.so.22.1".into()));
        assert_eq!(llvm_library("\tlibc.so.6 => /lib/libc.so.6 (0x3)\n"), None);
    }

    #[test]
    fn an_unknown_llvm_is_given_the_benefit_of_the_doubt() {
        assert_eq!(major("22.1.8"), Some(22));
        assert_eq!(major("built in"), None);
    }
}
