//! Both profiles together on a server under load: the shares of its functions are those that it has
//! in a CPU profile alone.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use flame::profile::Profile;
use flame_tests::machine::{Machine, measured};
use flame_tests::redis::Redis;
use flame_tests::{Flame, Guarded, Outcome};

/// Percentage points that a share of a function's time, its own or that with its callees, may be
/// off, besides what the machine does to it: turns of the same way differ by that.
const SHARE: f64 = 2.0;
/// Points that it may be off whatever the machine does.
const MOST: f64 = 4.0;
/// Functions that are compared, by their own time and by that of all that they call.
const HEAVIEST: usize = 15;
/// Times that each way of profiling has its turn, if `FLAME_TEST_SHARES_TURNS` does not say
/// otherwise: with 16 (two and a half minutes) most errors are below half a point.
const TURNS: usize = 4;

/// CPU time by function, its own and that of all that it calls.
#[derive(Debug, Default)]
struct Times {
    own: BTreeMap<String, f64>,
    with_callees: BTreeMap<String, f64>,
    all: f64,
    samples: i64,
    /// In the traps of probes.
    flames: f64,
}

impl Times {
    fn of(profile: &Profile) -> Self {
        let mut times = Self::default();
        let column = profile.default_sample_type();
        assert_eq!(profile.sample_types()[column].kind, "cpu");
        let flames = profile.sample_type_index("flame_cpu");
        for sample in profile.samples() {
            let value = sample.values[column] as f64;
            times.all += value;
            times.samples += sample.values[0];
            times.flames += flames.map_or(0.0, |flames| sample.values[flames] as f64);
            let frames = profile.frames(sample.stack).map(|id| profile.location(id));
            let names = frames.flat_map(|location| {
                let lines = location.lines.iter();
                lines.map(|line| profile.string(profile.function(line.function).name))
            });
            let names: Vec<&str> = names.collect();
            if let Some(innermost) = names.first() {
                *times.own.entry((*innermost).to_owned()).or_default() += value;
            }
            for name in names.into_iter().collect::<BTreeSet<_>>() {
                *times.with_callees.entry(name.to_owned()).or_default() += value;
            }
        }
        times
    }

    /// A function's share in percent.
    fn share(&self, by: By, name: &str) -> f64 {
        by(self).get(name).copied().unwrap_or_default() * 100.0 / self.all
    }
}

/// Own time, or that with callees.
type By = fn(&Times) -> &BTreeMap<String, f64>;

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The heaviest functions over all turns.
fn heaviest(turns: &[(Times, Times)], by: By) -> Vec<&str> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for times in turns.iter().flat_map(|(alone, both)| [alone, both]) {
        for name in by(times).keys() {
            *sums.entry(name).or_default() += times.share(by, name);
        }
    }
    let mut all: Vec<(&str, f64)> = sums.into_iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.into_iter().take(HEAVIEST).map(|(name, _)| name).collect()
}

fn profile(server: &Redis, types: &str) -> Outcome {
    // Not in step with anything that the server does by the clock.
    let pid = server.pid().to_string();
    let options = ["-t", types, "-F", "4999", "-d", "4s", "-f", "pb", "--pid", &pid];
    Flame::attach(&options).run().with_code(0)
}

#[test]
fn shares_of_a_server_under_load_are_those_of_a_cpu_profile_alone() {
    let Some(_machine) = Machine::take() else { return };
    let Some(server) = Redis::start(&[]) else { return };
    // The same keys again and again: the server's tables have their size when it is profiled.
    let keys = ["-t", "set", "-r", "20000", "-d", "200"];
    let fill = server.load(&[&keys[..], &["-n", "200000"]].concat()).status();
    assert!(fill.expect("run redis-benchmark").success());
    let mut load = server.load(&[&keys[..], &["-n", "1000000000"]].concat());
    let mut load = Guarded::spawn(&mut load);
    let count =
        env::var("FLAME_TEST_SHARES_TURNS").map_or(TURNS, |turns| turns.parse().expect("turns"));
    let turns: Vec<(Times, Times)> = (0..count)
        .map(|_| {
            let alone = Times::of(&profile(&server, "cpu").profile());
            let outcome = profile(&server, "cpu,heap");
            assert!(outcome.heap().samples().count() > 0, "{}", outcome.stderr);
            assert!(outcome.stderr.contains("flame's own cost: "), "{}", outcome.stderr);
            (alone, Times::of(&outcome.profile()))
        })
        .collect();
    assert!(load.is_alive(), "the load is over");
    let samples: [i64; 2] = [
        turns.iter().map(|(alone, _)| alone.samples).sum(),
        turns.iter().map(|(_, both)| both.samples).sum(),
    ];
    let cost = mean(turns.iter().map(|(_, both)| both.flames * 100.0 / both.all));
    measured(&format!("{samples:?} samples, besides {cost:.2} % in probes"));
    assert!(cost > 0.0, "some samples hit in probes");
    assert!(turns.iter().all(|(alone, _)| alone.flames == 0.0), "there were no probes");
    assert!(samples[0].min(samples[1]) > 5_000, "too few samples to tell");
    let mut wrong = Vec::new();
    let ways: [(&str, By); 2] =
        [("own", |times| &times.own), ("with callees", |times| &times.with_callees)];
    for (what, by) in ways {
        for name in heaviest(&turns, by) {
            let off = |(alone, both): &(Times, Times)| both.share(by, name) - alone.share(by, name);
            let alone = mean(turns.iter().map(|(alone, _)| alone.share(by, name)));
            let by_turn = mean(turns.iter().map(off));
            let spread = mean(turns.iter().map(|turn| (off(turn) - by_turn).powi(2)));
            let error = (spread / (count - 1) as f64).sqrt();
            let told =
                format!("{what}: {name}: {by_turn:+.2} +- {error:.2} points of {alone:.2} %");
            measured(&told);
            if by_turn.abs() > MOST || by_turn.abs() - 2.0 * error > SHARE {
                wrong.push(told);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
