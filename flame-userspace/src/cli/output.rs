//! A session's files: their names, what is in them, and where they go if their place is refused.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::args::RecordingArgs;
use super::caller::{Caller, acting_for};
use super::place::{IfThere, place, prepare};
use super::talk::Talk;
use crate::format::{self, Format, Presentation};
use crate::profile::Profile;
use crate::session::Recorded;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) bytes: u64,
}

/// Where and how a session's files are written.
#[derive(Debug, Clone)]
pub(super) struct Output {
    directory: PathBuf,
    formats: Vec<Format>,
    per_process: bool,
    flat_inlines: bool,
    there: IfThere,
    caller: Option<Caller>,
}

impl Output {
    /// As the arguments say. Makes the folder and sees that files can be made in it, so that this
    /// does not fail when the session is over.
    pub(super) fn prepare(args: &RecordingArgs) -> Result<Self> {
        let mut seen = HashSet::new();
        let output = Self {
            directory: args.output_dir.clone(),
            formats: args.format.iter().copied().filter(|format| seen.insert(*format)).collect(),
            per_process: args.per_process,
            flat_inlines: args.flat_inlines,
            there: if args.force { IfThere::Replace } else { IfThere::Refuse },
            caller: Caller::of_sudo(),
        };
        acting_for(output.caller.as_ref(), || prepare(&output.directory))?;
        Ok(output)
    }

    /// Writes the files of a profile that began at `stamp`. If the folder refuses them, they go
    /// to the folder for temporary files, and the error that this returns says so. A format that the
    /// profile cannot be written in is an error too, once all others are written.
    pub(super) fn write(
        &self,
        recorded: &Recorded,
        stamp: &str,
        title: &str,
        talk: &Talk,
    ) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        let mut refused = None;
        for (name, title, profile, by_process) in self.sets(recorded, title) {
            for &format in &self.formats {
                let base = format!("{}-profile-{name}{stamp}", recorded.of.name());
                let presentation = Presentation {
                    title: &title,
                    by_process,
                    source_id: &format!("{base}.pb"),
                    flat_inlines: self.flat_inlines,
                };
                let mut bytes = Vec::new();
                let made = format::write(format, profile, &presentation, &mut bytes)
                    .with_context(|| format!("make the {} of the profile", format.name()));
                if let Err(error) = made {
                    // What one format has no room for, another may have.
                    refused.get_or_insert(error);
                    continue;
                }
                let file = OsString::from(format!("{base}.{}", format.ending()));
                let path = self.put(&file, &bytes, talk)?;
                written.push(Written { path, format, bytes: bytes.len() as u64 });
            }
        }
        refused.map_or(Ok(written), Err)
    }

    /// The sets of files: a part of their names, a title, the profile, and whether processes are
    /// told apart in it.
    fn sets<'a>(
        &self,
        recorded: &'a Recorded,
        title: &str,
    ) -> Vec<(String, String, &'a Profile, bool)> {
        if !self.per_process {
            let several = recorded.quality.processes > 1;
            return vec![(String::new(), title.to_owned(), &recorded.profile, several)];
        }
        let sets = recorded.processes.iter().map(|(comm, pid, profile)| {
            let name = format!("{}-{pid}-", file_name(comm));
            (name, format!("{comm} ({pid})"), profile, false)
        });
        sets.collect()
    }

    fn put(&self, file: &OsString, bytes: &[u8], talk: &Talk) -> Result<PathBuf> {
        let into = |directory: &Path| {
            acting_for(self.caller.as_ref(), || {
                place(directory, file, bytes, self.there)?;
                // For the link that is printed; where it cannot be had the path will do.
                let absolute = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
                Ok(absolute.join(file))
            })
        };
        into(&self.directory).map_err(|error| {
            let elsewhere = std::env::temp_dir();
            match into(&elsewhere) {
                Ok(path) => {
                    talk.error(&format!("{error:#}; it is in {} instead", path.display()));
                    error.context("write the profile where it was asked for")
                }
                Err(_) => error,
            }
        })
    }
}

/// A process's name as a part of a file's name: letters, digits, `_`, `.`, `+`; not in front a dot.
fn file_name(comm: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_.+".contains(c) { c } else { '_' };
    let name: String = comm.chars().map(safe).collect();
    if name.is_empty() || name.starts_with('.') { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes_cannot_lead_elsewhere() {
        assert_eq!(file_name("redis-server"), "redis_server");
        assert_eq!(file_name("../../etc"), "_.._.._etc");
        assert_eq!(file_name("kworker/0:1"), "kworker_0_1");
        assert_eq!(file_name(""), "_");
    }
}
