//! flame killed by SIGKILL, which it cannot do anything about: what remains.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use flame_tests::machine::{Machine, measured};
use flame_tests::process::{children, comm, cpu_ns, signal, wait_for, with_argument};
use flame_tests::{Flame, Folder, Guarded, Workload};

/// Something that the kernel keeps: `prog_id`, `map_id` or `link_id`, and its number.
type Kept = (&'static str, u32);

/// Commands of bpf(2): a descriptor of a program, map or link by its number.
const BY_ID: [(&str, libc::c_long); 3] = [("prog_id", 13), ("map_id", 14), ("link_id", 30)];

/// What a process holds, by what /proc tells of its descriptors.
fn held_by(pid: u32) -> BTreeSet<Kept> {
    let folder = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("flame's descriptors");
    let texts = folder.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let mut held = BTreeSet::new();
    for text in texts {
        for line in text.lines() {
            let Some((name, number)) = line.split_once(":\t") else { continue };
            if let Some((kind, _)) = BY_ID.iter().find(|(kind, _)| *kind == name) {
                held.insert((*kind, number.trim().parse().expect("a number")));
            }
        }
    }
    held
}

/// Whether the kernel still has it.
fn is_there((kind, number): Kept) -> bool {
    let (_, command) = BY_ID.iter().find(|(name, _)| *name == kind).expect("one of the three");
    // union bpf_attr: the number, where to go on, flags.
    let attributes = [number, 0, 0, 0];
    // SAFETY: the kernel reads 16 bytes of an array that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, *command, attributes.as_ptr(), 16) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{kind} {number}: {error}");
        return false;
    }
    // SAFETY: the call just returned this descriptor.
    unsafe { libc::close(fd as i32) };
    true
}

#[test]
fn nothing_of_a_killed_flame_stays_in_the_kernel_and_the_target_runs_on() {
    let Some(_machine) = Machine::take() else { return };
    let shares = Workload::c("shares");
    let mut target = Guarded::spawn(shares.command(&["600000"]).stdout(Stdio::null()));
    for arguments in [&["-F", "499", &target.pid().to_string()][..], &["-F", "499", "--all"]] {
        let mut flame = Flame::attach(arguments).start_sampling();
        sleep(Duration::from_millis(300));
        let held = held_by(flame.pid());
        // Links are there only where processes are followed.
        for kind in ["prog_id", "map_id"] {
            assert!(held.iter().any(|(of, _)| *of == kind), "no {kind} in {held:?}");
        }
        assert!(held.iter().all(|&kept| is_there(kept)), "{held:?}");
        flame.process.kill();
        wait_for("the kernel's clean-up", || !held.iter().any(|&kept| is_there(kept)));
        measured(&format!("{} programs, maps and links are gone", held.len()));
        let before = cpu_ns(target.pid());
        sleep(Duration::from_millis(200));
        assert!(target.is_alive() && cpu_ns(target.pid()) > before, "the target runs on");
    }
}

#[test]
fn a_command_that_waits_for_its_start_ends_when_flame_is_killed() {
    let Some(_machine) = Machine::take() else { return };
    let mut waiting = 0;
    for _ in 0..30 {
        let folder = Folder::new();
        let word = folder.path().to_str().expect("a text");
        let started = folder.join("started");
        let script = format!("echo > {}; sleep 77", started.display());
        let mut flame = Guarded::spawn(
            Command::new(Flame::program())
                .args(["record", "-q", "-o", word, "--", "sh", "-c", &script])
                .stdout(Stdio::null()),
        );
        wait_for("a child of flame", || !children(flame.pid()).is_empty());
        waiting += u32::from(comm(children(flame.pid())[0]) == "flame");
        flame.kill();
        let ran = || started.exists();
        wait_for("the end of the command", || ran() || with_argument(word).is_empty());
        if ran() {
            for pid in with_argument(word) {
                signal(pid, libc::SIGKILL);
            }
        }
    }
    measured(&format!("flame was killed {waiting} times while its command waited"));
    assert!(waiting >= 20, "the window was hit {waiting} times");
}

#[test]
fn a_command_runs_on_when_flame_is_killed() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let log = folder.join("log");
    let stubborn = Workload::c("stubborn");
    let mut flame = Flame::record(&["--", stubborn.path(), log.to_str().expect("a text")]).start();
    wait_for("the command", || log.exists());
    let [command] = children(flame.pid())[..] else { panic!("one command") };
    flame.process.kill();
    let before = cpu_ns(command);
    sleep(Duration::from_millis(300));
    let after = cpu_ns(command);
    signal(command, libc::SIGKILL);
    assert!(after > before, "it runs on: {before} {after}");
    assert!(flame_tests::files::ending(flame.folder(), ".pb").is_empty());
    assert_eq!(flame_tests::files::names(flame.folder()), Vec::<String>::new());
}
