//! Putting a file in its place: whole or not at all, over nothing that is there, through no link.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

/// What to do where a file of the name is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfThere {
    Refuse,
    Replace,
}

/// Writes `bytes` to `directory/name`: to a new file beside it, which then takes the name.
pub(super) fn place(directory: &Path, name: &OsStr, bytes: &[u8], there: IfThere) -> Result<()> {
    let path = directory.join(name);
    let shown = path.display();
    let folder = File::open(directory).with_context(|| format!("open the folder of {shown}"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = c_name(&temporary)?;
    let written = write_new(&folder, &temporary, bytes)
        .with_context(|| format!("write {shown}"))
        .and_then(|()| {
            rename(&folder, &temporary, &c_name(name)?, there).map_err(|error| {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    anyhow!("{shown} is already there; --force overwrites it")
                } else {
                    anyhow!(error).context(format!("put {shown} in its place"))
                }
            })
        });
    if written.is_err() {
        // SAFETY: the call reads a text that ends in NUL. What cannot be removed is not there.
        unsafe { libc::unlinkat(folder.as_raw_fd(), temporary.as_ptr(), 0) };
    }
    written
}

/// The folder of a file.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a folder with its parents, and finds out whether files can be made in it.
pub(super) fn prepare(directory: &Path) -> Result<()> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("make the folder {shown}"))?;
    let folder = File::open(directory).with_context(|| format!("open the folder {shown}"))?;
    let probe = c_name(OsStr::new(&format!(".flame-{}.part", std::process::id())))?;
    create_new(&folder, &probe).with_context(|| format!("make a file in {shown}"))?;
    // SAFETY: the call reads a text that ends in NUL.
    if unsafe { libc::unlinkat(folder.as_raw_fd(), probe.as_ptr(), 0) } != 0 {
        bail!("remove a file in {shown}: {}", io::Error::last_os_error());
    }
    Ok(())
}

fn c_name(name: &OsStr) -> Result<CString> {
    CString::new(name.as_bytes()).with_context(|| format!("name a file {}", name.display()))
}

fn create_new(folder: &File, name: &CString) -> io::Result<File> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the call reads a text that ends in NUL.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, 0o644) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call just returned this descriptor, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn write_new(folder: &File, name: &CString, bytes: &[u8]) -> io::Result<()> {
    let mut file = match create_new(folder, name) {
        // Left by a flame of the same pid that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // SAFETY: the call reads a text that ends in NUL.
            unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) };
            create_new(folder, name)?
        }
        created => created?,
    };
    file.write_all(bytes)?;
    // Some file systems tell only now that the disk is full.
    file.sync_all()
}

fn rename(folder: &File, from: &CString, to: &CString, there: IfThere) -> io::Result<()> {
    let fd = folder.as_raw_fd();
    let flags = match there {
        IfThere::Refuse => libc::RENAME_NOREPLACE,
        IfThere::Replace => 0,
    };
    // SAFETY: the call reads two texts that end in NUL.
    if unsafe { libc::renameat2(fd, from.as_ptr(), fd, to.as_ptr(), flags) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if flags == 0 || error.raw_os_error() != Some(libc::EINVAL) {
        return Err(error);
    }
    // A file system that cannot refuse in one step: a second name is refused where one is there.
    // SAFETY: as above.
    unsafe {
        if libc::linkat(fd, from.as_ptr(), fd, to.as_ptr(), 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::unlinkat(fd, from.as_ptr(), 0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("flame-place-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_that_is_there_is_kept_unless_replacing_was_asked() {
        let folder = folder("there");
        let name = OsStr::new("f");
        place(&folder, name, b"one", IfThere::Refuse).expect("a new file");
        let error = place(&folder, name, b"two", IfThere::Refuse).expect_err("it is there");
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read(folder.join("f")).expect("the file"), b"one");
        place(&folder, name, b"two", IfThere::Replace).expect("replaced");
        assert_eq!(fs::read(folder.join("f")).expect("the file"), b"two");
        assert_eq!(names(&folder), ["f"], "nothing half-written is left");
        fs::remove_dir_all(&folder).expect("to clean up");
    }

    #[test]
    fn a_link_of_the_name_is_replaced_and_not_followed() {
        let folder = folder("link");
        fs::write(folder.join("victim"), "v").expect("a file");
        std::os::unix::fs::symlink("victim", folder.join("f")).expect("a link");
        assert!(place(&folder, OsStr::new("f"), b"x", IfThere::Refuse).is_err());
        place(&folder, OsStr::new("f"), b"x", IfThere::Replace).expect("replaced");
        assert_eq!(fs::read(folder.join("victim")).expect("the file"), b"v");
        fs::remove_dir_all(&folder).expect("to clean up");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = prepare(Path::new("/proc/no/such")).expect_err("not in /proc");
        assert!(format!("{error:#}").contains("/proc/no/such"), "{error:#}");
    }
}
