//! What a hit of a probe costs in the targets: its trap, its sample if it is sampled, and what the
//! code behind it takes longer, since what it has in the CPU's caches and predictors was pushed out.
//! Two sources tell it, and count by how sure either is: a contrast of what more traps take
//! (`session/heap/contrast.rs`), and a clock that ticks in traps and outside of them.
//!
//! The clock tells the trap alone, by how densely targets trap: what runs between two traps decides
//! how cold the trap's own way through the kernel is. What comes behind it is taken to be as in
//! other programs.
//!
//! In windows of `k` ticks of a clock, `t` of them in traps, the `h` traps took `cpu t / k`. One
//! window's ticks are few, or none, and to divide by what they leave would be biased: windows as
//! dense as one another (within a factor of two) share a price, the ratio of the sums over all of
//! them. Its relative variance is that of the binomial `t`, `(1 - t/k) / t`.

use super::price::Price;
use super::windows::Window;

/// Densities are told apart by the powers of two in traps a nanosecond, from 2^-24 up.
const SPARSEST: f64 = -24.0;
const BINS: usize = 18;
/// Ticks in traps with which a density counts as much as all others.
const SHRINK: f64 = 30.0;
/// How far the price at one density may be from that at others, as a share.
const SPREAD: f64 = 0.3;
/// Ticks in traps after which what was measured counts half: prices change with what targets do.
const ENOUGH: f64 = 4000.0;

/// What windows of a density used.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    hits: f64,
    ticks: f64,
    ticks_in_traps: f64,
    cpu_ns: f64,
}

impl Used {
    fn add(&mut self, window: &Window) {
        self.hits += window.hits;
        self.ticks += window.ticks;
        self.ticks_in_traps += window.ticks - window.ticks_outside;
        self.cpu_ns += window.cpu_ns;
        if self.ticks_in_traps > ENOUGH {
            *self = Self {
                hits: self.hits / 2.0,
                ticks: self.ticks / 2.0,
                ticks_in_traps: self.ticks_in_traps / 2.0,
                cpu_ns: self.cpu_ns / 2.0,
            };
        }
    }

    /// The price, and its variance: as if two ticks more had been in traps and two outside (Agresti
    /// and Coull, "Approximate is better than exact", 1998), since few ticks may all be on one side.
    /// `None` where there is no tick or no hit.
    fn price(&self) -> Option<(f64, f64)> {
        if self.hits <= 0.0 || self.ticks <= 0.0 {
            return None;
        }
        let tick_ns = self.cpu_ns / self.ticks;
        let in_traps = (self.ticks_in_traps + 2.0) / (self.ticks + 4.0);
        let ticks = self.ticks * in_traps * (1.0 - in_traps);
        let price = tick_ns * self.ticks_in_traps / self.hits;
        Some((price, ticks * (tick_ns / self.hits).powi(2)))
    }
}

/// The prices, as far as windows have told them.
#[derive(Debug, Default)]
pub(super) struct Prices {
    all: Used,
    by_density: [Used; BINS],
}

impl Prices {
    /// Takes in a window.
    pub(super) fn add(&mut self, window: &Window) {
        self.all.add(window);
        if let Some(bin) = bin(window) {
            self.by_density[bin].add(window);
        }
    }

    /// What a hit cost in a window that was taken in; `told` is what a contrast told of hits
    /// without their samples.
    pub(super) fn of(&self, window: &Window, told: Option<Price>) -> Price {
        let all_ns = window.cpu_ns / window.hits.max(1.0);
        let by_ticks = self
            .of_trap(window)
            .map(|(ns, variance)| Price { ns, standard_error: variance.sqrt() }.of_trap(all_ns));
        let told = told.filter(|_| window.hits > 0.0);
        let told =
            told.map(|told| Price { ns: told.ns + window.sampling_ns / window.hits, ..told });
        match (told, by_ticks) {
            (Some(told), Some(by_ticks)) => told.and(by_ticks),
            (Some(price), None) | (None, Some(price)) => price,
            // Nothing but that it is not more than all of the time.
            (None, None) => Price { ns: 0.0, standard_error: all_ns },
        }
    }

