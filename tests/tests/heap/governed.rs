//! What windows tell of a program that allocates at two rates, in phases and from sites of their
//! own: neither may be favoured, however much the probes slow each down.

use std::env;

use flame_tests::heap::{Pool, Quantity, Truth, compare};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Workload};

use crate::stated::Stated;

/// Runs, if `FLAME_TEST_GOVERNED_RUNS` does not say otherwise. As many as make 200 site-runs are
/// held to what unbiased estimates with right errors fulfil.
const RUNS: usize = 4;
/// What the program does, in milliseconds of CPU time, and rounds of work for each block in its
/// fast phases: it makes and frees more than a million blocks a second.
const LENGTH: &str = "6000";
const WORK: &str = "300";

#[test]
fn windows_favour_no_phase() {
    let Some(_machine) = Machine::take() else { return };
    let runs =
        env::var("FLAME_TEST_GOVERNED_RUNS").map_or(RUNS, |runs| runs.parse().expect("runs"));
    let program = Workload::c("heap_phases");
    let mut pool = Pool::default();
    for _ in 0..runs {
        let options = ["-t", "heap", "--heap-mode", "governed", "--"];
        let outcome =
            Flame::record(&[&options[..], &[program.path(), LENGTH, WORK]].concat()).run();
        let outcome = outcome.with_code(0);
        let truth = Truth::read(&outcome.printed());
        let (stated, profile) = (Stated::of(&outcome), outcome.heap());
        assert_eq!(profile.sample_type_index("inuse_space"), None, "windows cannot know it");
        for quantity in [Quantity::AllocObjects, Quantity::AllocSpace] {
            let error = |site: &str| stated.error(site, quantity);
            pool.all.extend(compare(&profile, &truth, quantity, 1, error));
        }
    }
    for site in ["fast_blocks", "slow_blocks"] {
        let of: Vec<_> = pool.all.iter().filter(|one| one.site == site).collect();
        let mean =
            |value: &dyn Fn(usize) -> f64| (0..of.len()).map(value).sum::<f64>() / of.len() as f64;
        measured(&format!(
            "{site}: {:.3} of the truth, standard error {:.3}, z {:+.2}",
            mean(&|i| of[i].estimate / of[i].truth),
            mean(&|i| of[i].standard_error / of[i].truth),
            mean(&|i| of[i].z()),
        ));
    }
    let (count, mean, deviation) = (pool.all.len(), pool.mean(), pool.deviation());
    measured(&format!("{count} site-runs: z {mean:+.3} on average, deviation {deviation:.3}"));
    if count >= 200 {
        pool.assert_sound();
    }
    assert!(count >= 16 && mean.abs() < 1.0, "{}", pool.worst());
    assert!(pool.share_beyond(4.5) == 0.0, "{}", pool.worst());
}
