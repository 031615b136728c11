//! The statistics, against exact probabilities, and each kind of limit.

use super::*;
use crate::profile::{Builder, Function, Line, Location, Mapping, SampleType};

/// A profile of 10 seconds with these counts of samples, by stacks of functions. One that begins
/// with `lib` lies in libx.so.
fn profile(stacks: &[(&[&str], i64)]) -> Profile {
    let types = vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")];
    let mut b = Builder::new(types, 1);
    b.period(SampleType::new("cpu", "nanoseconds"), 1_000_000);
    b.time(1, 10_000_000_000);
    let empty = b.string("");
    let [app, lib] = ["/bin/app", "/lib/libx.so"].map(|path| {
        let path = b.string(path);
        b.mapping(Mapping {
            start: 0,
            limit: 4096,
            file_offset: 0,
            path,
            build_id: empty,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        })
    });
    let none = b.label_set(Vec::new());
    for (names, count) in stacks {
        let frames: Vec<_> = names
            .iter()
            .map(|name| {
                let mapping = Some(if name.starts_with("lib") { lib } else { app });
                let name = b.string(name);
                let row = Function { name, system_name: name, file: empty, start_line: 0 };
                let function = b.function(row);
                let lines = vec![Line { function, line: 0, column: 0 }];
                b.location(Location { mapping, address: 1, lines })
            })
            .collect();
        let stack = b.stack(frames);
        b.sample(stack, none, &[*count, count * 1_000_000]);
    }
    b.finish()
}

fn check(base: &Profile, new: &Profile, limit: &str) -> Outcome {
    let limits = [limit.parse().expect("a limit")];
    let check = Check::of(base, new, &limits, CheckOptions::default()).expect("comparable");
    check.outcomes.into_iter().next().expect("one limit, one outcome")
}

fn verdict(base: i64, new: i64, limit: &str) -> Verdict {
    check(&profile(&[(&["f"], base)]), &profile(&[(&["f"], new)]), limit).verdict
}

#[test]
fn growth_beyond_the_limit_fails_where_chance_does_not_explain_it() {
    assert_eq!(verdict(20_000, 22_000, "cpu:f > +5%"), Verdict::Beyond);
    assert_eq!(verdict(20_000, 20_900, "cpu:f > +5%"), Verdict::Within);
    assert_eq!(verdict(20_000, 21_100, "cpu:f > +5%"), Verdict::Noise);
    assert_eq!(verdict(100, 120, "cpu:f > +5%"), Verdict::Noise);
    assert_eq!(verdict(100, 200, "cpu:f > +5%"), Verdict::Beyond);
    assert_eq!(verdict(100, 50, "cpu:f > +5%"), Verdict::Within);
    // The exact conditional test of 0 against n fails, at 2.5 % on one side, from 6 on.
    assert_eq!(verdict(0, 5, "cpu:f > +0%"), Verdict::Noise);
    assert_eq!(verdict(0, 6, "cpu:f > +0%"), Verdict::Beyond);
    assert_eq!(verdict(0, 0, "cpu:f > +5%"), Verdict::Within);
}

/// The probability of each count up to `most` where `mean` is expected.
fn poisson(mean: f64, most: usize) -> Vec<f64> {
    let mut probability = (-mean).exp();
    (0..=most)
        .map(|n| {
            let this = probability;
            probability *= mean / (n + 1) as f64;
            this
        })
        .collect()
}

/// How often a limit on growth by `share` fails, exactly, where base and new profile have these
/// means. Uses the outcome's own arithmetic through [`verdict::judge`].
fn failure_rate(base_mean: f64, new_mean: f64, share: f64) -> f64 {
    let limit: Limit = format!("cpu > +{}%", share * 100.0).parse().expect("a limit");
    let measured = |count: usize| {
        let mut part = crate::analyze::noise::Estimate::default();
        part.add(count as i64, count as f64);
        // The weight of a sample is known from the rest of the profile.
        let mut total = part;
        total.add(1000, 1000.0);
        Measured { part, total, noise_known: true }
    };
    let most = |mean: f64| (mean + 8.0 * mean.sqrt() + 10.0) as usize;
    let (bases, news) = (poisson(base_mean, most(base_mean)), poisson(new_mean, most(new_mean)));
    let unit = crate::profile::Unit::Count;
    let mut rate = 0.0;
    for (base, base_probability) in bases.iter().enumerate() {
        for (new, new_probability) in news.iter().enumerate() {
            let scale = Scale { by: Normalize::Totals, factor: 1.0, why: String::new() };
            let sides = [measured(base), measured(new)];
            if verdict::judge(&limit, share, &unit, scale, &sides).verdict == Verdict::Beyond {
                rate += base_probability * new_probability;
            }
        }
    }
    rate
}

