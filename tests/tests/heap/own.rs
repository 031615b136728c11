//! Heap profiles of programs with allocators of their own.

use flame_tests::heap::{Pool, Quantity, Truth, compare};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Workload};

use crate::stated::Stated;

/// The options that name the functions of `workloads/c/pool.c`.
const OWN: [&str; 8] = [
    "--alloc-fn",
    "pool_get:size=arg2,ret",
    "--alloc-fn",
    "pool_get_many:size=arg3*arg4,ret",
    "--alloc-fn",
    "xmalloc:size=arg1,ret",
    "--free-fn",
    "pool_put:arg3",
];

#[test]
fn a_programs_own_allocator_is_known_by_its_functions_and_nothing_counts_twice() {
    let Some(_machine) = Machine::take() else { return };
    let pool = Workload::c("pool");
    let options = ["-t", "heap", "--heap-mode", "exact", "--heap-interval", "2048"];
    let mut all = Pool::default();
    for _ in 0..5 {
        let line = [&options[..], &OWN, &["--", pool.path(), "20000"]].concat();
        let outcome = Flame::record(&line).run().with_code(0);
        let (profile, truth) = (outcome.heap(), Truth::read(&outcome.printed()));
        let stated = Stated::of(&outcome);
        for quantity in Quantity::ALL {
            let compared =
                compare(&profile, &truth, quantity, 1, |site| stated.error(site, quantity));
            all.all.extend(compared);
            // Chunks that the pool takes are no blocks of their own.
            let column = profile.sample_type_index(quantity.sample_type()).expect("a column");
            let (sum, known) = (profile.total(column) as f64, truth.total(quantity) as f64);
            assert!((sum / known - 1.0).abs() < 0.1, "{quantity:?}: {sum} of {known}");
        }
        assert!(!outcome.stderr.contains("symbol table"), "{}", outcome.stderr);
    }
    let said = format!("z {:+.2}, deviation {:.2}", all.mean(), all.deviation());
    measured(&format!("{} site-runs: {said}", all.all.len()));
    assert!(all.share_beyond(4.0) == 0.0, "{said}\n{}", all.worst());
    // Of the site-runs of a run, half and more tell the same blocks: the mean of right estimates
    // deviates by 0.2.
    assert!(all.mean().abs() < 0.6 && all.deviation() < 1.4, "{said}\n{}", all.worst());
}

#[test]
fn a_function_that_no_file_has_is_told_and_a_wrong_one_is_refused() {
    let Some(_machine) = Machine::take() else { return };
    let line = ["-t", "heap", "--alloc-fn", "nowhere:size=arg1,ret", "--", "sleep", "0.3"];
    let outcome = Flame::record(&line).run().with_code(0);
    assert!(outcome.stderr.contains("nowhere:size=arg1,ret: no file"), "{}", outcome.stderr);
    let refused = Flame::record(&["--free-fn", "put:block", "--", "true"]).run();
    let refused = refused.with_code(2);
    assert!(refused.stderr.contains("arg1 to arg6"), "{}", refused.stderr);
}
