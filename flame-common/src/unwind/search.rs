//! A binary search whose number of steps is known beforehand, as the verifier asks.

/// The last of `count` sorted keys that is at most `wanted`, or the first where none is; `None`
/// where a key cannot be had. `STEPS` steps are enough for `2^STEPS` keys.
///
/// Each step halves the keys left:
///
/// ```text
/// half = size / 2      low = low + half if key(low + half) <= wanted      size = size - half
/// ```
#[inline(always)]
pub fn last_at_most<const STEPS: u32, Key: PartialOrd + Copy>(
    count: u32,
    wanted: Key,
    key: impl Fn(u32) -> Option<Key>,
) -> Option<u32> {
    let (mut low, mut size) = (0, count);
    for _ in 0..STEPS {
        if size <= 1 {
            break;
        }
        let half = size / 2;
        if key(low + half)? <= wanted {
            low += half;
        }
        size -= half;
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_number_of_keys_up_to_the_limit_is_searched_right() {
        for count in 1..=64u32 {
            let keys: Vec<u32> = (0..count).map(|n| n * 3 + 3).collect();
            for wanted in 0..count * 3 + 6 {
                let expected = keys.iter().rposition(|&key| key <= wanted).unwrap_or(0);
                let found =
                    last_at_most::<6, _>(count, wanted, |at| keys.get(at as usize).copied());
                assert_eq!(found, Some(expected as u32), "{wanted} of {count}");
            }
        }
    }

    #[test]
    fn a_key_that_is_not_there_ends_the_search() {
        assert_eq!(last_at_most::<6, u32>(8, 5, |_| None), None);
    }
}
