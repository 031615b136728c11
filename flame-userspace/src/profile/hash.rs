//! A hasher for small keys of numbers, several times faster than the standard one. Its seed is a
//! random one for each table, so that nobody can write a profile whose keys all collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A table by numbers.
pub(super) type NumberMap<K, V> = HashMap<K, V, Seeded>;

/// Makes the hashers of one table.
#[derive(Debug, Clone)]
pub(super) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

/// Multiplies what it is told with an odd number and folds the product's halves.
#[derive(Debug)]
pub(super) struct Folding(u64);

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio's fraction: its bits have no pattern.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn near_keys_are_spread() {
        let seeded = Seeded::default();
        let hashes: Vec<u64> = (0..100u32)
            .flat_map(|a| (0..100u32).map(move |b| (a, b)))
            .map(|key| seeded.hash_one(key))
            .collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), 10_000);
        for bits in [0, 57] {
            let ends: HashSet<u64> = hashes.iter().map(|hash| hash >> bits & 127).collect();
            assert!(ends.len() > 120, "bits from {bits}: {}", ends.len());
        }
    }

    #[test]
    fn tables_have_seeds_of_their_own() {
        assert_ne!(Seeded::default().hash_one(1u32), Seeded::default().hash_one(1u32));
    }
}