#[test]
fn what_has_not_grown_beyond_the_limit_fails_at_most_as_often_as_promised() {
    for mean in [0.5, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0] {
        for share in [0.0, 0.05, 0.5, 1.0] {
            let rate = failure_rate(mean, mean * (1.0 + share), share);
            assert!(rate < 0.033, "{mean} and {share}: {rate}");
        }
        let unchanged = failure_rate(mean, mean, 0.05);
        assert!(unchanged < 0.025, "{mean}: {unchanged}");
    }
}

#[test]
fn the_smallest_growth_told_is_where_failing_begins() {
    for base in [0, 1, 7, 100, 5000, 20_000] {
        for limit in ["cpu:f > +5%", "cpu:f > +100ms", "cpu:f > 300ms"] {
            let outcome =
                check(&profile(&[(&["f"], base)]), &profile(&[(&["f"], base + 1)]), limit);
            let smallest = (outcome.smallest / 1e6).ceil() as i64;
            assert_eq!(verdict(base, smallest + 1, limit), Verdict::Beyond, "{base} {limit}");
            assert_ne!(verdict(base, smallest - 2, limit), Verdict::Beyond, "{base} {limit}");
        }
    }
    let few = check(&profile(&[(&["f"], 100)]), &profile(&[(&["f"], 100)]), "cpu:f > +5%");
    let growth = few.relative(few.smallest - few.base).expect("there was something");
    assert!((0.3..0.5).contains(&growth), "{growth}");
}

#[test]
fn each_kind_of_limit_is_held_against_what_it_says() {
    let base = profile(&[(&["main", "f"], 10_000), (&["main", "lib_g"], 10_000)]);
    let new = profile(&[(&["main", "f", "f"], 15_000), (&["main", "lib_g", "h"], 10_000)]);
    for (limit, expected) in [
        ("cpu > +20%", Verdict::Beyond),
        ("cpu > +30%", Verdict::Within),
        ("cpu:f > +5pp", Verdict::Beyond),
        ("cpu:f > +12pp", Verdict::Within),
        ("cpu:f > +4s", Verdict::Beyond),
        ("cpu:f > +6s", Verdict::Within),
        ("cpu:f > 50%", Verdict::Beyond),
        ("cpu:f > 70%", Verdict::Within),
        ("cpu:f > 14s", Verdict::Beyond),
        ("cpu:f > 16s", Verdict::Within),
        ("cpu:mai? > 99%", Verdict::Beyond),
        ("cpu:module=libx.so > +1%", Verdict::Within),
        ("cpu:module=/lib/* > 39%", Verdict::Beyond),
        ("cpu.self:module=libx.so > 0%", Verdict::Within),
        ("cpu.self:h > +0%", Verdict::Beyond),
        ("cpu.self:main > 0%", Verdict::Within),
        ("samples:f > +4000", Verdict::Beyond),
    ] {
        assert_eq!(check(&base, &new, limit).verdict, expected, "{limit}");
    }
    assert_eq!(check(&base, &new, "cpu:f > +5%").new, 15e9, "recursion counts once");
    assert!(check(&base, &new, "cpu:nobody > +5%").is_empty());
}

#[test]
fn shares_are_compared_where_asked() {
    let base = profile(&[(&["f"], 10_000), (&["g"], 10_000)]);
    let new = profile(&[(&["f"], 30_000), (&["g"], 30_000)]);
    let limits = ["cpu:f > +5%".parse().expect("a limit")];
    let by = |normalize| {
        let options = CheckOptions { normalize: Some(normalize), strict: false };
        Check::of(&base, &new, &limits, options).expect("comparable").outcomes[0].verdict
    };
    assert_eq!(by(Normalize::Totals), Verdict::Beyond);
    assert_eq!(by(Normalize::Share), Verdict::Within);
}

#[test]
fn strictness_makes_noise_fail() {
    let (base, new) = (profile(&[(&["f"], 100)]), profile(&[(&["f"], 110)]));
    let limits = ["cpu > +5%".parse().expect("a limit")];
    let failures = |strict| {
        let options = CheckOptions { normalize: None, strict };
        Check::of(&base, &new, &limits, options).expect("comparable").failures()
    };
    assert_eq!((failures(false), failures(true)), (0, 1));
    let unknown = ["heap > +5%".parse().expect("a limit")];
    assert!(Check::of(&base, &new, &unknown, CheckOptions::default()).is_err());
}

#[test]
fn values_counted_in_full_fail_by_any_difference() {
    let heap = |bytes| {
        let types = vec![
            SampleType::new("inuse_objects", "count"),
            SampleType::new("inuse_space", "bytes"),
        ];
        let mut b = Builder::new(types, 1);
        b.period(SampleType::new("space", "bytes"), 1);
        let none = b.label_set(Vec::new());
        b.sample(None, none, &[1, bytes]);
        b.finish()
    };
    let outcome = check(&heap(1000), &heap(1051), "inuse_space > +5%");
    assert_eq!((outcome.verdict, outcome.error), (Verdict::Beyond, 0.0));
    assert_eq!(check(&heap(1000), &heap(1050), "inuse_space > +5%").verdict, Verdict::Within);
}
