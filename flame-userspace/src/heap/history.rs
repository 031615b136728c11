//! How what lives has grown: the bytes of each stack at some moments of the session, few enough
//! however long it lasts.

use std::collections::HashMap;

use super::weight::Estimate;
use crate::aggregate::{Key, Stack};
use crate::process::ProcessId;

/// The most moments that are kept: then every second one is let go, and they come half as often.
const MOST: usize = 16;
/// The time between the first moments, in nanoseconds.
const FIRST_NS: u64 = 200_000_000;

/// Whose blocks.
pub(super) type Holder = (ProcessId, Stack);

/// Bytes at the moments of a history; a stack that had none yet begins later.
#[derive(Debug, Clone, Default)]
struct Row {
    samples: i64,
    now: Estimate,
    at: Vec<(f32, f32)>,
}

/// The moments.
#[derive(Debug)]
pub(super) struct History {
    every_ns: u64,
    times_ns: Vec<u64>,
    rows: HashMap<Holder, Row>,
}

impl Default for History {
    fn default() -> Self {
        Self { every_ns: FIRST_NS, times_ns: Vec::new(), rows: HashMap::new() }
    }
}

impl History {
    /// Blocks begin (`samples` of 1) or cease (-1) to live, or stand for something else (0).
    pub(super) fn change(&mut self, key: &Key, samples: i64, bytes: Estimate) {
        let row = self.rows.entry((key.process, key.stack)).or_default();
        row.samples += samples;
        row.now += bytes;
        if row.samples == 0 {
            // Sums of rounded numbers would leave something behind.
            row.now = Estimate::default();
        }
    }

    /// It is this time, and all that happened before is known.
    pub(super) fn come_to(&mut self, time_ns: u64) {
        let due = self.times_ns.last().map_or(0, |last| last + self.every_ns);
        if time_ns < due {
            return;
        }
        if self.times_ns.len() == MOST {
            self.thin();
        }
        let moments = self.times_ns.len();
        for row in self.rows.values_mut() {
            row.at.resize(moments, (0.0, 0.0));
            row.at.push((row.now.value as f32, row.now.variance as f32));
        }
        self.times_ns.push(time_ns);
    }

    fn thin(&mut self) {
        self.every_ns *= 2;
        every_second(&mut self.times_ns);
        let moments = self.times_ns.len() * 2;
        self.rows.retain(|_, row| {
            row.at.resize(moments, (0.0, 0.0));
            every_second(&mut row.at);
            row.samples != 0 || row.at.iter().any(|at| at.0 != 0.0)
        });
    }

    /// The moments, in nanoseconds.
    pub(super) fn times_ns(&self) -> &[u64] {
        &self.times_ns
    }

    /// What a holder held at each moment.
    pub(super) fn of(&self, holder: Holder) -> Vec<Estimate> {
        let known = self.rows.get(&holder).map_or(&[][..], |row| &row.at);
        let estimate = |&(value, variance): &(f32, f32)| Estimate {
            value: value.into(),
            variance: variance.into(),
        };
        let mut at: Vec<Estimate> = known.iter().map(estimate).collect();
        at.resize(self.times_ns.len(), Estimate::default());
        at
    }
}

fn every_second<T>(list: &mut Vec<T>) {
    let mut index = 0;
    list.retain(|_| {
        index += 1;
        index % 2 == 1
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessTable;
    use std::collections::HashSet;

    #[test]
    fn a_history_has_few_moments_over_its_whole_time() {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        let key = Key { process, tid: 1, thread: "t".into(), stack: None, guesses: 0, cut: None };
        let mut history = History::default();
        let byte = Estimate { value: 1.0, variance: 0.0 };
        for tick in 0..1000 {
            history.change(&key, 1, byte);
            history.come_to(FIRST_NS * (tick + 1));
        }
        let times = history.times_ns().to_vec();
        assert!((MOST / 2..=MOST).contains(&times.len()), "{times:?}");
        assert_eq!(times[0], FIRST_NS);
        assert!(times.windows(2).all(|two| two[1] - two[0] == history.every_ns), "{times:?}");
        let at = history.of((process, None));
        let as_time = at.iter().map(|at| at.value as u64 * FIRST_NS);
        assert!(as_time.eq(times.iter().copied()), "{at:?}");
        assert_eq!(history.of((process, Some(3))), vec![Estimate::default(); times.len()]);
    }

    #[test]
    fn a_stack_that_comes_late_had_nothing_before() {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        let key = Key { process, tid: 1, thread: "t".into(), stack: None, guesses: 0, cut: None };
        let mut history = History::default();
        history.come_to(FIRST_NS);
        history.change(&key, 1, Estimate { value: 5.0, variance: 1.0 });
        history.come_to(FIRST_NS * 2);
        history.change(&key, -1, Estimate { value: -4.9, variance: -1.0 });
        history.come_to(FIRST_NS * 3);
        let values: Vec<f64> = history.of((process, None)).iter().map(|at| at.value).collect();
        assert!(
            values.iter().zip([0.0, 5.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6),
            "{values:?}"
        );
    }
}
