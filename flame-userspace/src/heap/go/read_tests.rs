//! The walk, over memory made up and over real Go programs.

use super::*;
use crate::heap::Estimate;
use crate::heap::go::locate;
use crate::process::{ElfLayout, ProcessMemory};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Words at addresses.
#[derive(Default)]
struct Words(BTreeMap<u64, u64>);

impl Words {
    fn put(&mut self, at: u64, words: &[u64]) {
        self.0.extend(words.iter().enumerate().map(|(i, word)| (at + i as u64 * 8, *word)));
    }

    /// A bucket with a stack of two, one published sample of 100 bytes and one to come.
    fn bucket(&mut self, at: u64, next: u64) {
        let mut words = vec![0, next, 1, 7, 100, 2, 0x401, 0x402];
        words.extend([1, 0, 100, 0, 0, 0, 0, 0, 1, 1, 100, 100, 0, 0, 0, 0]);
        self.put(at, &words);
    }
}

impl Memory for Words {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        for chunk in buffer.as_chunks_mut::<8>().0 {
            let Some(word) = self.0.get(&(address + done as u64)) else { break };
            *chunk = word.to_le_bytes();
            done += 8;
        }
        done
    }
}

const HEAD: u64 = 0x10;
const VARIABLES: Variables =
    Variables { buckets: HEAD, rate: Some(0x20), cycle: Some(0x30), has_reader: true };

fn memory(rate: u64, cycle: u64) -> Words {
    let mut memory = Words::default();
    memory.put(HEAD, &[0x1000]);
    memory.put(0x20, &[rate]);
    memory.put(0x30, &[cycle]);
    memory.bucket(0x1000, 0x2000);
    memory.bucket(0x2000, 0);
    memory
}

/// Objects allocated, objects in use and their bytes, by a record.
fn stand_for(profile: &GoProfile, record: usize) -> [i64; 3] {
    let blocks = &profile.since(None)[record];
    let in_use = blocks.in_use;
    [blocks.allocated.objects, in_use.objects, in_use.space].map(Estimate::rounded)
}

#[test]
fn a_list_is_read_to_its_end() {
    let profile = read(&VARIABLES, &memory(1, 1), 0).expect("a profile");
    assert_eq!((profile.records.len(), profile.rate, profile.cut), (2, 1, None));
    let record = &profile.records[0];
    assert_eq!(record.stack, [0x401, 0x402]);
    assert_eq!(stand_for(&profile, 0), [1, 1, 100]);
}

#[test]
fn a_finished_cycle_counts_before_it_is_published() {
    // Cycle 1, not published: the second of the three to come.
    let profile = read(&VARIABLES, &memory(1, 1 << 1), 0).expect("a profile");
    assert_eq!(stand_for(&profile, 0)[..2], [2, 1]);
    let profile = read(&VARIABLES, &memory(1, 1 << 1 | 1), 0).expect("a profile");
    assert_eq!(stand_for(&profile, 0)[0], 1);
}

#[test]
fn before_the_first_collection_all_counts() {
    let mut memory = memory(1, 1);
    for at in [0x1000, 0x2000] {
        memory.put(at + 8 * 8, &[0, 0, 0, 0]);
    }
    let profile = read(&VARIABLES, &memory, 0).expect("a profile");
    assert_eq!(profile.records[0].sampled.allocs, 1);
    assert_eq!(stand_for(&profile, 0)[1], 0);
}

#[test]
fn a_program_without_a_profile_is_told_why() {
    let none = Variables { has_reader: false, ..VARIABLES };
    assert_eq!(read(&none, &memory(1, 1), 0), Err(NoProfile::LeftOut));
    assert_eq!(read(&VARIABLES, &memory(0, 1), 0), Err(NoProfile::TurnedOff));
    assert_eq!(read(&VARIABLES, &Words::default(), 0), Err(NoProfile::Unreadable));
    let unknown = Variables { rate: None, ..VARIABLES };
    let profile = read(&unknown, &memory(0, 1), 0).expect("a profile");
    assert!(profile.is_rate_assumed);
}

