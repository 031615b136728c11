//! The kernels that flame is tried on: Debian's images for virtual machines, which apt downloads
//! into an archive of its own, with its checks of signatures and the system's choice of proxies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;

/// A kernel by the name that the command line has for it.
#[derive(Clone, Copy, Debug)]
struct Series {
    name: &'static str,
    /// The Debian release whose default kernel it is.
    suite: &'static str,
}

const SERIES: [Series; 4] = [
    Series { name: "5.10", suite: "bullseye" },
    Series { name: "6.1", suite: "bookworm" },
    Series { name: "6.12", suite: "trixie" },
    Series { name: "sid", suite: "sid" },
];

/// The package that stands for a suite's kernel for virtual machines.
const META: &str = "linux-image-cloud-amd64";
/// How the names of packages with one kernel begin.
const IMAGE: &str = "linux-image-";
const MIRROR: &str = "http://deb.debian.org/debian";

/// A kernel to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// As the command line names it.
    pub(super) name: String,
    /// The image that boots.
    pub(super) image: PathBuf,
}

/// All kernels' names.
pub(super) fn names() -> Vec<String> {
    SERIES.map(|series| series.name.to_owned()).into()
}

/// The kernel of this name, downloaded unless it lies in `cache` already and is no older than what
/// is asked for. A name with a `/` is the path of an image.
pub(super) fn provide(name: &str, cache: &Path, update: bool) -> Result<Kernel> {
    if name.contains('/') {
        let image = fs::canonicalize(name).with_context(|| format!("find the kernel {name}"))?;
        return Ok(Kernel { name: "image".to_owned(), image });
    }
    let Some(series) = SERIES.iter().find(|series| series.name == name) else {
        bail!("no kernel {name}: there are {}, or the path of an image", names().join(", "));
    };
    let folder = cache.join("kernels").join(series.name);
    if let Some(image) = image_in(&folder).filter(|_| !update) {
        return Ok(Kernel { name: name.to_owned(), image });
    }
    eprintln!("{name}: downloading the kernel of {}", series.suite);
    let archive = Archive::of(series.suite, &cache.join("apt").join(series.suite))?;
    let image = archive.image(&folder)?;
    Ok(Kernel { name: name.to_owned(), image })
}

/// The kernel image in a folder.
fn image_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-")))
}

/// apt with lists of its own, of one suite.
struct Archive {
    folder: PathBuf,
    options: Vec<String>,
}

impl Archive {
    /// Reads what the suite has.
    fn of(suite: &str, folder: &Path) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        let sources = folder.join("sources.list");
        fs::write(&sources, format!("deb {MIRROR} {suite} main\n")).context("name the archive")?;
        fs::write(folder.join("status"), "").context("tell apt that nothing is installed")?;
        let of = |name: &str, part: &str| format!("{name}={}", folder.join(part).display());
        let settings = [
            of("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            of("Dir::State::Lists", "lists"),
            of("Dir::State::status", "status"),
            of("Dir::Cache", "cache"),
            "Acquire::Languages=none".to_owned(),
            "APT::Architecture=amd64".to_owned(),
            // The folder is the caller's, and nobody else's.
            "APT::Sandbox::User=root".to_owned(),
        ];
        let options = settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]).collect();
        let archive = Self { folder: folder.to_owned(), options };
        command::run(archive.apt("apt-get").args(["--quiet=2", "update"]))?;
        Ok(archive)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C");
        command
    }

    /// Downloads the suite's kernel into a folder; the image.
    fn image(&self, folder: &Path) -> Result<PathBuf> {
        let said = command::output(self.apt("apt-cache").args(["show", META]))?;
        let package = image_package(&said).with_context(|| format!("what {META} depends on"))?;
        let unpacked = self.folder.join("unpacked");
        let release = package.strip_prefix(IMAGE).unwrap_or(&package);
        // Newer suites keep the image apart from the package that installs it, by another name.
        let places = [
            (package.clone(), format!("boot/vmlinuz-{release}")),
            (format!("linux-binary-{release}"), format!("usr/lib/modules/{release}/vmlinuz")),
        ];
        for (package, path) in &places {
            self.unpack(package, &unpacked)?;
            let image = unpacked.join(path);
            if image.exists() {
                remove(folder)?;
                fs::create_dir_all(folder).context("make the kernel's folder")?;
                let place = folder.join(format!("vmlinuz-{release}"));
                fs::rename(&image, &place).context("keep the image")?;
                remove(&unpacked)?;
                return Ok(place);
            }
        }
        bail!("no kernel image in {} or {}", places[0].0, places[1].0)
    }

    fn unpack(&self, package: &str, to: &Path) -> Result<()> {
        let packages = self.folder.join("packages");
        remove(&packages)?;
        remove(to)?;
        fs::create_dir_all(&packages).context("make a folder for packages")?;
        command::run(
            self.apt("apt-get").args(["--quiet=2", "download", package]).current_dir(&packages),
        )?;
        for entry in fs::read_dir(&packages).context("list the packages")? {
            command::run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(to))?;
        }
        remove(&packages)
    }
}

/// The kernel package in what `apt-cache show` tells of the one that stands for it.
fn image_package(said: &str) -> Option<String> {
    let depends = said.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    let mut names = depends.split(',').filter_map(|one| one.split_whitespace().next());
    names.find(|name| name.starts_with(IMAGE)).map(str::to_owned)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_found_among_what_a_package_depends_on() {
        let said = "Package: linux-image-cloud-amd64\nVersion: 7.2.13-1\nDepends: \
                    linux-base-cloud-amd64 (= 7.2.13-1), linux-image-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n";
        assert_eq!(image_package(said).as_deref(), Some("linux-image-7.2.13+deb14-cloud-amd64"));
        assert_eq!(image_package("Depends: linux-base\n"), None);
        assert_eq!(image_package(""), None);
    }

    #[test]
    fn an_unknown_kernel_is_refused_with_the_known_ones() {
        let error = provide("4.4", Path::new("/nowhere"), false).expect_err("there is none");
        assert!(error.to_string().contains("5.10, 6.1, 6.12, sid"), "{error}");
    }
}
