//! `cargo xtask tidy`: the rules that no compiler knows. What is checked stands in `rules`, how
//! in the files beside it.

mod imports;
mod rules;
mod source;

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use self::source::Source;
use crate::{command, workspace};

/// One place that breaks a rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks every file that git knows or would know.
pub(crate) fn run() -> Result<()> {
    let sources = sources()?;
    let mut violations: Vec<Violation> = sources.iter().flat_map(check).collect();
    violations.sort();
    for violation in &violations {
        eprintln!("{violation}");
    }
    match violations.len() {
        0 => println!("tidy: {} files", sources.len()),
        count => bail!("{count} places are not tidy"),
    }
    Ok(())
}

fn check(source: &Source) -> Vec<Violation> {
    let mut violations = rules::check(source);
    violations.extend(imports::check(source));
    violations
}

/// Text files of the tree; what is not text has no rules.
fn sources() -> Result<Vec<Source>> {
    let root = workspace::root();
    let listed = command::output(
        Command::new("git")
            // A clone that another user made is fine to list.
            .args(["-c", "safe.directory=*", "ls-files", "-z"])
            .args(["--cached", "--others", "--exclude-standard"])
            .current_dir(root),
    )
    .context("list the files of the tree")?;
    let mut sources = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A file that was removed and is still in git's index.
        let Ok(bytes) = fs::read(root.join(path)) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source::new(path, text));
        }
    }
    Ok(sources)
}
