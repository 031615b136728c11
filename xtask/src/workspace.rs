//! Where things lie in this workspace.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the workspace")
}

/// Cargo's target directory: the one that this program was built into.
pub(crate) fn target_dir() -> PathBuf {
    let marked = env::current_exe().ok().and_then(|exe| {
        exe.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()).map(Path::to_path_buf)
    });
    marked.unwrap_or_else(|| root().join("target"))
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
