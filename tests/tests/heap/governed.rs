//! What windows tell of a program that allocates at two rates, in phases and from sites of their
//! own: neither may be favoured, however much the probes slow each down.

use std::env;

use flame_tests::heap::{Compared, Pool, Quantity, Truth, compare};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Workload};

use crate::stated::Stated;

/// Runs, if `FLAME_TEST_GOVERNED_RUNS` does not say otherwise. As many as make 200 site-runs are
/// held to what unbiased estimates with right errors fulfil.
const RUNS: usize = 2;
/// What the program does, in milliseconds of CPU time, in few runs and in many, and rounds of work
/// for each block in its fast phases: it makes and frees hundreds of thousands of blocks a second.
const LENGTHS: [&str; 2] = ["15000", "45000"];
const WORK: &str = "1000";
/// What errors that are printed are at most on average, as a share, on a machine that does nothing
/// else.
const ERROR: f64 = 0.05;

#[test]
fn windows_favour_no_phase() {
    let Some(_machine) = Machine::take() else { return };
    let runs =
        env::var("FLAME_TEST_GOVERNED_RUNS").map_or(RUNS, |runs| runs.parse().expect("runs"));
    let length = LENGTHS[usize::from(runs > RUNS)];
    let program = Workload::c("heap_phases");
    let mut pool = Pool::default();
    for _ in 0..runs {
        let options = ["-t", "heap", "--heap-mode", "governed", "--"];
        let outcome =
            Flame::record(&[&options[..], &[program.path(), length, WORK]].concat()).run();
        let outcome = outcome.with_code(0);
        let truth = Truth::read(&outcome.printed());
        let (stated, profile) = (Stated::of(&outcome), outcome.heap());
        let share = |site: &str| {
            let of_site = truth.sites[site].of(Quantity::AllocSpace) as f64;
            stated.error(site, Quantity::AllocSpace) / of_site
        };
        let [fast, slow] = ["fast_blocks", "slow_blocks"].map(share);
        measured(&format!("a run: standard errors {fast:.3} and {slow:.3} of the truth"));
        assert_eq!(profile.sample_type_index("inuse_space"), None, "windows cannot know it");
        for quantity in [Quantity::AllocObjects, Quantity::AllocSpace] {
            let error = |site: &str| stated.error(site, quantity);
            pool.all.extend(compare(&profile, &truth, quantity, 1, error));
        }
    }
    let mean = |which: &dyn Fn(&&Compared) -> bool, value: &dyn Fn(&Compared) -> f64| {
        let of: Vec<f64> = pool.all.iter().filter(which).map(value).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    let space = |site: &'static str| {
        move |one: &&Compared| one.site == site && one.quantity == Quantity::AllocSpace
    };
    let [fast, slow] = ["fast_blocks", "slow_blocks"].map(|site| {
        let ratio = mean(&space(site), &|one| one.estimate / one.truth);
        let stated = mean(&space(site), &|one| one.standard_error / one.truth);
        measured(&format!("{site}: {ratio:.3} of the truth, standard error {stated:.3}"));
        (ratio, stated)
    });
    let (count, z, deviation) = (pool.all.len(), pool.mean(), pool.deviation());
    measured(&format!("{count} site-runs: z {z:+.3} on average, deviation {deviation:.3}"));
    if count >= 200 {
        pool.assert_sound();
        assert!(fast.1.max(slow.1) <= ERROR, "standard errors {:.3}, {:.3}", fast.1, slow.1);
    }
    let (fast, slow) = (fast.0, slow.0);
    // Both allocate as many bytes in a second. Which of them the windows of a few seconds meet is
    // chance, their sum is not.
    let all = f64::midpoint(fast, slow);
    assert!((all - 1.0).abs() < 0.2, "in all {all:.3} of the truth\n{}", pool.worst());
    let off = (fast - slow).abs() / (fast + slow);
    assert!(off < 0.35, "fast {fast:.3}, slow {slow:.3} of the truth\n{}", pool.worst());
}

