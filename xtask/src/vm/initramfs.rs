//! The guest's whole file system: an archive that the kernel unpacks into memory when it boots, in
//! the format `newc` of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive in the making.
#[derive(Default)]
pub(super) struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// An empty folder, and those that it lies in.
    pub(super) fn folder(&mut self, path: &str) {
        self.folders_to(&Path::new(path).join("what lies in it"));
    }

    /// A program of these bytes.
    pub(super) fn program(&mut self, path: &str, bytes: &[u8]) {
        let path = Path::new(path);
        self.folders_to(path);
        if self.files.insert(path.to_owned()) {
            self.entry(path, PROGRAM, bytes);
        }
    }

    /// This machine's program `from`, and the libraries that it loads, at the paths they have here.
    pub(super) fn program_with_libraries(&mut self, path: &str, from: &Path) -> Result<()> {
        self.program(path, &read(from)?);
        let listed = command::output(Command::new("ldd").arg(from).env("LC_ALL", "C"));
        // A static program has none, which `ldd` takes for an error.
        for library in listed.map(|listed| libraries(&listed)).unwrap_or_default() {
            self.program(&library, &read(Path::new(&library))?);
        }
        Ok(())
    }

    /// The archive's bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, &[]);
        self.bytes
    }

    fn folders_to(&mut self, path: &Path) {
        let folders: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in folders.into_iter().rev().filter(|folder| folder.parent().is_some()) {
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER, &[]);
            }
        }
    }

    /// A header of numbers in hexadecimal, the name, the content, each padded to four bytes.
    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let name = path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes();
        self.entries += 1;
        let links = if mode == FOLDER { 2 } else { 1 };
        let numbers = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The paths in what `ldd` lists: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader.
fn libraries(listed: &str) -> Vec<String> {
    let words = listed.lines().filter_map(|line| {
        line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned)
    });
    words.collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_lists() {
        let listed = "\tlinux-vdso.so.1 (0x00007f6d3b188000)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6d3aa1e000)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f6d3b18a000)\n";
        assert_eq!(
            libraries(listed),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }

    #[test]
    fn an_archive_has_each_folder_before_what_lies_in_it_once() {
        let mut archive = Initramfs::default();
        archive.folder("/proc");
        archive.program("/usr/bin/x", b"abc");
        archive.program("/usr/bin/x", b"abc");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(&format!("{name}\0")).expect(name);
        assert!(at("proc") < at("usr") && at("usr") < at("usr/bin") && at("usr/bin") < at("bin/x"));
        assert_eq!(text.matches("usr/bin/x\0").count(), 1);
        assert_eq!(bytes.len() % 4, 0);
        assert!(text.starts_with("070701") && text.contains("TRAILER!!!"));
    }
}
