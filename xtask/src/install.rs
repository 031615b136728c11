//! `cargo xtask install`: flame where sudo finds it. sudo's path has no `~/.cargo/bin`, and often
//! no cargo: so flame is built as the user, and only the copy may need root.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Error, Result, anyhow};

use crate::{command, workspace};

/// Builds flame and puts it into `folder`.
pub(crate) fn run(folder: &Path) -> Result<()> {
    command::run(
        Command::new(workspace::cargo())
            .args(["build", "--release", "--locked", "--package", "flame"])
            .current_dir(workspace::root()),
    )?;
    let built = workspace::target_dir().join("release/flame");
    let installed = folder.join("flame");
    place(&built, &installed).map_err(|error| explain(error, &built, &installed))?;
    println!("installed {}", installed.display());
    Ok(())
}

/// Copies beside the final name and renames, so that there is never half a binary, and a flame
/// that runs keeps its own.
fn place(built: &Path, installed: &Path) -> std::io::Result<()> {
    let beside = installed.with_extension(format!("new-{}", process::id()));
    let placed = fs::copy(built, &beside)
        .and_then(|_| fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&beside, installed));
    if placed.is_err() {
        // Best effort: the error to report is the one above.
        drop(fs::remove_file(&beside));
    }
    placed
}

fn explain(error: std::io::Error, built: &Path, installed: &Path) -> Error {
    let (from, to) = (built.display(), installed.display());
    if error.kind() == ErrorKind::PermissionDenied {
        return anyhow!(
            "not permitted to write {to}; flame is built, and only the copy needs root \
             (sudo may not have cargo in its path):\n\n    sudo install -m 755 {from} {to}\n"
        );
    }
    Error::new(error).context(format!("copy {from} to {to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_is_replaced_whole_and_nothing_stays_beside_it() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("flame-install-{}", process::id()));
        fs::create_dir_all(&folder)?;
        let (built, installed) = (folder.join("built"), folder.join("flame"));
        fs::write(&built, "new")?;
        fs::write(&installed, "old")?;
        place(&built, &installed)?;
        assert_eq!(fs::read_to_string(&installed)?, "new");
        assert_eq!(fs::metadata(&installed)?.permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(&folder)?.count(), 2);
        fs::remove_dir_all(&folder)?;
        Ok(())
    }

    #[test]
    fn a_refusal_names_the_command_that_copies_alone() {
        let refused = explain(
            ErrorKind::PermissionDenied.into(),
            Path::new("target/release/flame"),
            Path::new("/usr/local/bin/flame"),
        );
        let said = refused.to_string();
        assert!(
            said.contains("sudo install -m 755 target/release/flame /usr/local/bin/flame"),
            "{said}"
        );
    }
}
