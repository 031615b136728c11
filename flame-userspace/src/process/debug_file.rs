//! Separate debug files: what a program was stripped of, in a file of the same build ID. Where that
//! may lie, its build ID tells, or a name in the program (`.gnu_debuglink`). The checksum beside
//! that name is not asked: it would tell whoever made the program of files that are not theirs.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use super::{ElfLayout, executable::hex, root};

/// Where distributions install debug files.
const INSTALLED: &str = "/usr/lib/debug";

/// Looks for the debug file of a file that process `pid` mapped from `path`, where that could tell
/// more: in flame's own file system and in the process's, which may be the same (`same_view`).
pub(super) fn find(
    pid: u32,
    same_view: bool,
    path: &Path,
    file: &File,
    layout: &ElfLayout,
) -> Option<File> {
    let id = layout.build_id.as_deref().filter(|id| id.len() >= 8)?;
    let is_linked = layout.debug_link.is_some() && !layout.has_debug_info;
    if layout.has_symbols && !is_linked {
        return None;
    }
    let own = std::process::id();
    let open = |pid, path: &Path| root::open(pid, path, true).filter(|found| fits(found, file, id));
    let installed = |path: &Path| [own, pid].iter().find_map(|&pid| open(pid, path));
    installed(Path::new(&debug_path(id))).or_else(|| {
        let name = linked_name(file, layout)?;
        let folder = path.parent()?;
        let below = folder.strip_prefix("/").ok()?;
        // Beside a path that means something else in flame's own view there is nothing to look for.
        let beside =
            |path: &Path| open(pid, path).or_else(|| same_view.then(|| open(own, path)).flatten());
        beside(&folder.join(&name))
            .or_else(|| beside(&folder.join(".debug").join(&name)))
            .or_else(|| installed(&Path::new(INSTALLED).join(below).join(&name)))
    })
}

/// Where distributions install the debug file of a build ID.
pub(crate) fn debug_path(build_id: &[u8]) -> String {
    let hex = hex(build_id);
    let (directory, name) = hex.split_at(2.min(hex.len()));
    format!("{INSTALLED}/.build-id/{directory}/{name}.debug")
}

/// Whether a file is a debug file that this machine's administrator installed, who alone can change
/// it: it may be trusted to name others.
pub(crate) fn is_installed(file: &File) -> bool {
    let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return false;
    };
    is_administrators(file) && is_below(&path, INSTALLED) && is_at(file, &path)
}

fn is_administrators(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o022 == 0)
}

fn is_below(path: &Path, folder: &str) -> bool {
    let is_plain = |part| matches!(part, Component::Normal(_));
    path.strip_prefix(folder).is_ok_and(|rest| rest.components().all(is_plain))
}

/// Whether a file lies at a path of flame's own file system: that of a container may be called the
/// same.
fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path).and_then(|there| Ok((there, file.metadata()?)));
    there.is_ok_and(|(there, own)| (there.dev(), there.ino()) == (own.dev(), own.ino()))
}

/// Whether a file has this build ID, is not the program itself, and is the administrator's or of the
/// program's own user: the program may be one that all run, as the C library is, and any user can put
/// a file of its build ID where a file system of his own has debug files.
fn fits(found: &File, program: &File, id: &[u8]) -> bool {
    let owner = |file: &File| file.metadata().ok().map(|file| file.uid());
    if owner(found) != Some(0) && owner(found) != owner(program) {
        return false;
    }
    let inode = |file: &File| file.metadata().ok().map(|file| (file.dev(), file.ino()));
    let layout = ElfLayout::read(found);
    layout.is_some_and(|layout| layout.build_id.as_deref() == Some(id))
        && inode(found) != inode(program)
}

