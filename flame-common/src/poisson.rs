//! Sampling a stream of bytes at random: each byte starts a sample with the same small chance,
//! whatever came before, so that an allocation of `size` bytes is sampled with the probability
//! `1 - exp(-size / interval)` (a Poisson process; tcmalloc, jemalloc and Go sample the same way).
//! The distance to the next sample is exponential and without memory, so that each CPU may count
//! for itself.

use crate::block::Countdown;

/// What an allocation counts for at least, in bytes: one of nothing takes memory too.
pub const LEAST: u64 = 16;

/// Longest interval between samples, in bytes.
pub const LONGEST_INTERVAL: u64 = 1 << 32;

/// An interval by which bytes are counted down and none is sampled. (By the longest, one sample in
/// some ten thousand contrasts would stand for 4 GiB.)
pub const NEVER: u64 = u64::MAX;

/// Bits of a fraction.
const FRACTION: u32 = 24;

/// The natural logarithm of 2, in 2^-24.
const LN_2: u64 = 11_629_080;

/// What an allocation counts for, in bytes.
#[inline(always)]
pub const fn counted(size: u64) -> u64 {
    if size < LEAST { LEAST } else { size }
}

impl Countdown {
    /// Takes an allocation's bytes off; whether it is sampled. `random` gives 32 random bits.
    #[inline(always)]
    pub fn passes(&mut self, size: u64, interval: u64, random: impl Fn() -> u32) -> bool {
        if self.interval != interval {
            self.interval = interval;
            self.remaining = distance(random(), interval);
        }
        let bytes = counted(size);
        // No size is near this one; the cast cannot change the sign.
        let bytes = if bytes > LARGEST { LARGEST } else { bytes };
        self.remaining = self.remaining.wrapping_sub(bytes as i64);
        if self.remaining >= 0 || interval == NEVER {
            return false;
        }
        self.remaining = distance(random(), interval);
        true
    }
}

/// Larger allocations count as one of this size: they are sampled in any case.
const LARGEST: u64 = 1 << 48;

/// Bytes to the next sample: `-interval * ln(u)` with `u = (random + 1) / 2^32`.
#[inline(always)]
pub const fn distance(random: u32, interval: u64) -> i64 {
    let interval = if interval > LONGEST_INTERVAL { LONGEST_INTERVAL } else { interval };
    let log2 = log2(random as u64 + 1);
    // -ln(u) = ln(2) * (32 - log2(random + 1)), at most 22.2.
    let minus_ln = (((32 << FRACTION) - log2) * LN_2) >> FRACTION;
    ((interval * minus_ln) >> FRACTION) as i64
}

/// The binary logarithm of a number from 1 to 2^32, in 2^-24, by repeated squaring: each squaring
/// of the mantissa tells one more bit.
#[inline(always)]
const fn log2(number: u64) -> u64 {
    let whole = number.ilog2();
    // From 1 to less than 2, in 2^-31.
    let mut mantissa = if whole > 31 { number >> (whole - 31) } else { number << (31 - whole) };
    let mut log = whole as u64;
    let mut bit = 0;
    while bit < FRACTION {
        mantissa = (mantissa * mantissa) >> 31;
        let doubled = mantissa >> 32;
        mantissa >>= doubled;
        log = (log << 1) | doubled;
        bit += 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn distances_follow_the_exponential() {
        for random in [0, 1, 2, 3, 1000, 1 << 16, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX] {
            for interval in [1u64 << 10, 1 << 19, LONGEST_INTERVAL] {
                let u = (f64::from(random) + 1.0) / 2f64.powi(32);
                let exact = -(interval as f64) * u.ln();
                let found = distance(random, interval) as f64;
                let error = interval as f64 * 1e-6 + 1.0;
                assert!((found - exact).abs() <= error, "{random} {interval}: {found} {exact}");
            }
        }
        assert_eq!(distance(0, u64::MAX), distance(0, LONGEST_INTERVAL));
    }

    #[test]
    fn a_size_is_sampled_as_often_as_its_probability_says() {
        let state = Cell::new(0x9e37_79b9_7f4a_7c15u64);
        let random = || {
            // xorshift64*
            let mut x = state.get();
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            state.set(x);
            (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
        };
        for (size, interval) in [(0u64, 4096u64), (64, 4096), (5000, 4096), (100_000, 4096)] {
            let mut countdown = Countdown::default();
            let calls = 200_000;
            let taken =
                (0..calls).filter(|_| countdown.passes(size, interval, random)).count() as f64;
            let p = 1.0 - (-(counted(size) as f64) / interval as f64).exp();
            let (mean, deviation) =
                (f64::from(calls) * p, (f64::from(calls) * p * (1.0 - p)).sqrt());
            assert!((taken - mean).abs() <= 4.0 * deviation + 1.0, "{size}: {taken}, not {mean}");
        }
    }

    #[test]
    fn another_interval_holds_from_the_next_call_on() {
        let mut countdown = Countdown::default();
        assert!(!countdown.passes(16, 1 << 30, || 1 << 31));
        assert!(countdown.passes(16, 16, || u32::MAX));
    }

    #[test]
    fn bytes_that_are_counted_alone_are_never_sampled() {
        let mut countdown = Countdown::default();
        // A distance of nothing, and more bytes than the longest interval has.
        for size in [1, 1 << 20, LONGEST_INTERVAL, 1 << 40] {
            assert!(!countdown.passes(size, NEVER, || u32::MAX));
        }
        assert!(countdown.passes(16, 16, || u32::MAX), "the next interval is drawn afresh");
    }
}