#[test]
fn a_list_that_goes_astray_or_in_a_circle_ends() {
    let mut astray = memory(1, 1);
    astray.put(0x2008, &[0xdead_0000]);
    let profile = read(&VARIABLES, &astray, 0).expect("a profile");
    assert_eq!((profile.records.len(), profile.cut), (2, Some(Cut::Astray)));
    let mut deep = memory(1, 1);
    deep.put(0x2000 + 5 * 8, &[u64::MAX]);
    assert!(read(&VARIABLES, &deep, 0).expect("a profile").cut.is_some());
    let mut circle = memory(1, 1);
    circle.put(0x2008, &[0x1000]);
    assert_eq!(read(&VARIABLES, &circle, 0), Err(NoProfile::Circular));
}

/// Buckets with the deepest of stacks wherever one looks, each `apart` from the next.
struct Deep {
    apart: u64,
    reads: Cell<usize>,
}

impl Deep {
    /// More than a bucket has.
    const ROOM: u64 = 1 << 20;

    const fn new(apart: u64) -> Self {
        Self { apart, reads: Cell::new(0) }
    }
}

impl Memory for Deep {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        self.reads.set(self.reads.get() + 1);
        let (bucket, into) = (address - address % Self::ROOM, address % Self::ROOM);
        for (chunk, at) in buffer.as_chunks_mut::<8>().0.iter_mut().zip(into / 8..) {
            let word = match at {
                _ if bucket == 0 => Self::ROOM,
                1 => bucket + self.apart,
                5 => DEEPEST,
                _ => MEMORY_KIND,
            };
            *chunk = word.to_le_bytes();
        }
        buffer.len()
    }
}

#[test]
fn a_list_of_deep_stacks_is_read_up_to_a_number_of_words() {
    let memory = Deep::new(Deep::ROOM);
    let profile = read(&VARIABLES, &memory, 0).expect("a profile");
    let words: usize = profile.records.iter().map(|record| record.stack.len()).sum();
    assert_eq!((words, profile.cut), (MOST_WORDS, Some(Cut::TooMany)));
    let most = (MOST_WORDS / DEEPEST as usize + 2) * (TRIES + 1);
    assert!(memory.reads.get() <= most, "{} reads", memory.reads.get());
}

#[test]
fn a_deep_stack_that_leads_to_itself_is_read_once() {
    let memory = Deep::new(0);
    assert_eq!(read(&VARIABLES, &memory, 0), Err(NoProfile::Circular));
    assert!(memory.reads.get() <= TRIES + 4, "{} reads", memory.reads.get());
}

#[test]
fn samples_stand_for_the_inverse_of_their_probability() {
    assert_eq!(scaled(0, 0, 512 << 10), (0, 0));
    assert_eq!(scaled(3, 300, 1), (3, 300));
    // Of blocks of 112 bytes one in 4681.6 is sampled.
    assert_eq!(scaled(1, 112, 512 << 10), (4681, 524_344));
    // Large ones are sampled nearly always.
    assert_eq!(scaled(2, 16 << 20, 512 << 10), (2, 16_777_217));
}

/// A Go program that runs, and what it told of its own profile: counts by stack and size.
struct Program {
    child: Child,
    path: PathBuf,
    told: BTreeMap<(Vec<u64>, u64), Counts>,
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = std::fs::remove_file(&self.path);
    }
}

/// Builds and starts `tests/workloads/go/NAME.go`; `None`, told, where there is no Go.
fn program(name: &str, flags: &[&str]) -> Option<Program> {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/workloads/go/{name}.go"));
    let unique = format!("flame-{name}-{}-{}", std::process::id(), flags.join("").len());
    let path = std::env::temp_dir().join(unique);
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&path).args(flags).arg(&source).env("GO111MODULE", "off");
    let Ok(built) = build.output() else {
        writeln!(std::io::stderr(), "skipped: no go here").expect("standard error");
        return None;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut start = Command::new(&path);
    let mut child =
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start the program");
    let mut told = BTreeMap::new();
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for line in lines.map_while(Result::ok).take_while(|line| line != "ready") {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a count");
        let counts = Counts {
            allocs: number(0),
            frees: number(1),
            alloc_bytes: number(2),
            free_bytes: number(3),
        };
        let stack: Vec<u64> =
            words[4..].iter().map(|pc| u64::from_str_radix(pc, 16).expect("an address")).collect();
        told.insert((stack, counts.alloc_bytes / counts.allocs.max(1)), counts);
    }
    Some(Program { child, path, told })
}

