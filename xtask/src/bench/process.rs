//! Processes that are measured: started behind a gate, waited for with what they used.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// What a process used, its waited-for children included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// In user space and in the kernel.
    pub(super) cpu: Duration,
    pub(super) peak_rss_bytes: u64,
    /// The most that was seen of its memory without the pages of files; 0 if nobody looked.
    pub(super) own_bytes: u64,
    pub(super) succeeded: bool,
}

/// A child process; killed if it is dropped before its end.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    reaped: bool,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("run {command:?}"))?;
        Ok(Self { child, reaped: false })
    }

    /// Starts a shell that waits for [`release`](Self::release), then becomes `words`; with
    /// `copies` above one, it runs so many of them at once. Nobody uses CPU time before that.
    pub(super) fn gated(words: &[String], copies: usize) -> Result<Self> {
        let script = match copies {
            0 | 1 => "read -r go && exec \"$@\" </dev/null".to_owned(),
            _ => format!(
                "read -r go || exit 1; i=0; while [ $i -lt {copies} ]; do \
                 \"$@\" </dev/null & i=$((i+1)); done; wait"
            ),
        };
        Self::start(
            Command::new("sh")
                .args(["-c", &script, "sh"])
                .args(words)
                .env("LC_ALL", "C")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    }

    /// Opens the gate.
    pub(super) fn release(&mut self) -> Result<()> {
        let mut gate = self.child.stdin.take().context("a gate opens once")?;
        gate.write_all(b"go\n").context("open the gate")
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds of CPU time that the live threads have used.
    pub(super) fn cpu_so_far(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid())).context("list threads")? {
            // A thread that ended meanwhile is left out.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let first = text.split(' ').next().unwrap_or("");
            nanoseconds += first.parse::<u64>().context("read a thread's CPU time")?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Waits for its end, and looks meanwhile at the memory that is its own and not a file's: the
    /// kernel keeps no peak of that.
    pub(super) fn wait_watching(self) -> Result<Usage> {
        let status = format!("/proc/{}/status", self.pid());
        let mut own = 0;
        // A process that has ended and was not waited for has no memory any more.
        while let Some(kib) = fs::read_to_string(&status).ok().and_then(|text| own_kib(&text)) {
            own = own.max(kib * 1024);
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Usage { own_bytes: own, ..self.wait()? })
    }

    /// Waits for its end.
    pub(super) fn wait(mut self) -> Result<Usage> {
        let pid = i32::try_from(self.pid()).context("a pid is positive")?;
        let mut status = 0;
        // SAFETY: the struct is made of integers alone, for which zero is valid.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to locals that live through the call.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
        if waited != pid {
            bail!("wait for process {pid}: {}", io::Error::last_os_error());
        }
        self.reaped = true;
        let kib = u64::try_from(used.ru_maxrss).unwrap_or(0);
        Ok(Usage {
            cpu: duration(used.ru_utime) + duration(used.ru_stime),
            peak_rss_bytes: kib * 1024,
            own_bytes: 0,
            // perf dies of the signal that told it to end, when it has written its file.
            succeeded: if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status) == 0
            } else {
                libc::WTERMSIG(status) == libc::SIGINT
            },
        })
    }

    /// Ends it as Ctrl-C would.
    pub(super) fn interrupt(&self) -> Result<()> {
        self.signal(libc::SIGINT)
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: libc::c_int) -> Result<()> {
        let pid = i32::try_from(self.pid()).context("a pid is positive")?;
        // SAFETY: the call takes numbers; the child is not reaped, so that the pid is still its.
        if unsafe { libc::kill(pid, signal) } != 0 {
            bail!("send a signal to process {pid}: {}", io::Error::last_os_error());
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            // Best effort: it is on the way out of an error, or a helper that has done its work.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// The anonymous memory in the text of `/proc/PID/status`.
fn own_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let microseconds = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

/// As long as this lives, the kernel measures its BPF programs. The kernel ends it with the
/// descriptor, however this process dies; the sysctl would stay.
#[derive(Debug)]
pub(super) struct BpfStatistics {
    _enabled: OwnedFd,
}

impl BpfStatistics {
    pub(super) fn enable() -> Result<Self> {
        /// `BPF_ENABLE_STATS` of `enum bpf_cmd`; its attribute is the kind, 0 for run times.
        const ENABLE_STATS: libc::c_int = 32;
        let kind: u64 = 0;
        // SAFETY: the kernel reads the 8 bytes of a local that lives through the call.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, ENABLE_STATS, &raw const kind, 8) };
        let fd = i32::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            bail!("enable the kernel's BPF statistics: {}", io::Error::last_os_error());
        }
        // SAFETY: the call just returned this descriptor, and nobody else has it.
        let enabled = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { _enabled: enabled })
    }
}

