//! What a session profiles.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use flame_common::config::Config;
use flame_common::limits::{CGROUPS, COMM, NAMES};

use super::cgroups::Cgroups;
use crate::process;

/// Which processes a session profiles. The parts add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    pub(crate) pids: Vec<u32>,
    pub(crate) names: Vec<String>,
    pub(crate) cgroups: Vec<PathBuf>,
    pub(crate) all: bool,
}

impl Target {
    /// One running process, as the caller numbers it.
    pub fn pid(pid: u32) -> Self {
        Self::default().and_pid(pid)
    }

    /// The whole machine.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// A further running process.
    #[must_use]
    pub fn and_pid(mut self, pid: u32) -> Self {
        self.pids.push(pid);
        self
    }

    /// Also the processes whose name (at most 15 bytes, as `ps -o comm` shows it) is `name`, now
    /// or later.
    #[must_use]
    pub fn and_name(mut self, name: impl Into<String>) -> Self {
        let mut name = name.into();
        // The kernel cuts names; so that `chromium-browser` means the process that a user sees.
        while name.len() >= COMM {
            name.pop();
        }
        self.names.push(name);
        self
    }

    /// Also the processes of a cgroup (version 2), given by its directory or by its path below
    /// the cgroup file system.
    #[must_use]
    pub fn and_cgroup(mut self, path: impl Into<PathBuf>) -> Self {
        self.cgroups.push(path.into());
        self
    }

    /// Whether nothing was named.
    pub fn is_empty(&self) -> bool {
        !self.all && self.pids.is_empty() && self.names.is_empty() && self.cgroups.is_empty()
    }

    /// Whether it is processes that were named, by pid or name.
    pub(crate) fn is_chosen(&self) -> bool {
        !self.all && self.cgroups.is_empty()
    }

    /// Whether the target is pids alone, which can all end.
    pub(crate) fn can_end(&self) -> bool {
        !self.all && self.names.is_empty() && self.cgroups.is_empty()
    }

    /// Writes what the kernel decides by itself into the programs' configuration.
    pub(crate) fn configure(&self, config: &mut Config) -> Result<()> {
        config.all = self.all.into();
        if self.cgroups.len() > CGROUPS {
            bail!("at most {CGROUPS} cgroups can be profiled at one time");
        }
        if self.names.len() > NAMES {
            bail!("at most {NAMES} names can be profiled at one time");
        }
        let cgroups = Cgroups::find(&self.cgroups)?.for_kernel()?;
        config.cgroup_count = cgroups.len() as u32;
        config.cgroups.iter_mut().zip(cgroups).for_each(|(slot, cgroup)| *slot = cgroup);
        Ok(())
    }

    /// The processes that run now and are meant by name.
    pub(crate) fn named_pids(&self) -> Vec<u32> {
        let pids = self.names.iter().flat_map(|name| process::pids_named(name));
        pids.collect::<HashSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_the_kernel_cuts_them() {
        let target = Target::default().and_name("a-name-of-twenty-bytes");
        assert_eq!(target.names, ["a-name-of-twent"]);
        assert!(!target.is_empty());
        assert!(Target::default().is_empty());
    }
}
