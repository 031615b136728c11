//! What heap profiles say, against what the workloads counted themselves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use flame_tests::heap::{Pool, Quantity, Truth, compare};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Outcome, Workload};

use crate::stated::Stated;

/// Bytes below which a site has too few samples for its error to be normal, at [`INTERVAL`].
const LEAST: u64 = 64 << 10;
/// Mean size of a site's blocks from which on nearly all are sampled, in bytes.
const LARGE: u64 = 2048;
/// Bytes between two samples.
const INTERVAL: &str = "512";

/// Adds what a profile says of the sites that have enough of a quantity, where it is not known
/// without error.
fn add(pool: &mut Pool, outcome: &Outcome, truth: &Truth, quantity: Quantity) {
    let stated = Stated::of(outcome);
    let of = |site: &str| stated.error(site, quantity);
    let (objects, bytes) = match quantity {
        Quantity::AllocObjects | Quantity::AllocSpace => {
            (Quantity::AllocObjects, Quantity::AllocSpace)
        }
        Quantity::InuseObjects | Quantity::InuseSpace => {
            (Quantity::InuseObjects, Quantity::InuseSpace)
        }
    };
    let compared = compare(&outcome.heap(), truth, quantity, 1, of);
    pool.all.extend(compared.into_iter().filter(|one| {
        // Children run for milliseconds, before they are probed.
        let in_child = one.site.starts_with("child");
        let site = &truth.sites[&one.site];
        // Another function (`reallocarray`, the plugin's) lies between the site and what is probed: a
        // stack of the first moments that is not finished, which flame tells, does not reach it.
        let behind = ["array_growth", "plugin_blocks"].contains(&one.site.as_str());
        // Where nearly all are sampled, the error is that of a few small ones, and not normal.
        let large = site.of(bytes) > site.of(objects) * LARGE;
        // What is held of a site that frees nothing is the same number again.
        let again = bytes == Quantity::InuseSpace && site.bytes == site.held_bytes;
        site.of(bytes) >= LEAST
            && !large
            && !again
            && !in_child
            && !behind
            && one.standard_error > 0.0
    }));
}

fn record(workload: &Workload, options: &[&str], arguments: &[&OsStr]) -> (Outcome, Truth) {
    let outcome = start(workload, options, arguments).run().with_code(0);
    let truth = Truth::read(&outcome.printed());
    (outcome, truth)
}

fn start(workload: &Workload, options: &[&str], arguments: &[&OsStr]) -> Flame {
    let mut line: Vec<&OsStr> = ["-t", "heap", "--heap-interval", INTERVAL].map(OsStr::new).into();
    line.extend(options.iter().map(OsStr::new));
    line.extend([OsStr::new("--"), OsStr::new(workload.path())]);
    line.extend(arguments);
    Flame::record(&line)
}

/// Compares runs of a program, every allocation probed.
fn pooled(name: &str, runs: usize, run: impl Fn() -> (Outcome, Truth)) -> Pool {
    let mut pool = Pool::default();
    for _ in 0..runs {
        let (outcome, truth) = run();
        for quantity in Quantity::ALL {
            add(&mut pool, &outcome, &truth, quantity);
        }
    }
    let (count, mean, deviation) = (pool.all.len(), pool.mean(), pool.deviation());
    measured(&format!("{name}: {count} site-runs: z {mean:+.3}, deviation {deviation:.3}"));
    pool
}

/// Asserts that none of several pools is far off, and that they are sound together.
fn assert_sound_together(pools: Vec<(&str, Pool)>) {
    let mut all = Pool::default();
    for (name, pool) in pools {
        let (count, mean) = (pool.all.len(), pool.mean());
        assert!(count > 50 && mean.abs() < 0.5, "{name}: {}", pool.worst());
        all.all.extend(pool.all);
    }
    let (count, mean, deviation) = (all.all.len(), all.mean(), all.deviation());
    measured(&format!("{count} site-runs: z {mean:+.3} on average, deviation {deviation:.3}"));
    all.assert_sound();
}

#[test]
fn allocated_and_in_use_are_unbiased_and_their_errors_are_right() {
    let Some(_machine) = Machine::take() else { return };
    let (sites, plugin) = (Workload::c("heap_sites"), Workload::library("heap_plugin"));
    let arguments = [OsStr::new("300"), OsStr::new("1000"), OsStr::new(plugin.path())];
    pooled("glibc", 16, || record(&sites, &["--heap-mode", "exact"], &arguments)).assert_sound();
}