/// What the kernel measured of a process's BPF programs, and the memory that its BPF objects take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BpfUse {
    /// Of all programs.
    pub(super) run_time_ns: u64,
    /// Of the sampling program.
    pub(super) sampling_ns: u64,
    pub(super) sampling_runs: u64,
    /// Maps and programs, in the kernel.
    pub(super) memory_bytes: u64,
}

impl BpfUse {
    /// Reads it from the descriptors of a process.
    pub(super) fn of(process: &Process) -> Result<Self> {
        let folder = format!("/proc/{}/fdinfo", process.pid());
        let mut used = Self::default();
        let mut seen = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("list {folder}"))? {
            // Descriptors come and go.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            used.add(&text, &mut seen);
        }
        Ok(used)
    }

    /// What was used since `earlier`; the memory is that of now.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            run_time_ns: self.run_time_ns - earlier.run_time_ns,
            sampling_ns: self.sampling_ns - earlier.sampling_ns,
            sampling_runs: self.sampling_runs - earlier.sampling_runs,
            memory_bytes: self.memory_bytes,
        }
    }

    /// Adds the object that a descriptor's text tells of, once.
    fn add(&mut self, fdinfo: &str, seen: &mut Vec<(bool, u64)>) {
        /// `BPF_PROG_TYPE_PERF_EVENT`
        const PERF_EVENT: u64 = 7;
        let field = |name: &str| -> Option<u64> {
            let line = fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":"));
            line?.trim().parse().ok()
        };
        // A link's text tells its program as well; only programs and maps tell their memory.
        let Some(memory) = field("memlock") else { return };
        let program = field("prog_type");
        let id = field("prog_id").or_else(|| field("map_id")).unwrap_or(0);
        if seen.contains(&(program.is_some(), id)) {
            return;
        }
        seen.push((program.is_some(), id));
        self.memory_bytes += memory;
        let time = field("run_time_ns").unwrap_or(0);
        self.run_time_ns += time;
        if program == Some(PERF_EVENT) {
            self.sampling_ns += time;
            self.sampling_runs += field("run_cnt").unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpf_objects_count_once_and_links_do_not() {
        let program =
            "prog_type:\t7\nmemlock:\t8192\nprog_id:\t204\nrun_time_ns:\t500\nrun_cnt:\t5\n";
        let other =
            "prog_type:\t17\nmemlock:\t4096\nprog_id:\t203\nrun_time_ns:\t70\nrun_cnt:\t1\n";
        let map = "map_type:\t1\nmemlock:\t1000\nmap_id:\t204\n";
        let link = "link_type:\traw_tracepoint\nlink_id:\t1\nprog_id:\t203\n";
        let mut used = BpfUse::default();
        let mut seen = Vec::new();
        for text in [program, other, map, program, link, "pos:\t0\n"] {
            used.add(text, &mut seen);
        }
        let expected = BpfUse {
            run_time_ns: 570,
            sampling_ns: 500,
            sampling_runs: 5,
            memory_bytes: 8192 + 4096 + 1000,
        };
        assert_eq!(used, expected);
    }

    #[test]
    fn own_memory_is_read_and_absent_of_the_dead() {
        assert_eq!(own_kib("Name:\tx\nRssAnon:\t    1234 kB\nRssFile:\t 9 kB\n"), Some(1234));
        assert_eq!(own_kib("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_gated_process_starts_when_it_is_released_and_tells_what_it_used() -> Result<()> {
        let words = ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"];
        let mut process = Process::gated(&words.map(str::to_owned), 1)?;
        process.release()?;
        let used = process.wait()?;
        assert!(used.succeeded && used.cpu > Duration::from_millis(1), "{used:?}");
        Ok(())
    }
}
