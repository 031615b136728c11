//! Other programs: run one, read one's output, find one.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a command to its end, on this terminal; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("run {line}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Runs a command to its end, on this terminal; whether it succeeded, and what it wrote to stdout.
pub(crate) fn tee(command: &mut Command) -> Result<(bool, String)> {
    let line = line(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("run {line}"))?;
    let stdout = child.stdout.take().with_context(|| format!("listen to {line}"))?;
    let mut said = String::new();
    for text in BufReader::new(stdout).lines() {
        let text = text.with_context(|| format!("listen to {line}"))?;
        println!("{text}");
        said.push_str(&text);
        said.push('\n');
    }
    let status = child.wait().with_context(|| format!("wait for {line}"))?;
    Ok((status.success(), said))
}

/// What a command writes to stdout, without the white space around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.output().with_context(|| format!("run {line}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{line}: {}: {}", output.status, said.trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("read {line}'s output"))?;
    Ok(text.trim().to_owned())
}

/// Every program of this name: PATH's, then the system folders that an ordinary user's PATH lacks.
pub(crate) fn find_all(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from);
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in env::split_paths(&path).chain(system) {
        let program = folder.join(name);
        if is_executable(&program) && !found.contains(&program) {
            found.push(program);
        }
    }
    found
}

/// Whether there is a program of this name.
pub(crate) fn exists(name: &str) -> bool {
    !find_all(name).is_empty()
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|uid| uid == "0")
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}
