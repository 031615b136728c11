//! The cgroups (version 2) that are targets.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flame_common::config::Cgroup;

use crate::process;

/// Some cgroups, none of which is below another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cgroups(Vec<Group>);

/// A cgroup.
#[derive(Debug, Clone)]
struct Group {
    directory: PathBuf,
    /// Its path below the cgroup file system.
    below: PathBuf,
    /// Its CPU time at the last look, in nanoseconds, and of those before it that had the same name.
    last_ns: u64,
    before_ns: u64,
}

impl Cgroups {
    /// Finds cgroups by their directories, or by their paths below the cgroup file system.
    pub(super) fn find(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Ok(Self::default());
        }
        let mount = mount().context("no cgroup file system of version 2 is mounted")?;
        let found: Result<Vec<Group>> =
            paths.iter().map(|path| Group::find(path, &mount)).collect();
        let mut found = found?;
        found.sort_by(|a, b| a.directory.cmp(&b.directory));
        // One that is below another sorts behind it, and behind nothing else that is not.
        found.dedup_by(|later, before| later.directory.starts_with(&before.directory));
        Ok(Self(found))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How the kernel programs know them: a cgroup's id is its directory's inode number, its level
    /// how deep it lies.
    pub(super) fn for_kernel(&self) -> Result<Vec<Cgroup>> {
        if !self.0.is_empty() && !sees_all_levels() {
            bail!(
                "flame runs in a cgroup namespace, as containers have one, where it is not known how \
                 deep a cgroup lies: run it outside, or name processes instead"
            );
        }
        let of = |Group { directory, below, .. }: &Group| {
            let meta = fs::metadata(directory)
                .with_context(|| format!("look at {}", directory.display()))?;
            Ok(Cgroup { id: meta.ino(), level: below.components().count() as u32, pad: 0 })
        };
        self.0.iter().map(of).collect()
    }

    /// The CPU time of all processes that are or were in them, in nanoseconds (`usage_usec` of
    /// `cpu.stat`: `Documentation/admin-guide/cgroup-v2.rst` of Linux). One that has gone counts as it
    /// was last seen.
    pub(crate) fn cpu_ns(&mut self) -> u64 {
        self.0.iter_mut().map(Group::cpu_ns).sum()
    }

    /// Whether a process is in one of them, or in one below.
    pub(crate) fn hold(&self, pid: u32) -> bool {
        let of_process = process::cgroup(pid);
        of_process.is_some_and(|path| self.0.iter().any(|group| path.starts_with(&group.below)))
    }
}

/// Whether flame is in the machine's own cgroup namespace (`PROC_CGROUP_INIT_INO` in
/// `include/linux/proc_ns.h`), or on a kernel that has none.
fn sees_all_levels() -> bool {
    const INITIAL: u64 = 0xefff_fffb;
    fs::metadata("/proc/self/ns/cgroup").map_or(true, |namespace| namespace.ino() == INITIAL)
}

impl Group {
    fn find(path: &Path, mount: &Path) -> Result<Self> {
        let directory = if path.starts_with(mount) {
            path.to_owned()
        } else {
            mount.join(path.strip_prefix("/").unwrap_or(path))
        };
        let directory = fs::canonicalize(&directory).with_context(|| {
            format!("find the cgroup {} ({})", path.display(), directory.display())
        })?;
        let below = directory.strip_prefix(mount).ok().with_context(|| {
            format!(
                "{} is not below the cgroup file system {}",
                directory.display(),
                mount.display()
            )
        })?;
        let below = below.to_owned();
        Ok(Self { directory, below, last_ns: 0, before_ns: 0 })
    }

    fn cpu_ns(&mut self) -> u64 {
        if let Some(now) = used_ns(&self.directory) {
            if now < self.last_ns {
                // Its directory was made anew.
                self.before_ns += self.last_ns;
            }
            self.last_ns = now;
        }
        self.before_ns + self.last_ns
    }
}

fn used_ns(directory: &Path) -> Option<u64> {
    let text = fs::read_to_string(directory.join("cpu.stat")).ok()?;
    let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(used.trim().parse::<u64>().ok()?.saturating_mul(1000))
}

/// Where the cgroup file system of version 2 is mounted.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_cgroup_that_is_not_there_is_an_error_that_names_it() {
        let error = Cgroups::find(&["/no/such/group".into()]).expect_err("no such cgroup");
        assert!(format!("{error:#}").contains("cgroup"), "{error:#}");
        assert!(Cgroups::find(&[]).expect("none").is_empty());
    }

    #[test]
    fn the_root_has_every_process_and_one_below_it_is_no_more() {
        let Some(mount) = mount() else { return };
        let own = process::cgroup(std::process::id()).expect("flame's own");
        let mut groups = Cgroups::find(&[mount.join(&own), mount]).expect("they are there");
        assert_eq!(groups.0.len(), 1, "{groups:?}");
        assert!(groups.hold(std::process::id()));
        assert!(!groups.hold(u32::MAX), "no such process");
        let (before, began) = (groups.cpu_ns(), Instant::now());
        while groups.cpu_ns() < before + 20_000_000 {
            assert!(began.elapsed() < Duration::from_secs(20), "it stands still");
        }
    }

    #[test]
    fn one_that_is_gone_or_made_anew_has_what_it_used() {
        let directory = std::env::temp_dir().join(format!("flame-cgroup-{}", std::process::id()));
        fs::create_dir(&directory).expect("a directory");
        let group =
            Group { directory: directory.clone(), below: PathBuf::new(), last_ns: 0, before_ns: 0 };
        let mut groups = Cgroups(vec![group]);
        let stat = directory.join("cpu.stat");
        for (told, sum_us) in [("700", 700), ("900", 900), ("100", 1000), ("", 1000)] {
            fs::write(&stat, format!("usage_usec {told}\nuser_usec 1\n")).expect("write it");
            assert_eq!(groups.cpu_ns(), sum_us * 1000);
        }
        fs::remove_dir_all(&directory).expect("remove it");
        assert_eq!(groups.cpu_ns(), 1_000_000);
    }
}
