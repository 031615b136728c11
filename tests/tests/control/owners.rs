//! Whose the files are, where they may go, and what is never overwritten.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;

use flame_tests::files::{cpu_profiles, names};
use flame_tests::machine::{Machine, skip};
use flame_tests::user::User;
use flame_tests::{Flame, Folder};

/// A `flame record` as sudo would run it for a user, of a command that leaves a trace.
fn under_sudo(user: &User, folder: &Path, trace: &Path) -> (Option<i32>, String) {
    let output = Command::new(Flame::program())
        .args(["record", "-o"])
        .arg(folder)
        .args(["--", "touch"])
        .arg(trace)
        .env("SUDO_UID", user.uid.to_string())
        .env("SUDO_GID", user.gid.to_string())
        .output()
        .expect("run flame");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn user() -> Option<User> {
    User::new().map_err(|why| skip(&why)).ok()
}

#[test]
fn under_sudo_the_files_belong_to_the_user() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let trace = Folder::new();
    // A folder that is there, and one that is made.
    let there = user.folder("there");
    for folder in [there.clone(), there.join("to/be/made")] {
        let (code, said) = under_sudo(&user, &folder, &trace.join("ran"));
        assert_eq!(code, Some(0), "{said}");
        for name in names(&folder) {
            let meta = fs::metadata(folder.join(&name)).expect("a file");
            assert_eq!((meta.uid(), meta.gid()), (user.uid, user.gid), "{name}");
        }
        assert_eq!(cpu_profiles(&folder).len(), 1);
    }
    assert_eq!(fs::metadata(there.join("to/be")).expect("a folder").uid(), user.uid);
}

#[test]
fn under_sudo_a_folder_that_the_user_cannot_write_is_refused_before_the_command_starts() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let (roots, trace) = (Folder::new(), Folder::new());
    let (code, said) = under_sudo(&user, roots.path(), &trace.join("ran"));
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains(roots.path().to_str().expect("a text")), "{said}");
    assert!(!trace.join("ran").exists(), "the command did not start");
    assert_eq!(names(roots.path()), Vec::<String>::new());
}

#[test]
fn under_sudo_no_link_of_the_user_leads_into_roots_folders() {
    let Some(_machine) = Machine::take() else { return };
    let Some(user) = user() else { return };
    let (roots, trace) = (Folder::new(), Folder::new());
    roots.mode(0o755);
    let link = user.home().join("link");
    symlink(roots.path(), &link).expect("make a link");
    for folder in [link.clone(), link.join("below")] {
        let (code, said) = under_sudo(&user, &folder, &trace.join("ran"));
        assert_eq!(code, Some(125), "{said}");
    }
    assert_eq!(names(roots.path()), Vec::<String>::new());
    assert!(!trace.join("ran").exists(), "the command did not start");
}

#[test]
fn a_page_is_not_written_through_a_link() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let shares = flame_tests::Workload::c("shares");
    let outcome = Flame::record(&["-f", "pb", "--", shares.path(), "200"]).run().with_code(0);
    let page = folder.join("page.html");
    let victim = folder.join("victim");
    fs::write(&victim, "precious").expect("write a file");
    symlink(&victim, &page).expect("make a link");
    let generate = |options: &[&str]| {
        let mut command = Command::new(Flame::program());
        command.arg("generate").arg(&outcome.profiles()[0]).arg("-o").arg(&page).args(options);
        command.output().expect("run flame").status.code()
    };
    assert_eq!(generate(&[]), Some(1), "there is something already");
    assert_eq!(generate(&["--force"]), Some(0));
    assert_eq!(fs::read_to_string(&victim).expect("read it"), "precious");
    assert!(fs::symlink_metadata(&page).expect("the page").is_file(), "the link gave way");
}

#[test]
fn what_is_there_is_overwritten_only_when_asked() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let shares = flame_tests::Workload::c("shares");
    let outcome = Flame::record(&["-f", "pb", "--", shares.path(), "200"]).run().with_code(0);
    let profile = &outcome.profiles()[0];
    for (format, own) in [("folded", "not flame's"), ("svg", "not flame's"), ("html", "neither")] {
        let there = folder.join(&format!("there.{format}"));
        fs::write(&there, own).expect("write a file");
        let generate = |options: &[&str]| {
            let mut command = Command::new(Flame::program());
            command.arg("generate").arg(profile).arg("-o").arg(&there);
            command.args(["-f", format]).args(options).output().expect("run flame").status.code()
        };
        assert_eq!(generate(&[]), Some(1));
        assert_eq!(fs::read_to_string(&there).expect("read it"), own);
        assert_eq!(generate(&["--force"]), Some(0));
        assert_ne!(fs::read_to_string(&there).expect("read it"), own);
        // A page that flame made of the same profile may be made again.
        assert_eq!(generate(&[]), Some(i32::from(format != "html")));
    }
    assert_eq!(names(folder.path()), ["there.folded", "there.html", "there.svg"]);
}

/// A file system of 64 KiB; unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32k,mode=755", "tmpfs"]).arg(place);
        mount.status().is_ok_and(|status| status.success()).then_some(Self(place))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmount {}", self.0.display());
    }
}

#[test]
fn a_profile_for_which_the_disk_has_no_room_goes_elsewhere_whole_and_flame_fails() {
    let Some(_machine) = Machine::take() else { return };
    let (disk, elsewhere) = (Folder::new(), Folder::new());
    let Some(_mounted) = SmallDisk::mount(disk.path()) else {
        return skip("cannot mount a small file system");
    };
    // Room for the profile but not for the page, then for nothing.
    let mut outcomes = Vec::new();
    for filler in [0, 64 << 10] {
        // The last of it does not fit.
        _ = fs::write(disk.join("filler"), vec![0u8; filler]);
        let output = Command::new(Flame::program())
            .args(["record", "-F", "999", "-o"])
            .arg(disk.path())
            .args(["--", "sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done"])
            .env("TMPDIR", elsewhere.path())
            .output()
            .expect("run flame");
        let there: Vec<(String, u64)> = names(disk.path())
            .into_iter()
            .map(|name| (name.clone(), fs::metadata(disk.join(&name)).expect("a file").len()))
            .collect();
        outcomes.push((output, there, names(elsewhere.path())));
    }
    for (output, there, elsewhere) in outcomes {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains("No space left"), "{said}");
        assert!(there.iter().all(|(name, _)| !name.contains(".part")), "half-written: {there:?}");
        let whole = |(name, bytes): &(String, u64)| name == "filler" || *bytes > 500;
        assert!(there.iter().all(whole), "{there:?}");
        assert!(elsewhere.iter().all(|name| !name.contains(".part")), "{elsewhere:?}");
        assert!(!elsewhere.is_empty(), "it is not lost: {said}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_before_the_command_starts() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    fs::write(folder.join("file"), "").expect("write a file");
    for place in [folder.join("file"), folder.join("file/below"), "/proc/nowhere".into()] {
        let output = Command::new(Flame::program())
            .args(["record", "-o"])
            .arg(&place)
            .args(["--", "touch"])
            .arg(folder.join("ran"))
            .output()
            .expect("run flame");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains(place.to_str().expect("a text")), "{said}");
        assert!(!folder.join("ran").exists(), "the command did not start");
    }
}
