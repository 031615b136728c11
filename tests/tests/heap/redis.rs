//! A server under load: what it holds, against what it counts itself and what its allocator's own
//! profiler says of the same run.
//!
//! A profiler in the program walks the stack from within `malloc`. Of the calls that flame samples it
//! finds the kernel's trampoline there, in the place of malloc's return address, and has no callers:
//! so it tells of the others, each stack's share of which is known.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flame::profile::Profile;
use flame_tests::files::ending;
use flame_tests::machine::{Machine, measured};
use flame_tests::redis::Redis;
use flame_tests::{Flame, Outcome, Running};

use crate::stated::Stated;

/// Bytes between two of flame's samples.
const INTERVAL: f64 = 256.0;
/// How far an estimate may be off: a share of the truth, and standard errors. Of ten sites one is
/// beyond three by chance in each forty runs, and beyond four in each 1,500.
const SHARE: f64 = 0.1;
const ERRORS: f64 = 4.0;
/// Sites that are compared.
const LARGEST: usize = 10;
/// The chance of being sampled beyond which too few blocks of a site are left to jemalloc.
const MOST_SAMPLED: f64 = 0.9;

/// What a stack holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    objects: f64,
    bytes: f64,
}

/// Stacks as the addresses of the calls in the server's own file, innermost first.
type Stacks = BTreeMap<Vec<u64>, Held>;

impl Held {
    fn add(&mut self, objects: f64, bytes: f64) {
        self.objects += objects;
        self.bytes += bytes;
    }

    fn size(self) -> f64 {
        if self.objects == 0.0 { 0.0 } else { (self.bytes / self.objects).round() }
    }

    /// The chance that flame samples a block of the mean size.
    fn chance(self) -> f64 {
        1.0 - (-self.size().max(16.0) / INTERVAL).exp()
    }

    /// The bytes that jemalloc gives out for blocks of the mean size.
    fn given_out(self) -> f64 {
        self.objects * class(self.size())
    }
}

/// What jemalloc gives out for so many bytes: it has four classes between two powers of two, and
/// multiples of 16 up to 128 bytes.
fn class(size: f64) -> f64 {
    let step = (2f64.powf(size.max(1.0).log2().ceil()) / 8.0).max(16.0);
    if size <= 8.0 { 8.0 } else { (size / step).ceil() * step }
}

fn attach(server: &Redis) -> Running {
    let (pid, interval) = (server.pid().to_string(), INTERVAL.to_string());
    let options = ["-t", "heap", "--heap-mode", "exact", "--heap-interval", &interval];
    Flame::attach(&[&options[..], &["--pid", &pid]].concat()).start_sampling()
}

