//! `flame generate`: a page, a report, an image or folded stacks from any pprof file.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::args::GenerateArgs;
use super::caller::{Caller, acting_for};
use super::place::{IfThere, parent, place};
use super::read::{name_of, read};
use super::status;
use super::summary::{first, link, through};
use super::talk::{shown, tell};
use crate::format::share::percent;
use crate::format::{self, Format, Presentation, html, markdown};
use crate::profile::Profile;

/// Runs the command; the exit status.
pub(super) fn run(args: &GenerateArgs) -> u8 {
    let caller = Caller::of_sudo();
    let mut status = 0;
    let mut made = HashMap::new();
    for file in &args.files {
        match acting_for(caller.as_ref(), || generate(file, args, &mut made)) {
            Ok(()) => {}
            Err(error) => {
                tell(&error);
                status = status::NOTHING;
            }
        }
    }
    status
}

/// Makes the files of one profile. `made` are those of the profiles before it, by what they were made
/// of.
fn generate<'a>(
    file: &'a Path,
    args: &GenerateArgs,
    made: &mut HashMap<PathBuf, &'a Path>,
) -> Result<()> {
    let profile = read(file)?;
    let name = name_of(file);
    let formats = formats(args);
    for &wanted in &formats {
        let (directory, target) = place_of(file, wanted, args, formats.len())?;
        let presentation = Presentation {
            title: &name,
            by_process: several_processes(&profile),
            source_id: &name,
            flat_inlines: args.flat_inlines,
        };
        let mut bytes = Vec::new();
        format::write(wanted, &profile, &presentation, &mut bytes)
            .with_context(|| format!("make the {} of {}", wanted.name(), file.display()))?;
        let path = directory.join(&target);
        if fs::canonicalize(&path).is_ok_and(|path| fs::canonicalize(file).is_ok_and(|f| f == path))
        {
            bail!(
                "{} would replace the profile that it is made of; name another by -o",
                path.display()
            );
        }
        if let Some(other) = made.insert(path.clone(), file)
            && other != file
        {
            bail!(
                "{} was just made of {}; the one of {} needs another folder",
                path.display(),
                other.display(),
                file.display()
            );
        }
        let replace = args.force || was_made_of(&path, wanted, &name);
        let there = if replace { IfThere::Replace } else { IfThere::Refuse };
        place(&directory, &target, &bytes, there)?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        match wanted {
            Format::Html => eprintln!("{}", link(&path)),
            _ => eprintln!("{}", shown(&path.to_string_lossy())),
        }
    }
    let (functions, total) = first(&profile, profile.default_sample_type());
    for function in functions {
        let through = through(function.through.as_deref());
        let share = percent(function.self_value, total, 1);
        eprintln!("  {share:>7}  {}{through}", shown(&function.name));
    }
    if profile.sample_count() == 0 {
        eprintln!("{} has no samples; the page says so", shown(&file.to_string_lossy()));
    }
    Ok(())
}

/// What to write: what was asked for, or what the output's name ends in, or what most want.
fn formats(args: &GenerateArgs) -> Vec<Format> {
    let mut formats = args.format.clone();
    if formats.is_empty() {
        let ending = args.output.as_ref().filter(|output| !output.is_dir());
        let ending = ending.and_then(|output| output.extension()?.to_str());
        match ending.and_then(Format::from_name) {
            Some(format) => formats.push(format),
            None => formats.extend([Format::Html, Format::Markdown]),
        }
    }
    let mut seen = HashSet::new();
    formats.retain(|format| seen.insert(*format));
    formats
}

/// The folder and name of what is written for `file`.
fn place_of(
    file: &Path,
    format: Format,
    args: &GenerateArgs,
    formats: usize,
) -> Result<(PathBuf, OsString)> {
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    let mut own = stem.to_owned();
    own.push(".");
    own.push(format.ending());
    let several = args.files.len() > 1 || formats > 1;
    match &args.output {
        None => Ok((parent(file), own)),
        Some(folder) if several || folder.is_dir() => {
            fs::create_dir_all(folder)
                .with_context(|| format!("make the folder {}", folder.display()))?;
            Ok((folder.clone(), own))
        }
        Some(path) => {
            let name =
                path.file_name().with_context(|| format!("{} names no file", path.display()))?;
            Ok((parent(path), name.to_owned()))
        }
    }
}

/// Whether flame made the file of the profile of this name, so that it may be made again. A link or
/// anything that is no regular file it has not made, and does not wait for.
pub(super) fn was_made_of(path: &Path, format: Format, name: &str) -> bool {
    let source_of: fn(&[u8]) -> Option<String> = match format {
        Format::Html => html::source_of,
        Format::Markdown => markdown::source_of,
        _ => return false,
    };
    let mut head = Vec::new();
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let Some(file) = opened.ok().filter(|file| file.metadata().is_ok_and(|file| file.is_file()))
    else {
        return false;
    };
    let read = file.take(64 << 10).read_to_end(&mut head);
    read.is_ok() && source_of(&head).as_deref() == Some(name)
}

/// Whether a profile is of more than one process.
pub(super) fn several_processes(profile: &Profile) -> bool {
    let pids = profile.label_sets().iter().enumerate().filter_map(|(row, _)| {
        let set = crate::profile::LabelSetId::new(row);
        profile.number_label(set, "pid")
    });
    pids.collect::<HashSet<_>>().len() > 1
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_regular_file_was_made_by_flame() {
        let folder = std::env::temp_dir().join(format!("flame-made-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let [page, link, pipe] = ["page.md", "link.md", "pipe.md"].map(|name| folder.join(name));
        let head = "---\nschema: flame-report/1\nflame: \"1\"\nprofile: \"x.pb.gz\"\n";
        fs::write(&page, head).expect("a page");
        symlink("page.md", &link).expect("a link");
        let name = CString::new(pipe.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the call reads a text that ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "a pipe");
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            let made = |path: &Path, name: &str| was_made_of(path, Format::Markdown, name);
            let made = [
                made(&page, "x.pb.gz"),
                made(&page, "y.pb.gz"),
                made(&link, "x.pb.gz"),
                made(&pipe, "x.pb.gz"),
            ];
            // Nobody listens any more where it took too long.
            _ = done.send(made);
        });
        let made = is_done.recv_timeout(Duration::from_secs(20)).expect("no wait for a pipe");
        assert_eq!(made, [true, false, false, false]);
        fs::remove_dir_all(&folder).expect("to clean up");
    }
}
