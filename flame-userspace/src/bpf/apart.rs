//! Calls that a signal to flame does not stop half-way.
//!
//! A signal that kills who puts breakpoints into a process stops that, and what is written by then
//! stays for good: the kernel changes no other process's memory for a thread that is to die
//! (`fatal_signal_pending` in `__get_user_pages`). So a process of its own makes such calls, which
//! shares flame's memory and descriptors and is in no session with it, so that no signal to flame
//! reaches it. If flame is killed meanwhile, what the call made ends with that process.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{from_mut, null_mut};

/// What the process runs on.
const STACK_BYTES: usize = 256 << 10;
/// To how much of it calls have their stack pointer aligned.
const ALIGNED: usize = 16;

/// Does `work` in such a process, and waits for its end. Where no process can be had it is done here.
pub(super) fn apart<T, W: FnOnce() -> io::Result<T>>(work: W) -> io::Result<T> {
    let mut job = Job { work: Some(work), done: None };
    let mut stack = vec![MaybeUninit::<u8>::uninit(); STACK_BYTES];
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_sub(top.addr() % ALIGNED);
    let signals = Blocked::all();
    // SAFETY: the stack, the job and all that it refers to live until the process has ended, for
    // which this thread waits: it stands still meanwhile (`CLONE_VFORK`), so that they may share what
    // is the thread's own. Should this thread be killed, nothing of it is given back before the
    // process, which shares the memory, has ended.
    let pid = unsafe {
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_VFORK;
        libc::clone(run::<T, W>, top.cast(), flags, from_mut(&mut job).cast())
    };
    drop(signals);
    if pid < 0 {
        log::debug!("make a process: {}", io::Error::last_os_error());
    } else {
        reap(pid);
    }
    match (job.done, job.work) {
        (Some(done), _) => done,
        (None, Some(work)) if pid < 0 => work(),
        _ => Err(io::ErrorKind::Interrupted.into()),
    }
}

struct Job<T, W> {
    work: Option<W>,
    done: Option<io::Result<T>>,
}

extern "C" fn run<T, W: FnOnce() -> io::Result<T>>(job: *mut c_void) -> c_int {
    // SAFETY: `apart` passes its own, and does not touch it meanwhile.
    let job = unsafe { &mut *job.cast::<Job<T, W>>() };
    // SAFETY: the call takes nothing.
    unsafe { libc::setsid() };
    job.done = job.work.take().map(|work| work());
    0
}

/// Waits for the end of a process that tells nobody of it by a signal.
fn reap(pid: libc::pid_t) {
    // SAFETY: the call writes nothing where it is given no place for it.
    while unsafe { libc::waitpid(pid, null_mut(), libc::__WALL) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// As long as this is, the thread takes no signal, nor do processes that it makes, ever.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Self {
        let mut before = MaybeUninit::uninit();
        let mut all = MaybeUninit::uninit();
        // SAFETY: each call is given places of the right size, and fills all of them.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set is one that the kernel gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_done_apart_is_done_in_another_process_and_is_there_here() {
        let text = "a text".to_owned();
        let done = apart(|| {
            let file = OwnedFd::from(File::open("/proc/self/exe")?);
            Ok((std::process::id(), text.len(), file))
        });
        let (pid, length, file) = done.expect("it is done");
        assert_ne!(pid, std::process::id());
        assert_eq!(length, 6);
        assert!(File::from(file).metadata().expect("an open file").len() > 0);
    }

    #[test]
    fn what_fails_apart_fails_as_it_would_here() {
        let failed = apart(|| File::open("/proc/self/none"));
        assert_eq!(failed.expect_err("there is none").kind(), io::ErrorKind::NotFound);
    }

    /// Where the test below has this one write, in a process that it kills meanwhile.
    const FILE: &str = "FLAME_TEST_APART";

    #[test]
    fn writes_a_file_where_it_is_told_to() {
        let Some(path) = std::env::var_os(FILE) else { return };
        let done = apart(|| {
            std::fs::write(&path, "begun")?;
            thread::sleep(Duration::from_millis(300));
            std::fs::write(&path, "done")
        });
        done.expect("it is done");
    }

    #[test]
    fn what_is_done_apart_is_done_even_if_its_caller_is_killed() {
        let path = std::env::temp_dir().join(format!("flame-apart-{}", std::process::id()));
        let mut caller = Command::new("/proc/self/exe")
            .args(["--exact", "bpf::apart::tests::writes_a_file_where_it_is_told_to"])
            .env(FILE, &path)
            .stdout(Stdio::null())
            .spawn()
            .expect("run this test's program");
        let wait = |wanted: &str| {
            let is_there = || std::fs::read_to_string(&path).is_ok_and(|text| text == wanted);
            let until = Instant::now() + Duration::from_secs(20);
            while !is_there() {
                assert!(Instant::now() < until, "never {wanted}");
                thread::sleep(Duration::from_millis(1));
            }
        };
        wait("begun");
        caller.kill().expect("kill it");
        caller.wait().expect("its end");
        wait("done");
        std::fs::remove_file(&path).expect("remove it");
    }

    #[test]
    fn signals_are_taken_again_afterwards() {
        let mask = || {
            let mut now = MaybeUninit::uninit();
            // SAFETY: the call fills the set, and changes nothing where it is given none.
            unsafe {
                libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), now.as_mut_ptr());
                libc::sigismember(now.as_ptr(), libc::SIGTERM)
            }
        };
        apart(|| Ok(())).expect("it is done");
        assert_eq!(mask(), 0);
    }
}
