//! What a report says is all there is, and adds up.

use super::*;
use crate::analyze::normalize::{PART_OF_RUN, WHOLE_RUN};
use crate::profile::{Builder, Function, Line, Location, LocationId};

fn location(b: &mut Builder, name: &str) -> LocationId {
    let (name, file) = (b.string(name), b.string("a.c"));
    let function = b.function(Function { name, system_name: name, file, start_line: 1 });
    let lines = vec![Line { function, line: 7, column: 0 }];
    b.location(Location { mapping: None, address: function.index() as u64 + 1, lines })
}

fn builder() -> Builder {
    Builder::new(
        vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")],
        1,
    )
}

/// Many functions of falling weight, in stacks of random depth.
fn wide(seed: u64) -> Profile {
    let mut state = seed;
    let mut below = move |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % limit
    };
    let mut b = builder();
    let frames: Vec<_> = (0..60).map(|i| location(&mut b, &format!("f{i}"))).collect();
    for i in 0..400 {
        let depth = below(14);
        let stack: Vec<_> = (0..depth).map(|level| frames[(level * below(5)) as usize]).collect();
        let stack = b.stack(stack);
        let (thread, comm) = (format!("t{}", i % 12), "app");
        let labels = vec![
            b.number_label("pid", 1 + i % 3, ""),
            b.text_label("comm", comm),
            b.text_label("thread", &thread),
        ];
        let labels = b.label_set(labels);
        let count = 1 + below(50) as i64;
        b.sample(stack, labels, &[count, count * 10]);
    }
    b.finish()
}

#[test]
fn every_table_adds_up_to_the_total() {
    for seed in 0..50 {
        let report = Report::of(&wide(seed), ReportOptions { top: 5 });
        let view = &report.views[0];
        let paths: i64 = view.paths.iter().filter(|row| row.ends).map(|row| row.value).sum();
        assert_eq!(paths, view.total, "seed {seed}: {:#?}", view.paths);
        let own = |&row: &usize| view.functions[row].worth.self_value;
        let own: i64 = view.by_self.iter().map(own).sum();
        assert_eq!(own + view.self_rest.value + view.stackless, view.total);
        for groups in [&view.modules, &view.sides, &view.processes, &view.threads] {
            let sum: i64 = groups.rows.iter().map(|group| group.value).sum();
            assert_eq!(sum + groups.others_value, view.total, "seed {seed}");
            assert!(groups.rows.len() <= 8);
        }
        assert_eq!((view.threads.rows.len(), view.threads.others), (8, 4));
        assert_eq!(view.by_self.len(), 5);
        assert!(view.paths.len() < 80, "{}", view.paths.len());
    }
}

#[test]
fn a_report_of_the_same_profile_is_the_same() {
    let report = |seed| Report::of(&wide(seed), ReportOptions::default());
    assert_eq!(report(3), report(3));
    assert_ne!(report(3), report(4));
}

#[test]
fn chains_are_one_row_and_recursion_is_counted() {
    let mut b = builder();
    let [main, run, again, leaf] = ["main", "run", "again", "leaf"].map(|n| location(&mut b, n));
    let none = b.label_set(Vec::new());
    let long = b.stack([main, run, again, again, again, leaf]);
    let short = b.stack([main]);
    b.sample(long, none, &[93, 930]);
    b.sample(short, none, &[5, 50]);
    b.sample(None, none, &[2, 20]);
    let report = Report::of(&b.finish(), ReportOptions::default());
    let view = &report.views[0];
    let calls = |names: &[(&str, usize)]| {
        let named = names.iter().map(|&(name, times)| (name.to_owned(), times)).collect();
        PathKind::Calls { named, skipped: 0 }
    };
    let rows: Vec<_> = view.paths.iter().map(|r| (r.depth, &r.kind, r.value, r.ends)).collect();
    assert_eq!(
        rows,
        [
            (0, &calls(&[("main", 1)]), 980, false),
            (1, &calls(&[("run", 1), ("again", 3), ("leaf", 1)]), 930, true),
            (1, &PathKind::Own, 50, true),
            (0, &PathKind::NoStack, 20, true),
        ]
    );
    assert_eq!(view.stackless, 20);
    let leaf = &view.around[0];
    assert_eq!(leaf.callers[0].names, ["again", "again", "again"]);
    assert!(leaf.callers[0].cut);
    assert_eq!(view.samples, Some(100.0));
    assert!(report.warnings[0].starts_with("few samples (100)"), "{:?}", report.warnings);
}

