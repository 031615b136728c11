//! An ordinary user, for tests of privileges.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{Folder, set_mode};
use crate::flame::Flame;

const NAME: &str = "flame-tester";

/// A user of the tests' own, with a home; removed at the end.
#[derive(Debug)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    home: Folder,
    sudoers: Option<PathBuf>,
}

impl User {
    /// Makes the user. `None` and the reason where that cannot be.
    pub fn new() -> Result<Self, String> {
        remove();
        let home = Folder::new();
        let made = Command::new("useradd")
            .args(["--no-create-home", "--user-group", "--shell", "/bin/sh", "--home-dir"])
            .arg(home.path())
            .arg(NAME)
            .output()
            .map_err(|error| format!("needs useradd, to make a user ({error})"))?;
        if !made.status.success() {
            return Err(format!("cannot make a user: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let number = |option| {
            let output = Command::new("id").args([option, NAME]).output().expect("run id");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.trim().parse().expect("a number of a user")
        };
        let (uid, gid) = (number("-u"), number("-g"));
        std::os::unix::fs::chown(home.path(), Some(uid), Some(gid)).expect("give the home away");
        Ok(Self { uid, gid, home, sudoers: None })
    }

    /// The user may become root through sudo without a password, on a terminal of sudo's own.
    pub fn with_sudo(mut self) -> Result<Self, String> {
        let version = Command::new("sudo").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Err("needs sudo".to_owned());
        }
        let path = PathBuf::from("/etc/sudoers.d").join(NAME);
        let rule = format!("Defaults:{NAME} use_pty\n{NAME} ALL=(ALL) NOPASSWD: ALL\n");
        fs::write(&path, rule).expect("write a rule of sudo");
        set_mode(&path, 0o440);
        self.sudoers = Some(path);
        Ok(self)
    }

    /// The user's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A folder of the user's own.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.home.make(name);
        std::os::unix::fs::chown(&path, Some(self.uid), Some(self.gid)).expect("give it away");
        path
    }

    /// A copy of flame where the user can run it: the tests may lie where only root looks.
    pub fn flame(&self) -> PathBuf {
        self.program("flame", &Flame::program())
    }

    /// A copy of a program where the user can run it.
    pub fn program(&self, name: &str, program: &Path) -> PathBuf {
        let copy = self.home().join(name);
        fs::copy(program, &copy).expect("copy a program");
        set_mode(&copy, 0o755);
        copy
    }

    /// A command that runs as the user, in its home.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .uid(self.uid)
            .gid(self.gid)
            .current_dir(self.home())
            .env_clear()
            .env("HOME", self.home())
            .env("USER", NAME)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("TERM", "dumb");
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(rule) = &self.sudoers {
            fs::remove_file(rule).expect("remove the rule of sudo");
        }
        remove();
    }
}

/// Removes the user, one of an earlier run that was killed as well.
fn remove() {
    // Not there, as a rule.
    _ = Command::new("userdel").arg("--force").arg(NAME).output();
}
