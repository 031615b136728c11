//! Registers and stacks of programs that really run, walked by flame and by framehop: every frame
//! must be the same.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use flame_common::frame::RawFrame;
use flame_common::limits::RED_ZONE;
use flame_common::sample::StackEnd;
use flame_common::unwind::Registers;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder as _};
use object::{Object as _, ObjectSection as _};

use super::{Stopped, Unwinder};
use crate::process::{ElfLayout, ProcessTable, vdso};

/// Programs that run until they are killed; those that are not there are left out.
const PROGRAMS: &[&[&str]] = &[
    &["/bin/sh", "-c", "while :; do :; done"],
    &["/usr/bin/perl", "-e", "while (1) { $n{$_ % 999} .= join ',', sort map { $_ * 7 } 1..99 }"],
    &["/usr/bin/python3", "-c", "import json\nwhile 1: json.loads(json.dumps([[1, 'a']] * 999))"],
    &["/usr/bin/openssl", "speed", "-seconds", "60", "sha256", "aes-128-cbc", "rsa2048"],
    &["/usr/bin/awk", "BEGIN { while (1) a[n++ % 999] = sprintf(\"%d %f\", n, n / 7) }"],
    &[
        "/usr/bin/sqlite3",
        ":memory:",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i % 7) FROM n",
    ],
    &["/usr/bin/xz", "-c", "/dev/zero"],
    &["/usr/bin/sha512sum", "/dev/zero"],
];
/// The fewest programs that will do.
const FEWEST: usize = 3;
/// Stacks of each program.
const STACKS: usize = 60;
/// Stacks of each program that framehop may leave unfinished, as it has no expressions: of the code
/// that is run here next to none has any.
const UNFINISHED: usize = 3;
/// The most of a stack that is compared, in bytes.
const LONGEST: u64 = 256 << 10;

/// A program, killed with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is left to be done about a program that cannot be killed.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A thread's registers, and its stack from the red zone on.
struct Snapshot {
    registers: Registers,
    stack: Vec<u8>,
}

/// Stops a program, reads where it is, and lets it run on.
fn capture(pid: u32) -> io::Result<Snapshot> {
    let pid = i32::try_from(pid).expect("a pid");
    let call = |request, data: *mut libc::c_void| {
        // SAFETY: the requests of this function read or write what `data` points to, which lives
        // through the call and is of the type that the request has.
        match unsafe { libc::ptrace(request, pid, std::ptr::null_mut::<u8>(), data) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    call(libc::PTRACE_ATTACH, std::ptr::null_mut())?;
    let mut status = 0;
    // SAFETY: the status is a local that lives through the call.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    // SAFETY: the struct is made of integers alone, for which zero is valid.
    let mut saved: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let read = call(libc::PTRACE_GETREGS, (&raw mut saved).cast())
        .and_then(|()| read_stack(pid, saved.rsp - RED_ZONE));
    call(libc::PTRACE_DETACH, std::ptr::null_mut())?;
    let general = [
        saved.rax, saved.rdx, saved.rcx, saved.rbx, saved.rsi, saved.rdi, saved.rbp, saved.rsp,
        saved.r8, saved.r9, saved.r10, saved.r11, saved.r12, saved.r13, saved.r14, saved.r15,
    ];
    let registers = Registers { general, ip: saved.rip, is_return: 0, all_known: 1 };
    Ok(Snapshot { registers, stack: read? })
}

/// The memory from `start` to the end of its mapping.
fn read_stack(pid: i32, start: u64) -> io::Result<Vec<u8>> {
    let end = ranges(pid as u32)?.into_iter().find(|(range, _)| range.contains(&start));
    let end = end.map_or(start, |(range, _)| range.end.min(start + LONGEST));
    let mut bytes = vec![0; (end - start) as usize];
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// The mappings of a process, with the rest of their lines.
fn ranges(pid: u32) -> io::Result<Vec<(Range<u64>, String)>> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let range = |line: &str| -> Option<(Range<u64>, String)> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some((hex(start)?..hex(end)?, rest.to_owned()))
    };
    Ok(text.lines().filter_map(range).collect())
}

/// framehop, told all code of a process.
fn framehop_of(pid: u32) -> UnwinderX86_64<Vec<u8>> {
    let mut unwinder = UnwinderX86_64::new();
    for (range, rest) in ranges(pid).expect("the program's mappings") {
        let mut fields = rest.split_whitespace();
        let is_code = fields.next().is_some_and(|flags| flags.contains('x'));
        let offset = fields.next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let (Some(path), Some(offset)) = (fields.nth(2), offset) else { continue };
        let file = if path == "[vdso]" { vdso() } else { File::open(path).ok() };
        let Some(file) = file.filter(|_| is_code) else { continue };
        let layout = ElfLayout::read(&file).expect("code is in ELF files");
        let address = layout.address_of_mapping(offset, range.end - range.start);
        let bias = range.start - address.expect("code in a segment");
        let mut bytes = vec![0; file.metadata().expect("its length").len() as usize];
        file.read_exact_at(&mut bytes, 0).expect("a readable file");
        let elf = object::File::parse(bytes.as_slice()).expect("an ELF file");
        let part = |name: &str| {
            let section = elf.section_by_name(name)?;
            let addresses = section.address()..section.address() + section.size();
            Some((addresses, section.data().ok()?.to_vec()))
        };
        let (eh_frame, header, text, got) =
            (part(".eh_frame"), part(".eh_frame_hdr"), part(".text"), part(".got"));
        let section = |of: &Option<(Range<u64>, Vec<u8>)>| of.as_ref().map(|part| part.0.clone());
        let information = ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: section(&text),
            got_svma: section(&got),
            eh_frame_svma: section(&eh_frame),
            eh_frame_hdr_svma: section(&header),
            eh_frame: eh_frame.map(|part| part.1),
            eh_frame_hdr: header.map(|part| part.1),
            text: text.map(|part| part.1),
            ..ExplicitModuleSectionInfo::default()
        };
        unwinder.add_module(Module::new(path.to_owned(), range, bias, information));
    }
    unwinder
}

