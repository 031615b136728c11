//! What the tests need from the system. To need one more: add a row.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;

/// How to know that a package's work is done already, by it or by another.
#[derive(Clone, Copy)]
enum Given {
    /// One of these programs is there.
    Programs(&'static [&'static str]),
    /// The package itself is installed.
    Itself,
}

/// Whether the tests can go on without it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Need {
    /// They can't.
    Must,
    /// They can: the tests that want it say that they skip.
    May,
}

struct Package {
    name: &'static str,
    given: Given,
    need: Need,
    why: &'static str,
}

const fn program(
    name: &'static str,
    programs: &'static [&'static str],
    why: &'static str,
) -> Package {
    Package { name, given: Given::Programs(programs), need: Need::Must, why }
}

const fn optional(
    name: &'static str,
    programs: &'static [&'static str],
    why: &'static str,
) -> Package {
    Package { name, given: Given::Programs(programs), need: Need::May, why }
}

const fn library(name: &'static str, why: &'static str) -> Package {
    Package { name, given: Given::Itself, need: Need::Must, why }
}

/// Package names are those of Debian 12 and of Ubuntu.
const PACKAGES: &[Package] = &[
    program("git", &["git"], "tidy: the list of the files"),
    program("gcc", &["gcc"], "workloads in C, and a compiler to profile"),
    program("g++", &["g++"], "workloads in C++"),
    library("libc6-dev", "headers for the workloads in C"),
    library("libc6-dbg", "names in the C library"),
    library("libjemalloc2", "an allocator to profile"),
    library("libgoogle-perftools-dev", "an allocator to profile: tcmalloc"),
    library("libmimalloc-dev", "an allocator to profile"),
    program("musl-tools", &["musl-gcc"], "static programs with another allocator"),
    program("perl", &["perl"], "a workload"),
    program("python3", &["python3"], "workloads, and a compiler's worth of frames to read"),
    program("golang-go", &["go"], "a workload, and `go tool pprof` to read what flame writes"),
    program("nodejs", &["node"], "the viewer's tests, and a workload"),
    optional("npm", &["npm"], "what the viewer's tests in a browser are written with"),
    program("redis-server", &["redis-server"], "a server to profile"),
    program("redis-tools", &["redis-benchmark"], "load for it"),
    program("nginx-light", &["nginx"], "a server to profile"),
    program("postgresql", &["pg_ctlcluster"], "a server of many processes to profile"),
    program("sqlite3", &["sqlite3"], "a program without symbols to profile"),
    program("procps", &["ps", "pgrep"], "processes, as others see them"),
    program("sudo", &["sudo"], "flame as an ordinary user runs it"),
    program("util-linux", &["unshare", "setpriv"], "namespaces, and users without rights"),
    optional("linux-perf", &["perf"], "another profiler, to compare stacks with"),
    optional("bpftool", &["bpftool"], "what is left in the kernel after flame"),
    optional(
        "chromium",
        &["chromium", "chromium-browser", "google-chrome"],
        "the HTML page, opened and used",
    ),
];

/// For the kernel programs: the first of these sets that can be had whole.
const BPF: &[&[&str]] = &[
    // Debian 12
    &[
        "rustc-web",
        "libstd-rust-web-dev-bpf",
        "llvm-22-dev",
        "libpolly-22-dev",
        "libzstd-dev",
        "zlib1g-dev",
    ],
    // Debian 14
    &[
        "rustc",
        "libstd-rust-dev-bpf",
        "llvm-22-dev",
        "libpolly-22-dev",
        "libzstd-dev",
        "zlib1g-dev",
    ],
];

/// Installs what the tests need and is missing; without root, names it and stops. Returns what the
/// tests have to go on without.
pub(crate) fn provide(can_build_ebpf: bool) -> Result<Vec<String>> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !package.is_there()).collect();
    if missing.is_empty() && can_build_ebpf {
        return Ok(Vec::new());
    }
    for package in &missing {
        eprintln!("missing: {:14} {}", package.name, package.why);
    }
    if !command::is_root() {
        return without_root(&missing);
    }
    if !command::exists("apt-get") {
        bail!("no apt-get here: install what is missing by other means");
    }
    apt(&["update", "--quiet=2"])?;
    let (available, absent): (Vec<&Package>, Vec<&Package>) =
        missing.into_iter().partition(|package| has_candidate(package.name));
    if let Some(package) = absent.iter().find(|package| package.need == Need::Must) {
        bail!("no package {} to be had here ({})", package.name, package.why);
    }
    let mut names: Vec<&str> = available.iter().map(|package| package.name).collect();
    let mut without: Vec<String> = absent.iter().map(|package| package.name.to_owned()).collect();
    if !can_build_ebpf {
        match BPF.iter().find(|set| set.iter().all(|name| has_candidate(name))) {
            Some(set) => names.extend(*set),
            None => without.push("a compiler for eBPF".to_owned()),
        }
    }
    install(&names)?;
    Ok(without)
}

impl Package {
    fn is_there(&self) -> bool {
        match self.given {
            Given::Programs(programs) => programs.iter().any(|program| command::exists(program)),
            Given::Itself => is_installed(self.name),
        }
    }
}

fn without_root(missing: &[&Package]) -> Result<Vec<String>> {
    let names = |need: Need| -> Vec<&str> {
        missing.iter().filter(|package| package.need == need).map(|package| package.name).collect()
    };
    let must = names(Need::Must);
    if !must.is_empty() {
        bail!("packages are missing:\n\n    sudo apt-get install {}\n", must.join(" "));
    }
    Ok(names(Need::May).into_iter().map(str::to_owned).collect())
}

fn is_installed(package: &str) -> bool {
    command::output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

/// Whether apt can install it: `apt-cache policy` tells `(none)` of a name without a package.
fn has_candidate(package: &str) -> bool {
    command::output(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))
        .is_ok_and(|said| {
            said.lines()
                .filter_map(|line| line.trim().strip_prefix("Candidate: "))
                .any(|version| version != "(none)")
        })
}

/// Servers start when their packages are installed, unless the machine's policy says no: tests
/// start their own. The policy is put aside again whatever happens; one that is there is left.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
apt-get install --yes --quiet=2 --no-install-recommends "$@"
"#;

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    eprintln!("installing: {}", packages.join(" "));
    command::run(
        Command::new("sh")
            .args(["-c", INSTALL, "install"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .context("install packages")
}

fn apt(arguments: &[&str]) -> Result<()> {
    command::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_listed_once() {
        let mut names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn without_root_what_must_be_there_is_named_and_the_rest_is_passed_on() -> Result<()> {
        let must = program("gcc", &["gcc"], "");
        let may = optional("chromium", &["chromium"], "");
        let error = without_root(&[&must, &may]).expect_err("gcc must be there");
        assert!(error.to_string().contains("sudo apt-get install gcc\n"), "{error}");
        assert_eq!(without_root(&[&may])?, ["chromium"]);
        Ok(())
    }
}