#[test]
fn a_session_is_short_unless_it_saw_its_commands_whole_run() {
    for (comment, warned) in [(PART_OF_RUN, true), (WHOLE_RUN, false)] {
        let mut b = builder();
        let main = location(&mut b, "main");
        let (none, stack) = (b.label_set(Vec::new()), b.stack([main]));
        b.sample(stack, none, &[1000, 10_000]);
        b.time(0, 2_000_000_000);
        b.comment(comment);
        let report = Report::of(&b.finish(), ReportOptions::default());
        let is_told = report.warnings.iter().any(|line| line.starts_with("short session (2"));
        assert_eq!(is_told, warned, "{:?}", report.warnings);
    }
}

#[test]
fn stripped_code_is_told_as_code_without_names() {
    let mut b = builder();
    let [main, stripped] = ["main", "[perl+0x1234]"].map(|name| location(&mut b, name));
    let none = b.label_set(Vec::new());
    let (own, below) = (b.stack([main]), b.stack([main, stripped]));
    b.sample(own, none, &[600, 6000]);
    b.sample(below, none, &[400, 4000]);
    let report = Report::of(&b.finish(), ReportOptions::default());
    assert_eq!(report.views[0].unnamed, 4000);
    assert_eq!(report.warnings, ["40.0 % of the value is in code without names"]);
}

#[test]
fn of_a_total_that_is_not_above_zero_nothing_has_a_share() {
    for less in [-1000, -5000] {
        let mut b = builder();
        let frame = location(&mut b, "[perl+0x1234]");
        let (none, stack) = (b.label_set(Vec::new()), b.stack([frame]));
        b.sample(stack, none, &[1000, 10_000]);
        b.sample(None, none, &[less, less * 10]);
        let report = Report::of(&b.finish(), ReportOptions::default());
        assert_eq!(report.views[0].share(1000), None);
        let told = report.warnings.iter().any(|line| line.contains("of the value"));
        assert!(!told, "{:?}", report.warnings);
    }
}

#[test]
fn of_a_very_long_chain_the_ends_are_named() {
    for (length, wanted) in [(64, 0), (65, 1), (100_000, 100_000 - 64)] {
        let mut b = builder();
        let frames = ["ping", "pong"].map(|name| location(&mut b, name));
        let none = b.label_set(Vec::new());
        let stack = b.stack(frames.into_iter().cycle().take(length));
        b.sample(stack, none, &[1, 10]);
        let report = Report::of(&b.finish(), ReportOptions::default());
        let [row] = report.views[0].paths.as_slice() else { panic!("{length}: one path") };
        let PathKind::Calls { named, skipped } = &row.kind else { panic!("{length}: calls") };
        assert_eq!((named.len(), *skipped), (64, wanted), "{length}");
        assert_eq!(named[0].0, "ping");
        assert_eq!(named[63].0, ["pong", "ping"][length % 2], "{length}");
    }
}

#[test]
fn what_leaves_a_chain_before_its_end_is_told_where_the_chain_opens() {
    let mut b = builder();
    let [main, run, work, rest] = ["main", "run", "work", "rest"].map(|n| location(&mut b, n));
    let none = b.label_set(Vec::new());
    for (stack, count) in [
        (vec![main, run, work], 600),
        (vec![main, run, rest], 390),
        (vec![main, rest], 5),
        (vec![main], 5),
    ] {
        let stack = b.stack(stack);
        b.sample(stack, none, &[count, count]);
    }
    let report = Report::of(&b.finish(), ReportOptions::default());
    let rows = report.views[0].paths.iter().map(|r| (r.depth, r.value, r.ends));
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [(0, 1000, false), (1, 600, true), (1, 390, true), (1, 10, true)]
    );
    assert_eq!(report.views[0].paths[3].kind, PathKind::Others(2));
}

#[test]
fn a_heap_tells_objects_beside_bytes_and_what_was_allocated_in_all() {
    let kinds = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
    let unit = |kind: &str| if kind.ends_with("space") { "bytes" } else { "count" };
    let types = kinds.map(|kind| SampleType::new(kind, unit(kind))).to_vec();
    let mut b = Builder::new(types, 3);
    b.period(SampleType::new("space", "bytes"), 1 << 19);
    let frame = location(&mut b, "make");
    let none = b.label_set(Vec::new());
    let stack = b.stack([frame]);
    b.sample(stack, none, &[40, 4000, 10, 1000]);
    let report = Report::of(&b.finish(), ReportOptions::default());
    let kinds: Vec<_> = report.views.iter().map(|view| &view.sample_type.kind[..]).collect();
    assert_eq!(kinds, ["inuse_space", "alloc_space"]);
    let objects = report.views[0].functions[0].objects;
    assert_eq!(objects.map(|worth| worth.self_value), Some(10));
}

#[test]
fn nothing_sampled_is_a_report_too() {
    for profile in [Profile::default(), builder().finish()] {
        let report = Report::of(&profile, ReportOptions::default());
        assert!(report.views.is_empty());
        assert_eq!(report.warnings, ["the profile has no samples"]);
    }
}
