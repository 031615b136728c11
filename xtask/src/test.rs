//! `cargo xtask test`: what CI runs, in order, cheapest first.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::ebpf::{self, Checked};
use crate::steps::{Outcome, Steps};
use crate::{command, packages, tidy, viewer, workspace};

/// How often end-to-end tests that failed are run again.
const AGAIN: usize = 2;

/// Runs every step up to the first that fails, and prints the table of them.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    let result = all(&mut steps);
    eprintln!("\n{steps}");
    result
}

fn all(steps: &mut Steps) -> Result<()> {
    steps.run("packages", provide_packages)?;
    steps.run("rustfmt", || cargo(&["fmt", "--all", "--check"]))?;
    steps.run("tidy", || tidy::run().map(|()| Outcome::Passed))?;
    steps.run("clippy", clippy)?;
    steps.run("kernel programs", check_ebpf)?;
    steps.run("unit and doc tests", unit_tests)?;
    steps.run("viewer", viewer::test)?;
    steps.run("viewer in a browser", viewer::test_in_browser)?;
    steps.run("end-to-end tests", end_to_end)
}

fn provide_packages() -> Result<Outcome> {
    let without = packages::provide(ebpf::can_build())?;
    Ok(if without.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Partly(format!("without {}", without.join(", ")))
    })
}

/// flame-ebpf builds for a BPF target alone: `check_ebpf` compiles it.
fn clippy() -> Result<Outcome> {
    cargo(&[
        "clippy",
        "--workspace",
        "--exclude=flame-ebpf",
        "--all-targets",
        "--quiet",
        "--",
        "--deny=warnings",
    ])
}

fn check_ebpf() -> Result<Outcome> {
    Ok(match ebpf::check()? {
        Checked::Bytes => Outcome::Passed,
        Checked::Builds => Outcome::Partly("bytes not compared: other tools".to_owned()),
        Checked::Hashes => Outcome::Partly("not built from source: no BPF toolchain".to_owned()),
    })
}

fn unit_tests() -> Result<Outcome> {
    cargo(&["test", "--workspace", "--exclude=flame-ebpf", "--exclude=flame-tests", "--quiet"])
}

/// The tests load programs into the kernel: built as whoever runs this, run as root.
///
/// They measure a real machine, which may do something else at the moment, and some of them
/// estimates, which are far off now and then: what failed is run again by itself, and told if it
/// passes then.
fn end_to_end() -> Result<Outcome> {
    command::run(
        Command::new(workspace::cargo())
            .args(["build", "--release", "--locked", "--package", "flame"])
            .current_dir(workspace::root()),
    )?;
    let mut told = Vec::new();
    let mut failed = failed_of(&mut end_to_end_command(&["--no-fail-fast"])?)?;
    for again in 1..=AGAIN {
        if failed.is_empty() {
            break;
        }
        let names = failed.join(", ");
        eprintln!("\nonce more, by themselves: {names}");
        told.push(format!("{again}. {names}"));
        let mut command = end_to_end_command(&["--no-fail-fast", "--", "--exact"])?;
        failed = failed_of(command.args(&failed))?;
    }
    if !failed.is_empty() {
        bail!("end-to-end tests that failed each time: {}", failed.join(", "));
    }
    Ok(if told.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Partly(format!("passed when run again: {}", told.join("; ")))
    })
}

/// Runs tests; the names of those that failed.
fn failed_of(tests: &mut Command) -> Result<Vec<String>> {
    let (success, said) = command::tee(tests)?;
    let failed = failed_tests(&said);
    if !success && failed.is_empty() {
        bail!("the end-to-end tests did not come to their end");
    }
    Ok(failed)
}

fn end_to_end_command(arguments: &[&str]) -> Result<Command> {
    let mut test = Command::new(workspace::cargo());
    test.args(["test", "--package", "flame-tests"])
        .current_dir(workspace::root())
        .env("FLAME", workspace::target_dir().join("release/flame"));
    if !command::is_root() {
        // sudo puts a path of its own in the place of ours, and tests look for programs on it.
        let path = env::var("PATH").context("read PATH")?;
        test.arg("--config").arg(format!(
            "target.'cfg(all())'.runner = [\"sudo\", \"-E\", \"env\", {path:?}]",
            path = format!("PATH={path}")
        ));
    }
    test.args(arguments);
    Ok(test)
}

/// The names of the tests that failed, from what `cargo test` says.
fn failed_tests(said: &str) -> Vec<String> {
    let name =
        |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    said.lines().filter_map(name).collect()
}

fn cargo(arguments: &[&str]) -> Result<Outcome> {
    command::run(Command::new(workspace::cargo()).args(arguments).current_dir(workspace::root()))?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tests_are_read_from_what_cargo_says() {
        let said = "test a::b ... ok\ntest c::d ... FAILED\nnote ... FAILED\ntest e ... FAILED\n";
        assert_eq!(failed_tests(said), ["c::d", "e"]);
        assert!(failed_tests("test result: FAILED. 1 passed; 1 failed\n").is_empty());
    }
}
