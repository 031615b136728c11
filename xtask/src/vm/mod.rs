//! `cargo xtask vm-test`: flame on other kernels, each booted in an emulator. Whether the verifier
//! takes the programs, whether the stacks of a known program are whole there, and whether its blocks
//! are counted right.

mod blocks;
mod chain;
mod guest;
mod initramfs;
mod kernels;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::blocks::Blocks;
use self::chain::Found;
use self::guest::Told;
use self::kernels::Kernel;
use crate::{command, workspace};

/// What is to be tried.
#[derive(Debug, Args)]
pub(crate) struct VmTestArgs {
    /// 5.10, 6.1, 6.12, sid, or the path of a kernel image [default: the four of Debian]
    #[arg(value_name = "KERNEL")]
    kernels: Vec<String>,
    /// Look for newer kernels than those that were downloaded before
    #[arg(long)]
    update: bool,
    /// How long the workload runs in the guest
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    seconds: u32,
}

/// The oldest kernel that flame says it works on.
const OLDEST: (u32, u32) = (5, 15);
/// The first kernel with `bpf_loop`: before it, deep stacks end at a limit.
const WHOLE_SINCE: (u32, u32) = (5, 17);
/// The least share of whole stacks.
const WHOLE_PERCENT: f64 = 99.0;
/// Fewer samples show nothing.
const LEAST_SAMPLES: u64 = 200;

const PROGRAMS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("gcc", "gcc"),
    ("ldd", "libc-bin"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
];

/// Boots each kernel in turn, and prints a table of what came of it.
pub(crate) fn run(args: &VmTestArgs) -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(program, _)| !command::exists(program));
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        bail!("programs are missing:\n\n    sudo apt-get install {}\n", missing.join(" "));
    }
    let folder = workspace::target_dir().join("vm");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let names = if args.kernels.is_empty() { kernels::names() } else { args.kernels.clone() };
    let kernels: Vec<Kernel> = names
        .iter()
        .map(|name| kernels::provide(name, &folder, args.update))
        .collect::<Result<_>>()?;
    let file_system = folder.join("initramfs");
    let [chain, blocks] = [workload(&folder, "known_chain")?, workload(&folder, "alloc_shares")?];
    let content = guest::file_system(&flame()?, [&chain, &blocks], args.seconds)?;
    fs::write(&file_system, content).context("write the guest's file system")?;
    let mut rows = Vec::new();
    for kernel in kernels {
        eprintln!("{}: booting {}", kernel.name, kernel.image.display());
        let row = match guest::boot(&kernel, &file_system, &folder) {
            Ok(told) => Row::judge(&kernel.name, &told),
            Err(error) => Row::failed(&kernel.name, format!("{error:#}")),
        };
        eprintln!("{}: {}", row.name, row.said);
        rows.push(row);
    }
    let failed = rows.iter().filter(|row| !row.good).count();
    println!("\n{}", Table(&rows));
    if failed > 0 {
        bail!(
            "{failed} of {} kernels failed; what they told is in {}",
            rows.len(),
            folder.display()
        );
    }
    Ok(())
}

fn flame() -> Result<PathBuf> {
    command::run(
        Command::new(workspace::cargo())
            .args(["build", "--release", "--locked", "--package", "flame"])
            .current_dir(workspace::root()),
    )?;
    Ok(workspace::target_dir().join("release/flame"))
}

/// A program of which something is known, without frame pointers.
fn workload(folder: &Path, name: &str) -> Result<PathBuf> {
    let program = folder.join(name);
    command::run(
        Command::new("gcc")
            .args(["-O2", "-fomit-frame-pointer", "-pthread", "-o"])
            .arg(&program)
            .arg(workspace::root().join(format!("tests/workloads/c/{name}.c"))),
    )?;
    Ok(program)
}

/// What came of a kernel.
#[derive(Debug)]
struct Row {
    name: String,
    release: String,
    took: Duration,
    /// From flame's start to sampling, in milliseconds.
    armed_ms: Option<f64>,
    /// Instructions that the verifier looked at, of all programs.
    verified: Option<u64>,
    samples: Option<u64>,
    whole: Option<f64>,
    blocks: Option<Blocks>,
    good: bool,
    said: String,
}

impl Row {
    fn failed(name: &str, said: String) -> Self {
        Self {
            name: name.to_owned(),
            release: String::new(),
            took: Duration::ZERO,
            armed_ms: None,
            verified: None,
            samples: None,
            whole: None,
            blocks: None,
            good: false,
            said,
        }
    }

    fn judge(name: &str, told: &Told) -> Self {
        let release = told.part("release").to_owned();
        let row =
            Self { release: release.clone(), took: told.took, ..Self::failed(name, String::new()) };
        let version = version(&release);
        let said = told.part("said");
        if told.part("status") != "0" && told.part("status") != "1" || told.part("json").is_empty()
        {
            let line = said.lines().next().unwrap_or("nothing said").to_owned();
            let refused = version < OLDEST && said.contains("5.15");
            return Self { good: refused, said: format!("refused: {line}"), ..row };
        }
        let verified = told
            .part("verified")
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        let json: serde_json::Value = serde_json::from_str(told.part("json")).unwrap_or_default();
        let deep = version >= WHOLE_SINCE;
        let found = Found::read(told.part("folded"), deep);
        let samples = json["profiles"][0]["samples"].as_u64();
        let blocks = Blocks::read(told.part("blocks"));
        let (good, said) = match &found.broken {
            _ if samples.unwrap_or(0) < LEAST_SAMPLES => (false, "too few samples".to_owned()),
            _ if !found.has_all() => (false, format!("{} of the functions seen", found.functions)),
            Some(path) if found.percent() < WHOLE_PERCENT => (false, format!("not whole: {path}")),
            _ if !blocks.as_ref().is_some_and(Blocks::is_right) => {
                let said = told.part("heap").lines().next().unwrap_or("nothing said");
                (false, format!("blocks are not counted right: {said}"))
            }
            _ if deep => (true, "ok".to_owned()),
            _ => (true, "ok, deep stacks left aside".to_owned()),
        };
        Self {
            armed_ms: json["armed_ms"].as_f64(),
            verified: Some(verified.sum()),
            samples,
            whole: Some(found.percent()),
            blocks,
            good,
            said,
            ..row
        }
    }
}

/// The version in a release such as `6.1.0-50-cloud-amd64`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The rows, as text.
struct Table<'a>(&'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn text<T: fmt::Display>(value: Option<T>) -> String {
            value.map_or_else(|| "-".to_owned(), |value| value.to_string())
        }
        writeln!(
            f,
            "{:8} {:30} {:>8} {:>9} {:>9} {:>8} {:>8} {:>15}  result",
            "kernel", "release", "took", "to sample", "verified", "samples", "whole", "blocks"
        )?;
        for row in self.0 {
            let armed = row.armed_ms.map(|ms| format!("{:.1} s", ms / 1000.0));
            let whole = row.whole.map(|percent| format!("{percent:.2} %"));
            writeln!(
                f,
                "{:8} {:30} {:>6.1} s {:>9} {:>9} {:>8} {:>8} {:>15}  {}",
                row.name,
                row.release,
                row.took.as_secs_f64(),
                text(armed),
                text(row.verified),
                text(row.samples),
                text(whole),
                text(row.blocks.as_ref()),
                row.said,
            )?;
        }
        Ok(())
    }
}
