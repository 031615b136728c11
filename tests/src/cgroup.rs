//! A cgroup of a test's own.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use crate::machine::skip;

/// A cgroup of version 2, removed at the end.
#[derive(Debug)]
pub struct Cgroup {
    mount: PathBuf,
    directory: PathBuf,
}

impl Cgroup {
    /// A new one, or `None`, and says so, where there can be none.
    pub fn new() -> Option<Self> {
        let Some(mount) = mount() else {
            skip("no cgroup file system of version 2 is mounted");
            return None;
        };
        let directory = mount.join(format!("flame-tests-{}", std::process::id()));
        Some(Self::made(mount, directory))
    }

    /// A new one below it.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self::made(self.mount.clone(), self.directory.join(name))
    }

    fn made(mount: PathBuf, directory: PathBuf) -> Self {
        let made = fs::create_dir(&directory);
        made.unwrap_or_else(|e| panic!("make the cgroup {}: {e}", directory.display()));
        Self { mount, directory }
    }

    /// Its directory.
    pub fn directory(&self) -> &str {
        self.directory.to_str().expect("a text")
    }

    /// Its path below the mount.
    pub fn path(&self) -> String {
        let below = self.directory.strip_prefix(&self.mount).expect("below the mount");
        format!("/{}", below.display())
    }

    /// Moves a process into it.
    pub fn put(&self, pid: u32) {
        let list = self.directory.join("cgroup.procs");
        fs::write(list, pid.to_string()).expect("put into a cgroup");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes have been ended, but may not have left yet.
        for _ in 0..100 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    }
}

fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").expect("read /proc/mounts");
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    mounts.find(|fields| fields[2] == "cgroup2").map(|fields| PathBuf::from(fields[1]))
}