impl Program {
    fn variables(&self) -> (Variables, u64) {
        let file = File::open(&self.path).expect("the program");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        let memory = ProcessMemory { pid: self.child.id() };
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id()));
        let maps = maps.expect("the program's mappings");
        let name = self.path.to_str().expect("a path");
        let own = maps.lines().find(|line| line.ends_with(name)).expect("its file is mapped");
        let start = own.split('-').next().expect("an address");
        let start = u64::from_str_radix(start, 16).expect("an address");
        let bias = start - (layout.segments[0].address & !0xfff);
        let found = locate(&file, &layout, &memory, bias).expect("search the program");
        (found.expect("a Go program"), bias)
    }

    fn assert_read_as_told(&self) -> Variables {
        let (variables, bias) = self.variables();
        let memory = ProcessMemory { pid: self.child.id() };
        let profile = read(&variables, &memory, bias).expect("a profile");
        assert_eq!(profile.cut, None);
        assert_eq!(profile.rate, 512 << 10);
        let read: BTreeMap<(Vec<u64>, u64), Counts> = profile
            .records
            .iter()
            .map(|r| {
                ((r.stack.clone(), r.sampled.alloc_bytes / r.sampled.allocs.max(1)), r.sampled)
            })
            .collect();
        assert!(self.told.len() > 5, "the program told of {} stacks", self.told.len());
        for (key, counts) in &self.told {
            assert_eq!(read.get(key), Some(counts), "{key:x?}");
        }
        let held: i64 =
            profile.since(None).iter().map(|blocks| blocks.in_use.space.rounded()).sum();
        // 300 blocks of 64 KiB and 200 000 nodes of 112 B.
        assert!((25 << 20..60 << 20).contains(&held), "{held} bytes are held");
        variables
    }
}

#[test]
fn a_go_programs_profile_is_read_as_it_tells_it() {
    let Some(program) = program("heap", &[]) else { return };
    let variables = program.assert_read_as_told();
    assert!(variables.rate.is_some() && variables.cycle.is_some());
}

/// The 26 of Go 1.26.
fn go_minor() -> u32 {
    let told = Command::new("go").arg("version").output().expect("run go").stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let minor = told.split("go1.").nth(1).and_then(|rest| rest.split(['.', ' ']).next());
    minor.and_then(|minor| minor.parse().ok()).expect("a version of Go")
}

#[test]
fn a_stripped_go_program_is_read_by_its_function_table() {
    let Some(program) = program("heap", &["-ldflags=-s -w"]) else { return };
    let variables = program.assert_read_as_told();
    assert_eq!(variables.cycle, None, "it has no symbols");
    // Go 1.19 has other code there; then Go's default rate is assumed, and said to be.
    assert!(variables.rate.is_some() || go_minor() < 20, "its rate is not known");
}

#[test]
fn a_stripped_go_program_that_lies_anywhere_is_read() {
    let Some(program) = program("heap", &["-ldflags=-s -w", "-buildmode=pie"]) else { return };
    program.assert_read_as_told();
}

#[test]
fn a_go_program_that_never_reads_its_profile_has_none() {
    for flags in [&[][..], &["-ldflags=-s -w"]] {
        let Some(program) = program("no_heap", flags) else { return };
        let (variables, bias) = program.variables();
        let memory = ProcessMemory { pid: program.child.id() };
        assert_eq!(read(&variables, &memory, bias), Err(NoProfile::LeftOut));
    }
}

#[test]
fn other_programs_are_no_go_programs() {
    let file = File::open("/proc/self/exe").expect("this test binary");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let memory = ProcessMemory { pid: std::process::id() };
    assert_eq!(locate(&file, &layout, &memory, 0).expect("search it"), None);
}
