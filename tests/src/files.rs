//! Folders of tests, and what lies in them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of a test, that every user may look into; removed at the end.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new, empty folder.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("flame-tests-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        let folder = Self { path };
        folder.mode(0o755);
        folder
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a folder in it.
    pub fn make(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        path
    }

    /// Sets who may use it.
    pub fn mode(&self, mode: u32) {
        set_mode(&self.path, mode);
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the temporary folder's to lose.
        _ = fs::remove_dir_all(&self.path);
    }
}

/// Sets who may use a file or folder.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("set the mode of {}: {error}", path.display()));
}

/// The names in a folder, hidden ones too, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("read the folder {}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The files in a folder that end so, in order.
pub fn ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    names(folder).iter().filter(|n| n.ends_with(ending)).map(|n| folder.join(n)).collect()
}

/// The CPU profiles in a folder, in the order of their names.
pub fn cpu_profiles(folder: &Path) -> Vec<PathBuf> {
    let mut files = ending(folder, ".pb");
    files.retain(|file| {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cpu-profile-"))
    });
    files
}
