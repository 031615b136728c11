//! `perf record` with copies of stacks, beside flame: the same process at the same time.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use flame::format::read;

use crate::process::{Guarded, wait_for};
use crate::seen::Seen;

/// The largest copies of stacks that perf makes.
const WHOLE: &str = "dwarf,65528";
/// Room for them that is not written yet, on each CPU: of perf's own, eight would fill it.
const ROOM: &str = "16M";

/// A perf that records.
#[derive(Debug)]
pub struct Perf {
    process: Guarded,
    file: PathBuf,
    said: JoinHandle<String>,
}

impl Perf {
    /// Whether there is one.
    pub fn is_there() -> bool {
        let mut perf = Command::new("perf");
        perf.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
        perf.status().is_ok_and(|status| status.success())
    }

    /// Starts it on a process, with its files in an empty folder. When this returns it samples.
    pub fn attach(pid: u32, hz: u32, folder: &Path) -> Self {
        // It begins with its events off, and tells when they are on, as it does not by itself.
        let [orders, answers] = ["orders", "answers"].map(|name| Pipe::new(folder.join(name)));
        let control = format!("fifo:{},{}", orders.path.display(), answers.path.display());
        let file = folder.join("perf.data");
        let mut command = Command::new("perf");
        command.args(["record", "--call-graph", WHOLE, "-e", "cpu-clock", "-B", "-m", ROOM]);
        command.args(["-F", &hz.to_string(), "-p", &pid.to_string(), "-D", "-1"]);
        command.args(["--control", &control, "-o"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Guarded::spawn(&mut command);
        let mut stderr = process.child().stderr.take().expect("a pipe");
        let said = thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).expect("read what perf says");
            said
        });
        (&orders.file).write_all(b"enable\n").expect("tell perf to sample");
        let mut answer = [0; 16];
        wait_for("perf's answer", || {
            assert!(process.is_alive(), "perf ended before it sampled");
            (&answers.file).read(&mut answer).is_ok()
        });
        assert!(answer.starts_with(b"ack"), "perf said {answer:?}");
        Self { process, file, said }
    }

    /// Waits for its end, which comes with that of its target, and for its stacks.
    pub fn finish(mut self) -> Seen {
        let status = self.process.wait();
        let said = self.said.join().expect("read what perf says");
        assert!(status.success(), "perf: {status}: {said}");
        let fields = "comm,pid,tid,time,period,event,ip,sym,dso";
        let mut script = Command::new("perf");
        script.args(["script", "--no-inline", "-F", fields, "-i"]).arg(&self.file);
        let output = script.output().expect("run perf");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "perf script: {}: {said}", output.status);
        let profile = read::read(&output.stdout).expect("understand what perf tells");
        Seen::new(&profile)
    }
}

/// A named pipe, open at both ends so that nobody waits for the other.
struct Pipe {
    path: PathBuf,
    file: File,
}

impl Pipe {
    fn new(path: PathBuf) -> Self {
        let name = CString::new(path.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the name is a string that lives through the call.
        let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
        assert_eq!(made, 0, "make the pipe {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(&path).expect("open a pipe");
        Self { path, file }
    }
}
