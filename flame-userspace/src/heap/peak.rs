//! What lived when most did.
//!
//! The rows of the highest moment are kept, and beside them what has changed since. When the sum
//! rises above that moment, the changes are put into the rows: each change once, so that the moment
//! is exact at a price that does not grow with the heap.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::weight::Blocks;
use crate::aggregate::Key;

/// Changes that are kept one by one before they are added up by row.
const MOST_SINGLE: usize = 4096;

/// Sampled blocks of a row, and what they stand for.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    samples: i64,
    blocks: Blocks,
}

impl Held {
    fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.blocks += other.blocks;
    }
}

/// The highest moment.
#[derive(Debug, Default)]
pub(super) struct Peak {
    /// Bytes that live now.
    now: f64,
    /// Bytes that lived at the highest moment, and when that was.
    most: f64,
    most_ns: u64,
    rows: HashMap<Key, Held>,
    /// What has changed since: the latest, and what came before, by row.
    latest: Vec<(Key, Held)>,
    before: HashMap<Key, Held>,
}

impl Peak {
    /// A sampled block begins to live.
    pub(super) fn begin(&mut self, key: &Key, blocks: Blocks, time_ns: u64) {
        self.change(key, 1, blocks);
        if self.now > self.most {
            (self.most, self.most_ns) = (self.now, time_ns);
            for (key, held) in std::mem::take(&mut self.before) {
                add(&mut self.rows, key, held);
            }
            for (key, held) in self.latest.drain(..) {
                add(&mut self.rows, key, held);
            }
        }
    }

    /// A sampled block lives no more.
    pub(super) fn end(&mut self, key: &Key, blocks: Blocks) {
        self.change(key, -1, -blocks);
    }

    /// A sampled block stands for something else.
    pub(super) fn reweigh(&mut self, key: &Key, before: Blocks, now: Blocks) {
        self.change(key, 0, now + -before);
    }

    /// What lived at the highest moment, and when that was; the peak then begins afresh, with
    /// nothing that lives.
    pub(super) fn take(&mut self) -> (HashMap<Key, Blocks>, u64) {
        let taken = std::mem::take(self);
        let rows = taken.rows.into_iter().map(|(key, held)| (key, held.blocks));
        (rows.collect(), taken.most_ns)
    }

    fn change(&mut self, key: &Key, samples: i64, blocks: Blocks) {
        self.now += blocks.space.value;
        self.latest.push((key.clone(), Held { samples, blocks }));
        if self.latest.len() >= MOST_SINGLE {
            for (key, held) in self.latest.drain(..) {
                add(&mut self.before, key, held);
            }
        }
    }
}

fn add(rows: &mut HashMap<Key, Held>, key: Key, held: Held) {
    match rows.entry(key) {
        Entry::Vacant(vacant) => _ = vacant.insert(held),
        Entry::Occupied(mut row) => {
            row.get_mut().add(held);
            // Sums of rounded numbers would leave something behind.
            if row.get().samples == 0 && row.get().blocks.objects.value.abs() < 0.5 {
                row.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessTable;
    use std::collections::HashSet;

    fn keys() -> [Key; 2] {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        [1, 2].map(|stack| Key {
            process,
            tid: 1,
            thread: "t".into(),
            stack: Some(stack),
            guesses: 0,
            cut: None,
        })
    }

    fn blocks(size: u64) -> Blocks {
        Blocks::of_sample(size, 1)
    }

    fn taken(peak: &mut Peak, keys: &[Key; 2]) -> [i64; 3] {
        let (rows, at_ns) = peak.take();
        let of = |key| rows.get(key).map_or(0, |blocks: &Blocks| blocks.space.rounded());
        [of(&keys[0]), of(&keys[1]), at_ns as i64]
    }

    #[test]
    fn what_lived_at_the_highest_moment_is_known_whatever_came_after() {
        let (mut peak, keys) = (Peak::default(), keys());
        peak.begin(&keys[0], blocks(1000), 1);
        peak.begin(&keys[1], blocks(500), 2);
        peak.end(&keys[0], blocks(1000));
        peak.begin(&keys[1], blocks(700), 3);
        assert_eq!(taken(&mut peak, &keys), [1000, 500, 2]);
        assert_eq!(taken(&mut peak, &keys), [0, 0, 0]);
    }

    #[test]
    fn a_higher_moment_takes_the_place_of_an_earlier_one() {
        let (mut peak, keys) = (Peak::default(), keys());
        for time in 0..3 * MOST_SINGLE as u64 {
            peak.begin(&keys[0], blocks(100), time);
            peak.end(&keys[0], blocks(100));
        }
        peak.begin(&keys[1], blocks(99), 90_000);
        peak.begin(&keys[1], blocks(2), 90_001);
        assert_eq!(taken(&mut peak, &keys), [0, 101, 90_001]);
    }

    #[test]
    fn blocks_that_stand_for_more_count_so_from_then_on() {
        let (mut peak, keys) = (Peak::default(), keys());
        peak.begin(&keys[0], blocks(100), 1);
        peak.reweigh(&keys[0], blocks(100), blocks(200));
        peak.begin(&keys[1], blocks(10), 2);
        assert_eq!(taken(&mut peak, &keys), [200, 10, 2]);
    }
}
