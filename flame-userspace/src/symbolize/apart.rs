//! Symbols read in a process of its own, one for each file. Whoever is profiled can have made the
//! file, and may change it meanwhile: what is cut short under a mapping, asks for all memory or nests
//! without end ends that process, and costs the file's names alone.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use prost::Message as _;

use super::Symbol;
use super::message::{Answer, Question};
use super::native::Native;
use super::texts::Texts;
use crate::priority::Follower;

/// The hidden command that reads a file.
pub(crate) const COMMAND: &str = "symbolize";
/// What it may take, in bytes of memory of its own (mappings of files not counted) and in seconds of
/// CPU time: the debug information of a browser takes a tenth of that.
const MOST_MEMORY: libc::rlim_t = 4 << 30;
const MOST_SECONDS: libc::rlim_t = 120;
/// Bytes of an answer, at most: some million functions.
const MOST_ANSWER: u64 = 256 << 20;

/// Whether this program is the `flame` command, which can be started again.
static IS_FLAME: AtomicBool = AtomicBool::new(false);

/// Has files be read apart from now on: this program is the `flame` command. (Others have them read
/// on a thread.)
pub(crate) fn enable() {
    IS_FLAME.store(true, Ordering::Relaxed);
}

/// Whether files are read apart.
pub(super) fn is_enabled() -> bool {
    IS_FLAME.load(Ordering::Relaxed)
}

/// The functions at addresses of a file's own address space, read in another process.
pub(super) fn in_file(inlined: bool, file: &File, addresses: &[u64]) -> Result<Vec<Vec<Symbol>>> {
    let (mut own, its) = UnixStream::pair().context("make a socket")?;
    let mut child = Command::new("/proc/self/exe")
        .arg(COMMAND)
        .env_clear()
        .stdin(file.try_clone().context("pass on the file")?)
        .stdout(OwnedFd::from(its))
        .stderr(Stdio::null())
        .spawn()
        .context("start a process that reads symbols")?;
    let follower = Follower::new(&child);
    let question = Question { inlined, addresses: addresses.to_vec() };
    let mut bytes = Vec::new();
    let talked = own
        .write_all(&question.encode_to_vec())
        .and_then(|()| own.shutdown(Shutdown::Write))
        .and_then(|()| own.take(MOST_ANSWER).read_to_end(&mut bytes));
    drop(follower);
    // Without the other end it has nothing to wait for.
    let ended = child.wait().context("wait for the process that reads symbols")?;
    if !ended.success() {
        bail!("the file's symbols are damaged, or take too much: their reader ended by {ended}");
    }
    talked.context("talk to the process that reads symbols")?;
    let answer = Answer::decode(&*bytes).context("understand the process that reads symbols")?;
    answer.symbols(addresses.len())
}

/// The other process: reads the question from standard output, which is a socket, names addresses in
/// the file that is standard input, and answers.
pub(crate) fn serve() -> Result<()> {
    limit()?;
    answer()
}

/// Bounds what this process takes, and how long it lives. Where memory runs short it is the first
/// that the kernel ends.
fn limit() -> Result<()> {
    let limits = [
        (libc::RLIMIT_DATA, MOST_MEMORY),
        (libc::RLIMIT_CPU, MOST_SECONDS),
        (libc::RLIMIT_CORE, 0),
    ];
    for (resource, most) in limits {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the call reads a struct that lives through it.
        if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error()).context("limit this process");
        }
    }
    // SAFETY: the call changes a property of this process alone: it ends with the one that started it.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // It only makes the choice worse.
    _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

fn answer() -> Result<()> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut socket = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).context("read the question")?;
    let Question { inlined, addresses } = Question::decode(&*bytes)?;
    let mut texts = Texts::default();
    let native = Native::new(inlined);
    let look_up = AssertUnwindSafe(|| native.in_file(&file, &addresses, &mut texts));
    let answer = match catch_unwind(look_up) {
        Ok(Ok(found)) => Answer::of(&found),
        Ok(Err(error)) => Answer::none(format!("{error:#}")),
        Err(_) => Answer::none("they are damaged".to_owned()),
    };
    socket.write_all(&answer.encode_to_vec()).context("answer")
}