/// The kernel keeps the CPU clock of a process that runs to its scheduler's tick alone: on an idle
/// machine it stands still through whole windows, unless the program itself asks for it.
#[test]
fn the_work_of_a_window_is_known_whatever_the_kernels_clocks_tell() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("heap_steady");
    let options = ["-t", "heap", "--heap-mode", "governed", "--"];
    // Some seconds of a million blocks each.
    let arguments = [&options[..], &[program.path(), "8000000", WORK]].concat();
    let outcome = Flame::record(&arguments).run().with_code(0);
    let truth = Truth::read(&outcome.printed());
    let (stated, profile) = (Stated::of(&outcome), outcome.heap());
    for quantity in [Quantity::AllocObjects, Quantity::AllocSpace] {
        let error = |site: &str| stated.error(site, quantity);
        for one in compare(&profile, &truth, quantity, 1, error) {
            let (ratio, error) = (one.estimate / one.truth, one.standard_error / one.truth);
            measured(&format!("{quantity:?}: {ratio:.3} of the truth, standard error {error:.3}"));
            assert!((ratio - 1.0).abs() < 0.4 && error < 0.3, "{ratio} +- {error}");
        }
    }
}

/// Most programs that run for long wait most of the time. How long they ran in a window is no matter
/// of a few ticks of a clock, of which the last of these programs has one in three windows.
#[test]
fn a_program_that_sleeps_in_between_is_seen_as_it_is() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("heap_phases");
    for (length, work, run_us, sleep_us, most) in [
        ("6000", "1000", "200", "200", 0.3),
        ("6000", "200", "100", "400", 0.3),
        ("700", "1000", "50", "2000", 0.4),
    ] {
        let options = ["-t", "heap", "--heap-mode", "governed", "--"];
        let run = [program.path(), length, work, run_us, sleep_us];
        let arguments = [&options[..], &run].concat();
        let outcome = Flame::record(&arguments).run().with_code(0);
        let truth = Truth::read(&outcome.printed());
        let (stated, profile) = (Stated::of(&outcome), outcome.heap());
        let quantity = Quantity::AllocSpace;
        let all = compare(&profile, &truth, quantity, 1, |site| stated.error(site, quantity));
        let ratio = all.iter().map(|one| one.estimate).sum::<f64>()
            / all.iter().map(|one| one.truth).sum::<f64>();
        let each: Vec<_> = all.iter().map(|one| one.estimate / one.truth).collect();
        measured(&format!(
            "runs of {run_us} us, {sleep_us} us apart: {ratio:.3} of the truth, sites {each:.3?}"
        ));
        assert!((ratio - 1.0).abs() < most, "{ratio:.3} of the truth");
    }
}

/// Windows are not put off for longer than they can cost: a program of a second, which makes millions
/// of blocks and is probed otherwise only for its first tens of milliseconds, is not lost.
#[test]
fn a_short_program_is_seen_in_windows() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("heap_steady");
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let arguments = [&["-t", "heap", "--"][..], &[program.path(), "6000000", "300"]].concat();
        let outcome = Flame::record(&arguments).run().with_code(0);
        let truth = Truth::read(&outcome.printed());
        let (stated, profile) = (Stated::of(&outcome), outcome.heap());
        let quantity = Quantity::AllocSpace;
        for one in compare(&profile, &truth, quantity, 1, |site| stated.error(site, quantity)) {
            let ratio = one.estimate / one.truth;
            measured(&format!("{ratio:.3} of the truth, z {:+.2}", one.z()));
            assert!(one.z().abs() < 4.0, "{ratio:.4} of the truth");
            ratios.push(ratio);
        }
    }
    // Traps take most of a window here, and few windows tell what they take: that is stated, and on a
    // busy machine one run of eleven was nearly three times off.
    ratios.sort_by(f64::total_cmp);
    let middle = ratios[ratios.len() / 2];
    assert!(
        (0.4..2.5).contains(&middle) && ratios.iter().all(|r| (0.2..5.0).contains(r)),
        "{ratios:?}"
    );
}

#[test]
fn without_windows_a_busy_program_is_let_alone_and_nothing_is_guessed() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("heap_phases");
    let options = ["-t", "heap", "--heap-as-kernel", "6.1", "--", program.path(), "3000", WORK];
    let outcome = Flame::record(&options).run().with_code(0);
    let profile = outcome.heap();
    for kind in ["alloc_space", "inuse_space"] {
        assert_eq!(profile.sample_type_index(kind), None, "{kind} is not known");
    }
    assert!(profile.sample_type_index("resident_space").is_some(), "who grew is known");
    assert!(outcome.stderr.contains("windows needs Linux 6.6"), "{}", outcome.stderr);
}