/// The addresses that framehop finds, and whether it says that it came to the root.
fn by_framehop(
    unwinder: &UnwinderX86_64<Vec<u8>>,
    cache: &mut CacheX86_64,
    snapshot: &Snapshot,
) -> (Vec<u64>, Result<(), framehop::Error>) {
    let Registers { general, ip, .. } = snapshot.registers;
    let (sp, fp) = (snapshot.registers.sp(), snapshot.registers.fp());
    let start = sp - RED_ZONE;
    let mut read = |address: u64| {
        let at = address.checked_sub(start).ok_or(())? as usize;
        let word = snapshot.stack.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or(())?;
        Ok(u64::from_le_bytes(*word))
    };
    let mut registers = UnwindRegsX86_64::new(ip, sp, fp);
    for (number, value) in general.into_iter().enumerate() {
        registers.set(REGISTERS[number], value);
    }
    let mut frames = unwinder.iter_frames(ip, registers, cache, &mut read);
    let mut addresses = Vec::new();
    loop {
        match frames.next() {
            Ok(Some(FrameAddress::InstructionPointer(address))) => addresses.push(address),
            Ok(Some(FrameAddress::ReturnAddress(address))) => addresses.push(address.get()),
            Ok(None) => return (addresses, Ok(())),
            Err(error) => return (addresses, Err(error)),
        }
    }
}

/// framehop's registers in the order of DWARF's numbers.
const REGISTERS: [framehop::x86_64::Reg; 16] = {
    use framehop::x86_64::Reg::*;
    [RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15]
};

/// The address of a frame; return addresses as they are.
fn address(frame: RawFrame) -> u64 {
    match frame.address().expect("a frame of a finished walk") {
        flame_common::frame::FrameAddress::InstructionPointer(address)
        | flame_common::frame::FrameAddress::ReturnAddress(address) => address,
    }
}

/// What came of a program's stacks.
#[derive(Debug, Default)]
struct Compared {
    stacks: usize,
    frames: usize,
    /// Of stacks that framehop could not finish: why, and how many.
    framehop_stopped: BTreeMap<String, usize>,
    /// Stacks that differ otherwise.
    different: Vec<String>,
}

fn compare(program: &[&str]) -> Compared {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().expect("start the program"));
    let pid = running.0.id();
    // Its libraries are loaded.
    sleep(Duration::from_millis(300));
    let framehop = framehop_of(pid);
    let mut cache = CacheX86_64::new();
    let mut processes = ProcessTable::new(false, HashSet::new());
    let process = processes.add_running(pid);
    let mut unwinder = Unwinder::default();
    let mut compared = Compared::default();
    for number in 0..STACKS {
        sleep(Duration::from_micros(1000 + 137 * number as u64 % 4000));
        let snapshot = capture(pid).expect("stop the program");
        let mut frames = vec![RawFrame::instruction_pointer(snapshot.registers.ip)];
        let stopped = Stopped {
            end: StackEnd::NoTable,
            registers: snapshot.registers,
            stack: &snapshot.stack,
        };
        let end = unwinder.finish(stopped, process, &mut processes, &mut frames);
        let ours: Vec<u64> = frames.iter().map(|frame| address(*frame)).collect();
        let (theirs, how) = by_framehop(&framehop, &mut cache, &snapshot);
        compared.stacks += 1;
        compared.frames += ours.len();
        if ours == theirs && end == StackEnd::Root {
            continue;
        }
        match how {
            Err(error) if ours.starts_with(&theirs) && end == StackEnd::Root => {
                *compared.framehop_stopped.entry(format!("{error:?}")).or_default() += 1;
            }
            how => compared.different.push(format!("{end:?} {ours:x?}\n{how:?} {theirs:x?}")),
        }
    }
    compared
}

#[test]
fn frames_of_running_programs_are_those_that_framehop_finds() {
    let (here, absent): (Vec<&[&str]>, Vec<&[&str]>) =
        PROGRAMS.iter().partition(|program| Path::new(program[0]).exists());
    for program in &absent {
        println!("left out, as it is not here: {}", program[0]);
    }
    for program in &here {
        let compared = compare(program);
        println!(
            "{}: {} stacks, {} frames, framehop stopped at {:?}",
            program[0], compared.stacks, compared.frames, compared.framehop_stopped
        );
        let different = &compared.different;
        assert!(different.is_empty(), "{} differ: {}", different.len(), different[0]);
        let unfinished: usize = compared.framehop_stopped.values().sum();
        assert!(unfinished <= UNFINISHED, "{}: {:?}", program[0], compared.framehop_stopped);
        assert!(compared.stacks == STACKS && compared.frames > 3 * STACKS, "{}", program[0]);
    }
    assert!(here.len() >= FEWEST, "{absent:?} are not here");
}
