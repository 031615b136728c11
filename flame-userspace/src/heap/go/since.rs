//! What a Go program allocated between two readings of its profile, and holds at the second.

use std::collections::HashMap;

use super::read::{Counts, GoProfile, GoRecord, scaled};
use crate::heap::weight::{Blocks, Estimate};

/// The blocks of one stack and size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GoBlocks {
    /// As [`GoRecord::stack`].
    pub(crate) stack: Vec<u64>,
    pub(crate) allocated: Blocks,
    pub(crate) in_use: Blocks,
    /// How many samples of Go's they are known by.
    pub(crate) samples: u64,
}

impl GoProfile {
    /// What was allocated since `earlier` was read, or since the program began; and what is in
    /// use, of whatever time. What is nothing of both is left out.
    pub(crate) fn since(&self, earlier: Option<&Self>) -> Vec<GoBlocks> {
        let records = earlier.map_or(&[][..], |earlier| &earlier.records);
        let known: HashMap<_, Counts> =
            records.iter().map(|record| (bucket(record), record.sampled)).collect();
        let blocks = |record: &GoRecord| {
            let before = known.get(&bucket(record)).copied().unwrap_or_default();
            let sampled = record.sampled;
            let allocs = sampled.allocs.saturating_sub(before.allocs);
            let bytes = sampled.alloc_bytes.saturating_sub(before.alloc_bytes);
            let held = sampled.allocs.saturating_sub(sampled.frees);
            let held_bytes = sampled.alloc_bytes.saturating_sub(sampled.free_bytes);
            GoBlocks {
                stack: record.stack.clone(),
                allocated: stand_for(allocs, bytes, self.rate),
                in_use: stand_for(held, held_bytes, self.rate),
                samples: allocs.max(held),
            }
        };
        self.records.iter().map(blocks).filter(|blocks| blocks.samples > 0).collect()
    }
}

/// What a bucket is for: all its blocks have one size.
fn bucket(record: &GoRecord) -> (&[u64], u64) {
    let Counts { allocs, alloc_bytes, .. } = record.sampled;
    (&record.stack, alloc_bytes.checked_div(allocs).unwrap_or(0))
}

/// What samples of one size stand for, in Go's own numbers, and how far that is off by chance.
fn stand_for(objects: u64, bytes: u64, rate: u64) -> Blocks {
    let (all_objects, all_bytes) = scaled(objects, bytes, rate);
    if all_objects == 0 {
        return Blocks::default();
    }
    let size = bytes as f64 / objects as f64;
    let p = if rate <= 1 { 1.0 } else { -(-size / rate as f64).exp_m1() };
    let variance = objects as f64 * (1.0 - p) / (p * p);
    Blocks {
        objects: Estimate { value: all_objects as f64, variance },
        space: Estimate { value: all_bytes as f64, variance: variance * size * size },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stack: u64, size: u64, allocs: u64, frees: u64) -> GoRecord {
        let sampled =
            Counts { allocs, frees, alloc_bytes: allocs * size, free_bytes: frees * size };
        GoRecord { stack: vec![stack], sampled }
    }

    fn profile(records: Vec<GoRecord>) -> GoProfile {
        GoProfile { records, rate: 1, is_rate_assumed: false, cut: None }
    }

    #[test]
    fn what_was_allocated_before_is_subtracted_and_what_is_in_use_stays() {
        let before = profile(vec![record(1, 10, 5, 1), record(2, 8, 3, 0)]);
        let now = profile(vec![record(1, 10, 9, 4), record(1, 20, 1, 0), record(2, 8, 3, 3)]);
        let since = now.since(Some(&before));
        let told: Vec<_> = since
            .iter()
            .map(|b| (b.allocated.objects.rounded(), b.in_use.space.rounded(), b.samples))
            .collect();
        assert_eq!(told, [(4, 50, 5), (1, 20, 1)]);
        let all: i64 = now.since(None).iter().map(|b| b.allocated.objects.rounded()).sum();
        assert_eq!(all, 13);
    }

    #[test]
    fn the_error_is_that_of_the_samples() {
        let one = stand_for(100, 100 * 1024, 512 << 10).space;
        // Rare samples are as Poisson: 100 of them, a tenth.
        assert!((one.relative_error() - 0.1).abs() < 0.001, "{one:?}");
        assert!(stand_for(3, 300, 1).space.variance == 0.0);
        assert_eq!(stand_for(0, 0, 1), Blocks::default());
    }
}
