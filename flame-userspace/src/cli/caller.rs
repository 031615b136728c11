//! The user on whose behalf flame runs, and acting with that user's rights.

use std::io;
use std::thread;

use anyhow::{Context as _, Result, anyhow};

/// Who called, where flame has more rights than the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl Caller {
    /// The user who called sudo, if flame runs as root by it; `None` where flame runs as the
    /// caller itself.
    pub(super) fn of_sudo() -> Option<Self> {
        // SAFETY: the call takes nothing and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return None;
        }
        let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
        let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
        if uid == 0 {
            return None;
        }
        let groups = groups_of(uid, gid).unwrap_or_else(|| vec![gid]);
        Some(Self { uid, gid, groups })
    }

    /// The rights that act on files for the calling thread become the caller's. The kernel takes
    /// the capabilities that override file permissions with them (capabilities(7), "Effect of
    /// user ID changes").
    fn assume(&self) -> io::Result<()> {
        // SAFETY: the raw call reads the numbers of a list that lives through it. It is the raw
        // one because the C library's would change every thread.
        let groups =
            unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) };
        if groups != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both calls take a number. They return what was before, and no error: asked a
        // second time they return what is now.
        let (uid, gid) = unsafe {
            libc::setfsgid(self.gid);
            libc::setfsuid(self.uid);
            (libc::setfsuid(u32::MAX) as u32, libc::setfsgid(u32::MAX) as u32)
        };
        if (uid, gid) != (self.uid, self.gid) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        Ok(())
    }
}

/// Does file work with the rights of `caller`, on a thread of its own; with flame's if `None`.
pub(super) fn acting_for<T: Send>(
    caller: Option<&Caller>,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let Some(caller) = caller else { return work() };
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, || {
            caller.assume().context("take the rights of the user who called sudo")?;
            work()
        });
        let thread =
            thread.context("start a thread with the rights of the user who called sudo")?;
        thread.join().unwrap_or_else(|_| Err(anyhow!("the thread that writes files panicked")))
    })
}

/// The groups of a user, from the user database.
fn groups_of(uid: u32, gid: u32) -> Option<Vec<u32>> {
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: the struct is plain data that the call fills in, with texts inside `buffer`, which
    // outlives their use.
    unsafe {
        let mut entry: libc::passwd = std::mem::zeroed();
        let mut found = std::ptr::null_mut();
        let status = libc::getpwuid_r(
            uid,
            &raw mut entry,
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        );
        if status != 0 || found.is_null() {
            return None;
        }
        let mut groups = vec![0; 1024];
        let mut count = groups.len() as i32;
        if libc::getgrouplist(entry.pw_name, gid, groups.as_mut_ptr(), &raw mut count) < 0 {
            return None;
        }
        groups.truncate(count as usize);
        Some(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn files_made_for_a_caller_are_the_callers_and_roots_are_out_of_reach() {
        // SAFETY: the call takes nothing and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            println!("skipped: needs root");
            return;
        }
        let directory = std::env::temp_dir().join(format!("flame-caller-{}", std::process::id()));
        let open = directory.join("open");
        let secret = directory.join("secret");
        for (path, mode) in [(&directory, 0o755), (&open, 0o777), (&secret, 0o700)] {
            fs::create_dir(path).expect("a directory");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
        }
        let caller = Caller { uid: 65534, gid: 65534, groups: vec![65534] };
        let file = open.join("file");
        acting_for(Some(&caller), || Ok(fs::write(&file, "x")?)).expect("a file of its own");
        assert_eq!(fs::metadata(&file).expect("the file").uid(), 65534);
        let denied = acting_for(Some(&caller), || Ok(fs::write(secret.join("f"), "x")?));
        assert!(denied.is_err(), "root's directory is not the caller's");
        assert!(fs::write(secret.join("f"), "x").is_ok(), "the other threads keep their rights");
        fs::remove_dir_all(&directory).expect("to clean up");
    }
}