fn column(profile: &Profile, kind: &str) -> usize {
    profile.sample_type_index(kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// What the stacks hold by flame's profile.
fn of_flame(outcome: &Outcome, program: &Path) -> Stacks {
    let profile = outcome.heap();
    let (objects, bytes) = (column(&profile, "inuse_objects"), column(&profile, "inuse_space"));
    let mut stacks = Stacks::new();
    for sample in profile.samples() {
        let own = profile.frames(sample.stack).map(|id| profile.location(id)).filter(|location| {
            let mapping = location.mapping.map(|id| profile.mapping(id).path);
            mapping.is_some_and(|path| Path::new(profile.string(path)) == program)
        });
        let stack = own.map(|location| location.address).collect();
        let (objects, bytes) = (sample.values[objects] as f64, sample.values[bytes] as f64);
        stacks.entry(stack).or_default().add(objects, bytes);
    }
    stacks
}

/// What they hold by a dump of jemalloc's, whose samples are all allocations; and how many blocks
/// have no callers.
fn of_jemalloc(dump: &Path, program: &Path) -> (Stacks, f64) {
    let text = fs::read_to_string(dump).expect("read the dump");
    let (counts, maps) = text.split_once("MAPPED_LIBRARIES:").expect("its mappings");
    assert!(counts.starts_with("heap_v2/1\n"), "each allocation is sampled: {counts:.40}");
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex");
    let mapped = |is_it: &dyn Fn(&str) -> bool| -> Vec<(u64, u64)> {
        let lines = maps.lines().filter(|line| line.rsplit(' ').next().is_some_and(is_it));
        let range = |line: &str| {
            let (start, rest) = line.split_once('-').expect("a range");
            (hex(start), hex(rest.split(' ').next().expect("its end")))
        };
        lines.map(range).collect()
    };
    let own = mapped(&|path| Path::new(path) == program);
    let allocator = mapped(&|path| path.contains("/libjemalloc.so") || path == "[uprobes]");
    let within =
        |ranges: &[(u64, u64)], a: u64| ranges.iter().any(|range| (range.0..range.1).contains(&a));
    let base = own.first().expect("the server's mappings").0;
    let (mut stacks, mut without_callers) = (Stacks::new(), 0.0);
    let mut stack: Option<Vec<u64>> = None;
    for line in counts.lines() {
        if let Some(addresses) = line.strip_prefix("@ ") {
            let callers = addresses.split_whitespace().map(hex);
            stack = Some(callers.filter(|address| !within(&allocator, *address)).collect());
        } else if let Some(stack) = &stack
            && let Some(sums) = line.trim_start().strip_prefix("t*: ")
        {
            let mut sums = sums.split([':', ' ']).filter(|word| !word.is_empty());
            let mut number = || -> f64 { sums.next().and_then(|n| n.parse().ok()).expect("a sum") };
            let (objects, bytes) = (number(), number());
            if stack.is_empty() {
                without_callers += objects;
            }
            let calls = stack.iter().filter(|address| within(&own, **address));
            let calls = calls.map(|address| address - base - 1).collect();
            stacks.entry(calls).or_default().add(objects, bytes);
        }
    }
    (stacks, without_callers)
}

/// The function at an address of the server's.
fn name(profile: &Profile, address: u64) -> Option<&str> {
    let mut locations = profile.locations().iter();
    let location = locations.find(|location| location.address == address);
    let line = location.and_then(|location| location.lines.last());
    line.map(|line| profile.string(profile.function(line.function).name))
}

/// The innermost functions of a stack.
fn shown(profile: &Profile, stack: &[u64]) -> String {
    let names = stack.iter().map(|address| name(profile, *address).unwrap_or("?"));
    names.take(5).collect::<Vec<_>>().join(" < ")
}

#[test]
fn the_ten_largest_sites_of_a_server_are_those_of_its_allocators_own_profiler() {
    let Some(_machine) = Machine::take() else { return };
    // Each allocation is sampled, and the dump is written at its end.
    let options = "prof:true,lg_prof_sample:0,prof_final:true,prof_prefix:jemalloc";
    let Some(mut server) = Redis::start(&[("MALLOC_CONF", options)]) else { return };
    let (program, flame) = (server.program(), attach(&server));
    let load = ["-t", "set,hset,sadd", "-d", "300", "-r", "20000", "-n", "60000"];
    assert!(server.load(&load).status().expect("run redis-benchmark").success());
    server.shut_down();
    let outcome = flame.finish().with_code(0);
    let dumps = ending(server.folder(), ".heap");
    let [dump] = dumps.as_slice() else { panic!("one dump: {dumps:?}") };
    let (found, (known, without_callers)) =
        (of_flame(&outcome, &program), of_jemalloc(dump, &program));
    let profile = outcome.heap();
    // What the server made at its start is not flame's to know: the load comes by the event loop.
    let is_loop = |address: &u64| name(&profile, *address) == Some("aeMain");
    let mut largest: Vec<(&Vec<u64>, Held)> = known
        .iter()
        .filter(|(stack, _)| stack.iter().any(is_loop))
        .map(|(stack, seen)| (stack, found.get(stack).copied().unwrap_or_default(), *seen))
        .filter(|(_, estimate, _)| estimate.chance() < MOST_SAMPLED)
        .map(|(stack, estimate, mut seen)| {
            // jemalloc tells of the blocks that flame did not sample.
            seen.objects /= 1.0 - estimate.chance();
            seen.bytes /= 1.0 - estimate.chance();
            (stack, seen)
        })
        .collect();
    largest.sort_by(|a, b| b.1.bytes.total_cmp(&a.1.bytes));
    assert!(largest.len() >= LARGEST, "{largest:?}");
    for (stack, truth) in largest.into_iter().take(LARGEST) {
        let estimate = found.get(stack).copied().unwrap_or_default();
        let chance = estimate.chance();
        // Of both: what is sampled is what is not left to jemalloc.
        let error = truth.objects / (truth.objects * chance * (1.0 - chance)).sqrt();
        let (off, of) = (estimate.objects - truth.objects, shown(&profile, stack));
        let told = format!(
            "{of}: {:.0} of {:.0} +- {error:.0} blocks, {:+.1} %, z {:+.2}; {:.0} of {:.0} bytes",
            estimate.objects,
            truth.objects,
            off * 100.0 / truth.objects,
            off / error,
            estimate.given_out(),
            truth.bytes,
        );
        measured(&told);
        assert!(off.abs() < SHARE * truth.objects && off.abs() < ERRORS * error, "{told}");
        assert!((estimate.given_out() / truth.bytes - 1.0).abs() < SHARE, "{told}");
    }
    // The others, and all of what is sampled nearly always, such as tables: their number.
    let sampled: f64 = found.values().map(|held| held.objects * held.chance()).sum();
    measured(&format!("{sampled:.0} live blocks were sampled, {without_callers} have no callers"));
    assert!((sampled / without_callers - 1.0).abs() < SHARE);
}

#[test]
fn what_a_server_holds_grows_as_it_says_itself() {
    let Some(_machine) = Machine::take() else { return };
    let Some(mut server) = Redis::start(&[]) else { return };
    let (program, flame) = (server.program(), attach(&server));
    let before = server.used_memory();
    let load = ["-t", "set", "-d", "1000", "-r", "50000", "-n", "200000"];
    assert!(server.load(&load).status().expect("run redis-benchmark").success());
    let after = server.used_memory();
    let outcome = flame.interrupt().with_code(0);
    server.shut_down();
    let grown = (after - before) as f64;
    let stacks = of_flame(&outcome, &program);
    let asked: f64 = stacks.values().map(|held| held.bytes).sum();
    let given: f64 = stacks.values().map(|held| held.given_out()).sum();
    // As flame states it of what was asked for.
    let error = Stated::of(&outcome).of_type("main", "inuse_space") * given / asked;
    measured(&format!("{asked:.0} asked for, {given:.0} +- {error:.0} given out, of {grown:.0}"));
    assert!(grown > 40e6, "{before} and {after}");
    assert!((asked / grown - 1.0).abs() < SHARE, "{asked} of {grown}");
    let off = (given - grown).abs();
    assert!(
        error > 0.0 && off < SHARE * grown && off < ERRORS * error,
        "{given} +- {error} of {grown}"
    );
}
