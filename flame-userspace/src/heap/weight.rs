//! What a sampled allocation stands for.
//!
//! An allocation of `S` bytes is sampled with probability `p = 1 - exp(-max(S, 16) / R)`, whatever
//! happens to others (`flame_common::poisson`). Each sample of a quantity `y` counts `y / p`: the
//! estimator of Horvitz and Thompson ("A generalization of sampling without replacement from a
//! finite universe", JASA 47, 1952), which has no bias. Its variance under such independent
//! (Poisson) sampling is estimated, again without bias, by the sum of `y² (1 - p) / p²` over the
//! samples.

use std::ops::{Add, AddAssign, Neg};

use flame_common::poisson::counted;

/// A sum that is known by its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) variance: f64,
}

impl Estimate {
    /// What a sample of `y`, taken with probability `p`, adds.
    fn of(y: f64, p: f64) -> Self {
        Self { value: y / p, variance: y * y * (1.0 - p) / (p * p) }
    }

    /// The standard error, in the unit of the value.
    pub(crate) fn standard_error(self) -> f64 {
        self.variance.max(0.0).sqrt()
    }

    /// The standard error as a share of the value; 0 of nothing.
    pub(crate) fn relative_error(self) -> f64 {
        if self.value > 0.0 { self.standard_error() / self.value } else { 0.0 }
    }

    /// The value in a profile's whole numbers.
    pub(crate) fn rounded(self) -> i64 {
        self.value.round() as i64
    }
}

impl AddAssign for Estimate {
    fn add_assign(&mut self, other: Self) {
        self.value += other.value;
        self.variance += other.variance;
    }
}

/// Numbers of blocks and of their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Blocks {
    pub(crate) objects: Estimate,
    pub(crate) space: Estimate,
}

impl Blocks {
    /// What a sample of an allocation stands for.
    pub(crate) fn of_sample(size: u64, interval: u64) -> Self {
        let p = inclusion(size, interval);
        Self { objects: Estimate::of(1.0, p), space: Estimate::of(size as f64, p) }
    }
}

impl Add for Estimate {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Blocks {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.space += other.space;
    }
}

impl Neg for Estimate {
    type Output = Self;

    /// What is taken out of a sum that it was a part of, its part of the variance too.
    fn neg(self) -> Self {
        Self { value: -self.value, variance: -self.variance }
    }
}

impl Neg for Blocks {
    type Output = Self;

    fn neg(self) -> Self {
        Self { objects: -self.objects, space: -self.space }
    }
}

impl Add for Blocks {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// The probability that an allocation of `size` bytes is sampled.
pub(super) fn inclusion(size: u64, interval: u64) -> f64 {
    let share = counted(size) as f64 / interval.max(1) as f64;
    -(-share).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_allocations_stand_for_many_and_large_ones_for_themselves() {
        let small = Blocks::of_sample(16, 1 << 14);
        assert!((small.objects.value - 1024.5).abs() < 0.1, "{small:?}");
        assert!((small.space.value - 16.0 * small.objects.value).abs() < 1e-6);
        let large = Blocks::of_sample(64 << 20, 1 << 14);
        assert_eq!((large.objects.rounded(), large.space.rounded()), (1, 64 << 20));
        assert!(large.space.standard_error() < 1.0);
        let empty = Blocks::of_sample(0, 1 << 14);
        assert_eq!((empty.space.rounded(), empty.objects.rounded()), (0, small.objects.rounded()));
    }

    #[test]
    fn estimate_and_error_are_those_of_repeated_sampling() {
        // By the definition: n allocations of S bytes, each sampled or not.
        let (n, size, interval) = (1000u32, 512u64, 4096u64);
        let p = inclusion(size, interval);
        let one = Blocks::of_sample(size, interval).space;
        let expected_value = f64::from(n) * p * one.value;
        assert!((expected_value - f64::from(n) * size as f64).abs() < 1e-6);
        let exact_variance = f64::from(n) * (size as f64).powi(2) * (1.0 - p) / p;
        let expected_variance = f64::from(n) * p * one.variance;
        assert!((expected_variance / exact_variance - 1.0).abs() < 1e-9);
    }
}
