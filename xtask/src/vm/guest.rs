//! A guest: its programs, its way through them, and what it tells on its second serial line.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::blocks::A_TURN;
use super::initramfs::Initramfs;
use super::kernels::Kernel;
use crate::command;

/// How long a guest may take; emulation is some ten times slower than the machine.
const PATIENCE: Duration = Duration::from_mins(6);
const MEMORY: &str = "1536M";

/// What the guest does. Each part of what it tells begins with a line `== NAME`.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin LC_ALL=C
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>/dev/console
part() { echo "== $1"; }
part release; uname -r
part booted; cut -d ' ' -f 1 /proc/uptime
part doctor; flame doctor 2>&1
cd /tmp
flame record --json -F 199 -f folded -o out -- known_chain SECONDS >json 2>said &
flame=$!
# The verifier's counts stand with the programs, while they are loaded.
for _ in $(seq 300); do
    kill -0 $flame 2>/dev/null || break
    cat /proc/$flame/fdinfo/* 2>/dev/null | grep verified_insns >now
    [ -s now ] && mv now verified
    pidof known_chain >/dev/null && [ "$(wc -l <verified)" -ge 4 ] && break
    sleep 0.2
done
wait $flame
part status; echo $?
part verified; cat verified 2>/dev/null
part said; cat said
part json; cat json
part folded; cat out/*.folded 2>/dev/null
part blocks
flame record --json -t heap --heap-mode exact --heap-interval 1024 -f folded -o heap -- \
    alloc_shares 2000 A_TURN 2>said
part heap; cat said
part end
poweroff -f
"#;

/// What a guest told.
#[derive(Debug, Default)]
pub(super) struct Told {
    parts: Vec<(String, String)>,
    /// From the start of the emulator to its end.
    pub(super) took: Duration,
}

impl Told {
    fn read(text: &str, took: Duration) -> Self {
        let mut told = Self { parts: Vec::new(), took };
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            if let Some(name) = line.strip_prefix("== ") {
                told.parts.push((name.to_owned(), String::new()));
            } else if let Some((_, part)) = told.parts.last_mut() {
                part.push_str(line);
                part.push('\n');
            }
        }
        told
    }

    /// A part, empty if it was not told.
    pub(super) fn part(&self, name: &str) -> &str {
        let found = self.parts.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, part)| part.trim_end())
    }

    /// Whether it came to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.iter().any(|(name, _)| name == "end")
    }
}

/// The file system of a guest that records the first of the workloads for so many seconds, and what
/// the second one allocates.
pub(super) fn file_system(
    flame: &Path,
    [chain, blocks]: [&Path; 2],
    seconds: u32,
) -> Result<Vec<u8>> {
    let busybox = command::find_all("busybox");
    let busybox = busybox.first().context("there is no busybox here")?;
    let mut archive = Initramfs::default();
    for folder in ["/proc", "/sys", "/dev", "/tmp"] {
        archive.folder(folder);
    }
    let init = INIT.replace("SECONDS", &seconds.to_string());
    archive.program("/init", init.replace("A_TURN", &A_TURN.to_string()).as_bytes());
    archive.program_with_libraries("/bin/busybox", busybox)?;
    archive.program_with_libraries("/bin/flame", flame)?;
    archive.program_with_libraries("/bin/known_chain", chain)?;
    archive.program_with_libraries("/bin/alloc_shares", blocks)?;
    Ok(archive.finish())
}

/// Boots a kernel with a file system, in emulation, and returns what the guest told. Its console
/// and what it told are kept in `folder`.
///
/// A kernel that crashes before its first program is booted once more: in emulation new ones do so now
/// and then, while they patch their own code.
pub(super) fn boot(kernel: &Kernel, file_system: &Path, folder: &Path) -> Result<Told> {
    match boot_once(kernel, file_system, folder) {
        Err(error) if fs::metadata(output(kernel, folder)).is_ok_and(|told| told.len() == 0) => {
            eprintln!("{}: booting once more: {error:#}", kernel.name);
            boot_once(kernel, file_system, folder)
        }
        told => told,
    }
}

/// Where what a guest tells goes.
fn output(kernel: &Kernel, folder: &Path) -> PathBuf {
    folder.join(format!("{}.told", kernel.name))
}

fn boot_once(kernel: &Kernel, file_system: &Path, folder: &Path) -> Result<Told> {
    let console = folder.join(format!("{}.console", kernel.name));
    let output = output(kernel, folder);
    let mut emulator = Command::new("qemu-system-x86_64");
    emulator
        .args(["-accel", "tcg", "-smp", "2", "-m", MEMORY, "-no-reboot", "-nodefaults"])
        .args(["-display", "none", "-append", "console=ttyS0 quiet panic=-1"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(file_system);
    for file in [&console, &output] {
        emulator.arg("-serial").arg(format!("file:{}", file.display()));
    }
    let start = Instant::now();
    let child = emulator.stdin(Stdio::null()).spawn().context("run qemu-system-x86_64")?;
    let ended = Emulator(child).wait(start + PATIENCE)?;
    let mut text = Vec::new();
    File::open(&output)
        .and_then(|mut file| file.read_to_end(&mut text))
        .context("read the guest")?;
    let told = Told::read(&String::from_utf8_lossy(&text), start.elapsed());
    if !told.is_whole() {
        let said = fs::read(&console).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        let how = if ended { "ended early" } else { "did not come to its end" };
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("the guest {how} ({}):\n{}", console.display(), last.join("\n"));
    }
    Ok(told)
}

/// The emulator's process, ended with this value.
struct Emulator(Child);

impl Emulator {
    /// Waits for its end until a time; whether it came.
    fn wait(mut self, until: Instant) -> Result<bool> {
        while Instant::now() < until {
            if self.0.try_wait().context("wait for the emulator")?.is_some() {
                return Ok(true);
            }
            sleep(Duration::from_millis(50));
        }
        Ok(false)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Ended already, or to be ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_told_apart() {
        let told = Told::read("noise\n== a\r\none\r\ntwo\r\n== b\n== end\n", Duration::ZERO);
        assert_eq!((told.part("a"), told.part("b"), told.part("c")), ("one\ntwo", "", ""));
        assert!(told.is_whole());
        assert!(!Told::read("== a\n", Duration::ZERO).is_whole());
    }
}
