//! A session's files: their names, what is in them, and where they go if their place is refused.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::args::RecordingArgs;
use super::caller::{Caller, acting_for};
use super::place::{IfThere, place, prepare};
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

/// What became of a profile's files.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) written: Vec<Written>,
    /// Why the first of those that are not where they should be is not.
    pub(super) refused: Option<anyhow::Error>,
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

    /// Writes the files of a profile that began at `stamp`. Those that the folder refuses go to the
    /// folder for temporary files. A format that the profile cannot be written in does not keep
    /// another from being written.
    pub(super) fn write(&self, recorded: &Recorded, stamp: &str, title: &str) -> Files {
        let mut files = Files::default();
        for (name, title, profile, by_process) in self.sets(recorded, title) {
            for &format in &self.formats {
                let base = format!("{}-profile-{name}{stamp}", recorded.of.name());
                let presentation = Presentation {
                    title: &title,
                    by_process,
                    source_id: &format!("{base}.pb"),
                    flat_inlines: self.flat_inlines,
                };
                let mut content = Vec::new();
                let made = format::write(format, profile, &presentation, &mut content)
                    .with_context(|| format!("make the {} of the profile", format.name()));
                if let Err(error) = made {
                    // What one format has no room for, another may have.
                    files.refused.get_or_insert(error);
                    continue;
                }
                let file = OsString::from(format!("{base}.{}", format.ending()));
                let (path, refused) = self.put(&file, &content);
                let bytes = content.len() as u64;
                files.written.extend(path.map(|path| Written { path, format, bytes }));
                files.refused = files.refused.or(refused);
            }
        }
        files
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

    /// Puts a file into the folder or, if that refuses it, where temporary files go: the path, and
    /// why it was refused.
    fn put(&self, file: &OsString, bytes: &[u8]) -> (Option<PathBuf>, Option<anyhow::Error>) {
        let into = |directory: &Path| {
            acting_for(self.caller.as_ref(), || {
                place(directory, file, bytes, self.there)?;
                // For the link that is printed; where it cannot be had the path will do.
                let absolute = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
                Ok(absolute.join(file))
            })
        };
        let error = match into(&self.directory) {
            Ok(path) => return (Some(path), None),
            Err(error) => error,
        };
        match into(&std::env::temp_dir()) {
            Ok(path) => {
                let found = format!("it is {} instead of where it was asked for", path.display());
                (Some(path), Some(error.context(found)))
            }
            Err(_) => (None, Some(error)),
        }
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