#[test]
fn allocations_alone_are_told_without_what_is_in_use() {
    let Some(_machine) = Machine::take() else { return };
    let (outcome, truth) =
        record(&Workload::c("heap_sites"), &["--heap-mode", "alloc"], &[OsStr::new("300")]);
    let mut pool = Pool::default();
    add(&mut pool, &outcome, &truth, Quantity::AllocSpace);
    assert!(pool.all.len() > 10, "{}", pool.worst());
    assert!(pool.share_beyond(4.0) == 0.0, "{}", pool.worst());
    let profile = outcome.heap();
    assert_eq!(profile.sample_type_index("inuse_space"), None);
    assert!(profile.comments().iter().any(|line| line.starts_with("in use: not recorded")));
}

#[test]
fn a_c_plus_plus_program_and_a_rust_program_are_known_as_well() {
    let Some(_machine) = Machine::take() else { return };
    let arguments = [OsStr::new("300"), OsStr::new("1000")];
    let of = |name, workload: &Workload| {
        (name, pooled(name, 16, || record(workload, &["--heap-mode", "exact"], &arguments)))
    };
    assert_sound_together(vec![
        of("C++", &Workload::cpp("heap_sites")),
        of("Rust", &Workload::rust("heap_sites")),
    ]);
}

#[test]
fn a_block_that_is_aligned_by_a_helper_counts_once() {
    let Some(_machine) = Machine::take() else { return };
    let (outcome, truth) = record(&Workload::c("aligned"), &["--heap-mode", "exact"], &[]);
    let stated = Stated::of(&outcome);
    let quantity = Quantity::AllocObjects;
    let of = |site: &str| stated.error(site, quantity);
    for one in compare(&outcome.heap(), &truth, quantity, 1, of) {
        measured(&format!("{}: {} of {}, z {:+.2}", one.site, one.estimate, one.truth, one.z()));
        assert!(one.z().abs() < 4.0, "{one:?}");
    }
}

/// Allocators to preload: the beginning of their files' names.
const PRELOADED: [&str; 3] = ["libjemalloc.so.2", "libtcmalloc.so.4", "libmimalloc.so.2"];

pub(crate) fn preloaded(name: &str) -> PathBuf {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.exists()).unwrap_or_else(|| panic!("{name} is wanted"))
}

#[test]
fn other_allocators_are_known_as_well() {
    let Some(_machine) = Machine::take() else { return };
    let (sites, plugin) = (Workload::c("heap_sites"), Workload::library("heap_plugin"));
    let musl = Workload::musl("heap_sites");
    let allocators = PRELOADED.map(|name| (name, Some(preloaded(name))));
    let all = allocators.into_iter().chain([("musl", None)]);
    let pools = all.map(|(name, library)| {
        let run = || {
            let mut arguments = vec![OsStr::new("300"), OsStr::new("1000")];
            let workload = if library.is_some() { &sites } else { &musl };
            if library.is_some() {
                arguments.push(OsStr::new(plugin.path()));
            }
            let mut flame = start(workload, &["--heap-mode", "exact"], &arguments);
            // Found when it has been mapped.
            flame.command().env("SITES_WAIT_US", "1500000");
            if let Some(library) = &library {
                flame.command().env("LD_PRELOAD", library);
            }
            let outcome = flame.run().with_code(0);
            let truth = Truth::read(&outcome.printed());
            (outcome, truth)
        };
        (name, pooled(name, 5, run))
    });
    assert_sound_together(pools.collect());
}

#[test]
fn probes_as_older_kernels_have_them_count_the_same() {
    let Some(_machine) = Machine::take() else { return };
    let sites = Workload::c("heap_sites");
    let arguments = [OsStr::new("300"), OsStr::new("1000")];
    let of = |version| {
        let options = ["--heap-mode", "exact", "--heap-as-kernel", version];
        (version, pooled(version, 8, || record(&sites, &options, &arguments)))
    };
    // Perf events for each probe; links of many, for entries and for returns.
    assert_sound_together(vec![of("6.1"), of("6.6")]);
}
