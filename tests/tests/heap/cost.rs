//! What heap probes cost a program is told apart from its CPU profile.

use flame::profile::{LabelValue, Profile};
use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Workload};

const PARTS: [&str; 3] = ["half", "quarter", "allocates"];

/// The shares of the program's functions, with what they call, in percent.
fn shares(profile: &Profile) -> [f64; 3] {
    let column = profile.default_sample_type();
    let total = profile.total(column) as f64;
    PARTS.map(|part| {
        let is_it = |location| {
            let lines = &profile.location(location).lines;
            lines.iter().any(|line| profile.string(profile.function(line.function).name) == part)
        };
        let of = profile.samples().filter(|sample| profile.frames(sample.stack).any(is_it));
        of.map(|sample| sample.values[column]).sum::<i64>() as f64 * 100.0 / total
    })
}

/// Whether a label says that a sample is flame's own cost.
fn is_cost(profile: &Profile, labels: flame::profile::LabelSetId) -> bool {
    profile.label_sets()[labels.index()].iter().any(|label| {
        let own = |text| profile.string(text) == "flame";
        profile.string(label.key) == "cost"
            && matches!(label.value, LabelValue::Text(text) if own(text))
    })
}

#[test]
fn shares_are_those_of_a_cpu_profile_alone() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("alloc_shares");
    let record = |options: &[&str], blocks| {
        let all = [options, &["-F", "4999", "--", program.path(), "4000", blocks]].concat();
        Flame::record(&all).run().with_code(0)
    };
    for (mode, blocks) in [("auto", "20"), ("exact", "1")] {
        let alone = shares(&record(&["-t", "cpu"], blocks).profile());
        let outcome = record(&["-t", "cpu,heap", "--heap-mode", mode], blocks);
        let profile = outcome.profile();
        let both = shares(&profile);
        let own = profile.sample_type_index("flame_cpu").expect("flame's own cost");
        let percent = profile.total(own) as f64 * 100.0 / profile.total(1) as f64;
        measured(&format!("{mode}: {both:.1?} %, alone {alone:.1?} %, cost {percent:.1} %"));
        // 11 traps in a millisecond, of 0.3 us where they are cheapest.
        assert!(mode == "auto" || percent > 0.3, "cost {percent} %");
        for (part, (both, alone)) in PARTS.iter().zip(both.iter().zip(alone)) {
            assert!((both - alone).abs() < 2.0, "{mode}: {part} {both} %, alone {alone} %");
        }
        for sample in profile.samples() {
            let counted = sample.values[0] != 0 || sample.values[1] != 0;
            assert_ne!(counted, sample.values[own] != 0, "a sample counts in one way");
            assert_eq!(is_cost(&profile, sample.labels), sample.values[own] != 0);
        }
        let said = profile.comments().iter().any(|line| line.starts_with("flame's own cost: "));
        assert!(said && outcome.stderr.contains("flame's own cost: "), "{}", outcome.stderr);
    }
}
