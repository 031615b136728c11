//! How many stacks reach their root on real programs, judged from the ELF files. The judge and the
//! programs are `roots` of the end-to-end tests.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{command, workspace};

/// Where the table lies in BENCHMARKS.md.
const BEGIN: &str = "<!-- cargo xtask bench roots: begin -->";
const END: &str = "<!-- cargo xtask bench roots: end -->";

#[derive(Debug, Args)]
pub(super) struct RootsArgs {
    /// A program to look at alone, may be given more than once; prints the table instead
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// Tell all stacks that do not reach the root
    #[arg(long)]
    explain: bool,
}

/// Builds flame and the judge, runs all programs, and writes the table.
pub(super) fn run(args: &RootsArgs) -> Result<()> {
    ensure!(command::is_root(), "run it as root: it profiles servers of other users too");
    let build =
        ["build", "--release", "--locked", "--package", "flame", "--package", "flame-tests"];
    command::run(Command::new(workspace::cargo()).args(build).current_dir(workspace::root()))?;
    let folder = workspace::target_dir().join("release");
    let mut roots = Command::new(folder.join("roots"));
    roots.args(&args.programs).args(args.explain.then_some("--explain"));
    roots.env("FLAME", folder.join("flame")).current_dir(workspace::root());
    roots.stderr(std::process::Stdio::inherit());
    let table = command::output(&mut roots).context("look at the programs' stacks")?;
    if !args.programs.is_empty() || args.explain {
        println!("{table}");
        return Ok(());
    }
    let machine = command::output(Command::new("uname").args(["-s", "-r", "-m"]))?;
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = format!("{machine}, {cpus} CPUs.\n\n{table}");
    let path = workspace::root().join("BENCHMARKS.md");
    let old = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let new = super::report::splice_between(&old, BEGIN, END, &text);
    fs::write(&path, new).with_context(|| format!("write {}", path.display()))
}