/// The name of the debug file that a file tells: one without folders.
fn linked_name(file: &File, layout: &ElfLayout) -> Option<PathBuf> {
    /// The longest name of a file, and a byte behind it.
    const LONGEST: u64 = 256;
    let section = layout.debug_link.filter(|section| !section.compressed)?;
    let mut bytes = vec![0; section.length.min(LONGEST) as usize];
    file.read_exact_at(&mut bytes, section.offset).ok()?;
    let end = bytes.iter().position(|&byte| byte == 0)?;
    bytes.truncate(end);
    let name = OsString::from_vec(bytes);
    let is_plain = Path::new(&name).file_name() == Some(OsStr::new(&name));
    is_plain.then(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use object::elf;

    use super::*;
    use crate::process::test_elf::with_sections;

    const ID: &[u8] = &[0xf1, 0xa3, 0xe7, 1, 2, 3, 4, 5, 6, 7];

    /// A program that names its debug file.
    fn program(link: &str, others: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = link.as_bytes().to_vec();
        bytes.resize((link.len() + 1).next_multiple_of(4) + 4, 0);
        let link = (".gnu_debuglink", elf::SHT_PROGBITS, bytes.as_slice());
        with_sections(ID, &[&[link], others].concat())
    }

    /// A debug file as eu-strip makes it: its headers of segments tell of no notes.
    fn moved(id: &[u8]) -> Vec<u8> {
        let note = [4, id.len() as u32, elf::NT_GNU_BUILD_ID].map(u32::to_le_bytes).concat();
        let note = [&note, &b"GNU\0"[..], id].concat();
        let mut bytes = with_sections(id, &[(".note.gnu.build-id", elf::SHT_NOTE, &note)]);
        bytes[64..68].fill(0);
        bytes
    }

    #[test]
    fn a_debug_file_beside_the_program_has_its_build_id() {
        let folder = std::env::temp_dir().join(format!("flame-debug-{}", std::process::id()));
        fs::create_dir_all(folder.join(".debug")).expect("a folder");
        let path = folder.join("program");
        let found_with = |bytes: Vec<u8>| {
            fs::write(&path, bytes).expect("a program");
            let file = File::open(&path).expect("the program");
            let layout = ElfLayout::read(&file).expect("an ELF file");
            let found = find(std::process::id(), true, &path, &file, &layout);
            found.map(|found| found.metadata().expect("a file").ino())
        };
        let found_by = |link: &str| found_with(program(link, &[]));
        let debug = with_sections(ID, &[]);
        let [beside, other, inner] =
            ["p.debug", "other.debug", ".debug/program"].map(|name| folder.join(name));
        fs::write(&beside, &debug).expect("a debug file");
        let inode = |path: &Path| Some(fs::metadata(path).expect("a file").ino());
        assert_eq!(found_by("p.debug"), inode(&beside));
        fs::write(&other, moved(ID)).expect("a debug file");
        assert_eq!(found_by("other.debug"), inode(&other));
        fs::write(&other, moved(&ID[1..])).expect("another's");
        assert_eq!(found_by("other.debug"), None);
        fs::write(&other, with_sections(&ID[1..], &[])).expect("another's");
        assert_eq!(found_by("other.debug"), None);
        // Another user's, which only root can make.
        if std::os::unix::fs::chown(&beside, Some(65_534), None).is_ok() {
            assert_eq!(found_by("p.debug"), None);
            std::os::unix::fs::chown(&beside, Some(0), None).expect("to give it back");
            assert_eq!(found_by("p.debug"), inode(&beside));
        }
        assert_eq!(found_by("missing.debug"), None);
        assert_eq!(found_by("program"), None, "that is itself");
        fs::write(&inner, &debug).expect("a debug file");
        assert_eq!(found_by("program"), inode(&inner));
        let absolute = beside.to_str().expect("a text");
        for elsewhere in ["", ".", "..", "./p.debug", ".debug/program", absolute] {
            assert_eq!(found_by(elsewhere), None, "{elsewhere}");
        }
        let symbols = (".symtab", elf::SHT_SYMTAB, &[0; 24][..]);
        let lines = (".debug_info", elf::SHT_PROGBITS, &[0; 8][..]);
        assert_eq!(found_with(program("p.debug", &[symbols])), inode(&beside), "for its lines");
        assert_eq!(found_with(program("p.debug", &[symbols, lines])), None, "it has all itself");
        assert_eq!(found_with(with_sections(ID, &[symbols])), None);
        fs::remove_dir_all(&folder).expect("to clean up");
    }

    #[test]
    fn a_file_elsewhere_is_not_taken_for_an_installed_one() {
        assert!(!is_installed(&File::open("/proc/self/exe").expect("this test binary")));
        assert!(is_below(Path::new("/usr/lib/debug/.dwz/x"), INSTALLED));
        assert!(!is_below(Path::new("/usr/lib/debug/../x"), INSTALLED));
        assert!(!is_below(Path::new("/usr/lib/debugging/x"), INSTALLED));
        let passwd = File::open("/etc/passwd").expect("a file");
        assert!(is_at(&passwd, Path::new("/etc/passwd")));
        assert!(!is_at(&passwd, Path::new("/etc/group")));
        assert!(!is_at(&passwd, Path::new("/no/such/file")));
    }
}
