//! memleak of libbpf-tools or of bcc, which probe every allocation and every release of a process.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::process::Process;
use crate::command;

/// Its names: that of libbpf-tools first, which needs no headers of the kernel.
const NAMES: [&str; 3] = ["memleak-libbpf", "memleak-bpfcc", "memleak"];
/// How long it may take to arm its probes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The memleak of this machine.
pub(super) fn find() -> Option<&'static str> {
    NAMES.into_iter().find(|name| command::exists(name))
}

/// A memleak at work; it ends with this value.
pub(super) struct Memleak {
    process: Process,
    /// Its own name of the library, which goes away with it.
    name: Option<Link>,
}

/// Starts it for a process that allocates by `library` (none: libc); when this returns, its probes
/// are armed. It wants tracefs at its usual place, which it gets in a mount namespace of its own.
pub(super) fn attach(target: &Process, library: Option<&Path>) -> Result<Memleak> {
    let program = find().context("find memleak")?;
    let script = "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; \
                  exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", program]);
    command.args(["-p", &target.pid().to_string()]);
    let name = library.map(Link::to).transpose()?;
    if let Some(Link(name)) = &name {
        command.arg("-O").arg(name);
    }
    // It prints each interval: never.
    command.arg("1000000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut memleak = Memleak { process: Process::start(&mut command)?, name };
    memleak.await_probes()?;
    Ok(memleak)
}

impl Memleak {
    /// It says nothing when its probes are armed: that is when no more of them come.
    fn await_probes(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut last = (0, Instant::now());
        loop {
            if self.process.child.try_wait().context("look at memleak")?.is_some() {
                let library = self.name.as_ref().map_or(Path::new("libc"), |link| &link.0);
                bail!("memleak ends at once here, on {}", library.display());
            }
            let events = perf_events(self.process.pid());
            if events != last.0 {
                last = (events, Instant::now());
            }
            if last.0 > 0 && last.1.elapsed() > Duration::from_secs(2) {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "memleak arms no probe");
            sleep(Duration::from_millis(20));
        }
    }
}

/// A short name for a library: that of libbpf-tools takes 31 bytes of a path.
struct Link(PathBuf);

impl Link {
    fn to(library: &Path) -> Result<Self> {
        let name = std::env::temp_dir().join(format!("lib{}.so", std::process::id()));
        // Best effort: one that a killed run has left.
        drop(fs::remove_file(&name));
        symlink(library, &name).with_context(|| format!("make {}", name.display()))?;
        Ok(Self(name))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Best effort: it lies in the folder of temporary files.
        drop(fs::remove_file(&self.0));
    }
}

/// How many perf events a process holds.
fn perf_events(pid: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter(|target: &PathBuf| target.to_string_lossy().contains("[perf_event]")).count()
}
