//! A cgroup of a test's own.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use crate::machine::skip;

/// A cgroup, removed at the end.
#[derive(Debug)]
pub struct Cgroup {
    mount: PathBuf,
    directory: PathBuf,
}

impl Cgroup {
    /// A new one of version 2, or `None`, and says so, where there can be none.
    pub fn new() -> Option<Self> {
        let Some(mount) = mount(|kind, _| kind == "cgroup2") else {
            skip("no cgroup file system of version 2 is mounted");
            return None;
        };
        Some(Self::own(mount))
    }

    /// A new one of few tasks (of version 1 where that is what limits them), or `None`, and says so.
    pub fn of_few(tasks: u32) -> Option<Self> {
        let of_two = |path: &str| {
            let limited = fs::read_to_string(format!("{path}/cgroup.subtree_control"));
            limited.is_ok_and(|limited| limited.split_whitespace().any(|what| what == "pids"))
        };
        let limits = |kind: &str, fields: &[&str]| match kind {
            "cgroup" => fields[3].split(',').any(|option| option == "pids"),
            _ => kind == "cgroup2" && of_two(fields[1]),
        };
        let Some(mount) = mount(limits) else {
            skip("no cgroup file system limits the number of tasks");
            return None;
        };
        let cgroup = Self::own(mount);
        let limit = cgroup.directory.join("pids.max");
        fs::write(limit, tasks.to_string()).expect("limit the tasks of a cgroup");
        Some(cgroup)
    }

    fn own(mount: PathBuf) -> Self {
        let directory = mount.join(format!("flame-tests-{}", std::process::id()));
        Self::made(mount, directory)
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

/// The first mount whose type and fields (`/proc/mounts`) are as wanted.
fn mount(is_wanted: impl Fn(&str, &[&str]) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").expect("read /proc/mounts");
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    mounts.find(|fields| is_wanted(fields[2], fields)).map(|fields| PathBuf::from(fields[1]))
}