    /// What a trap took in a window that was taken in, in nanoseconds, and the variance of that;
    /// `None` if it has no hits, or no window had a tick.
    fn of_trap(&self, window: &Window) -> Option<(f64, f64)> {
        let dense = &self.by_density[bin(window)?];
        let (all, of_all) = self.all.price()?;
        // The same ticks may be all that there are.
        let (own, of_own) = dense.price().unwrap_or_default();
        let share = dense.ticks_in_traps / (dense.ticks_in_traps + SHRINK);
        let price = share * own + (1.0 - share) * all;
        let strange = (1.0 - share) * SPREAD * all;
        let error = share * of_own.sqrt() + (1.0 - share) * of_all.sqrt();
        Some((price, error * error + strange * strange))
    }
}

/// The density of a window with traps.
fn bin(window: &Window) -> Option<usize> {
    let density = window.hits / window.cpu_ns;
    let bin = (density.log2() - SPARSEST).floor().clamp(0.0, BINS as f64 - 1.0);
    (window.hits > 0.0).then_some(bin as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 3 ms with so many traps, which take so long, and a clock that is exact.
    fn window(hits: f64, trap_ns: f64) -> Window {
        let (cpu_ns, ticks) = (3e6, 30.0);
        let ticks_outside = ticks * (1.0 - hits * trap_ns / cpu_ns);
        let sampling_ns = 0.0;
        Window { usual_ns: cpu_ns, cpu_ns, ticks, ticks_outside, hits, sampling_ns }
    }

    #[test]
    fn each_density_has_its_price_once_it_has_ticks() {
        let mut prices = Prices::default();
        let (dense, sparse) = (window(3000.0, 600.0), window(300.0, 1000.0));
        for _ in 0..200 {
            prices.add(&dense);
            prices.add(&sparse);
        }
        let (of_dense, variance) = prices.of_trap(&dense).expect("ticks");
        assert!((of_dense - 600.0).abs() < 3.0, "{of_dense}");
        // 3600 ticks of 100 us in traps, 40 % of all outside of them, by 600,000 hits.
        let told = (3600.0f64 * 0.4).sqrt() * 1e5 / 6e5;
        assert!((0.9..1.3).contains(&(variance.sqrt() / told)), "{variance} {told}");
        let (of_sparse, _) = prices.of_trap(&sparse).expect("ticks");
        assert!((of_sparse - 1000.0).abs() < 25.0, "{of_sparse}");
    }

    #[test]
    fn a_density_with_few_ticks_has_nearly_the_price_of_all() {
        let mut prices = Prices::default();
        for _ in 0..100 {
            prices.add(&window(3000.0, 600.0));
        }
        let rare = Window { ticks_outside: 30.0, ..window(100.0, 0.0) };
        prices.add(&rare);
        let (price, variance) = prices.of_trap(&rare).expect("ticks");
        assert!((price - 600.0).abs() < 3.0, "{price}");
        assert!((variance.sqrt() / 180.0 - 1.0).abs() < 0.01, "{variance}");
        assert_eq!(prices.of_trap(&window(0.0, 0.0)), None);
    }

    #[test]
    fn without_a_tick_it_is_what_contrasts_tell() {
        let mut prices = Prices::default();
        let seldom = Window { cpu_ns: 1e5, ticks: 0.0, ticks_outside: 0.0, ..window(50.0, 0.0) };
        prices.add(&seldom);
        let told = Price { ns: 500.0, standard_error: 50.0 };
        let sampled = Window { sampling_ns: 1000.0, ..seldom };
        assert_eq!(prices.of(&sampled, Some(told)), Price { ns: 520.0, ..told });
        // It is not thought to be known that hits cost nothing.
        assert!(prices.of(&seldom, None).standard_error > 1999.0);
        // Ticks elsewhere tell something, and less surely than those of its own density.
        prices.add(&window(3000.0, 600.0));
        assert!(prices.of(&seldom, None).ns > 500.0);
    }

    #[test]
    fn of_two_sources_the_surer_counts_more() {
        let mut prices = Prices::default();
        let dense = window(2000.0, 800.0);
        for _ in 0..20 {
            prices.add(&dense);
        }
        let by_ticks = prices.of(&dense, None);
        assert!(
            (by_ticks.ns - 904.0).abs() < 1.0 && by_ticks.standard_error > 80.0,
            "{by_ticks:?}"
        );
        let sampled = Window { sampling_ns: 1e5, ..dense };
        let both = prices.of(&sampled, Some(Price { ns: 700.0, standard_error: 8.0 }));
        assert!((both.ns - 752.0).abs() < 3.0 && both.standard_error < 8.0, "{both:?}");
        let unsure = prices.of(&sampled, Some(Price { ns: 700.0, standard_error: 800.0 }));
        assert!((unsure.ns - 904.0).abs() < 10.0, "{unsure:?}");
    }
}
