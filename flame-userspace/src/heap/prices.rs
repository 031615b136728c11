//! What a hit of a probe costs in the targets: its trap, its sample if it is sampled, and what the
//! code behind it takes longer, since what it has in the CPU's caches and predictors was pushed out.
//! Two sources tell it, and count by how sure either is: a contrast of what more traps take
//! (`session/heap/contrast.rs`), and a clock that ticks in traps and outside of them.
//!
//! The clock tells the trap alone, by how densely targets trap: what runs between two traps decides
//! how cold the trap's own way through the kernel is. What comes behind it is taken to be as in
//! other programs. A contrast tells all of it, but of few windows, and of dense ones most: what the
//! clock tells of the densities' difference is added to that.
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
/// How far the price at one density may be from that at others, as a share, and by how much it may
/// change where hits come twice as densely: where they come ten times as seldom, prices of 1.1 to 1.8
/// times as much were seen.
const SPREAD: f64 = 0.3;
const SLOPE: f64 = 0.15;
/// What contrasts tell as surely as this, as a share, is not mixed with what ticks do, which rests on
/// what is behind a trap in other programs: of loops of arithmetic, which have next to nothing there,
/// it would make the price a hundredth too high.
const SURE: f64 = 0.05;
/// Ticks in traps after which what was measured counts half: prices change with what targets do.
const ENOUGH: f64 = 4000.0;

/// What windows of a density used.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    hits: f64,
    ticks: f64,
    ticks_in_traps: f64,
    cpu_ns: f64,
    sampling_ns: f64,
    /// How much they count in a contrast: the sum of the squares of their hits.
    weight: f64,
}

impl Used {
    fn add(&mut self, window: &Window) {
        self.hits += window.hits;
        self.ticks += window.ticks;
        self.ticks_in_traps += window.ticks - window.ticks_outside;
        self.cpu_ns += window.cpu_ns;
        self.sampling_ns += window.sampling_ns;
        self.weight += window.hits * window.hits;
    }

    fn halve(&mut self) {
        let Self { hits, ticks, ticks_in_traps, cpu_ns, sampling_ns, weight } = self;
        for value in [hits, ticks, ticks_in_traps, cpu_ns, sampling_ns, weight] {
            *value /= 2.0;
        }
    }

    /// What a trap took without its sample: the variance as if two ticks more had been in traps and
    /// two outside (Agresti and Coull, "Approximate is better than exact", 1998), since few ticks may
    /// all be on one side. `None` where there is no tick or no hit.
    fn price(&self) -> Option<Price> {
        if self.hits <= 0.0 || self.ticks <= 0.0 {
            return None;
        }
        let tick_ns = self.cpu_ns / self.ticks;
        let in_traps = (self.ticks_in_traps + 2.0) / (self.ticks + 4.0);
        let ticks = self.ticks * in_traps * (1.0 - in_traps);
        let ns = (tick_ns * self.ticks_in_traps - self.sampling_ns) / self.hits;
        Some(Price { ns, standard_error: ticks.sqrt() * tick_ns / self.hits })
    }

    fn point(&self) -> Option<Point> {
        let density = log_density(self.hits, self.cpu_ns);
        Some(Point { density, price: self.price()?, weight: self.weight })
    }

    /// How much its own price counts beside that of all.
    fn share(&self) -> f64 {
        self.ticks_in_traps / (self.ticks_in_traps + SHRINK)
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
        if self.all.ticks_in_traps > ENOUGH {
            self.all.halve();
            self.by_density.iter_mut().for_each(Used::halve);
        }
    }

    /// What a hit cost in a window that was taken in; `told` is what contrasts told of hits without
    /// their samples.
    pub(super) fn of(&self, window: &Window, told: Option<Price>) -> Price {
        let all_ns = window.cpu_ns / window.hits.max(1.0);
        let by_ticks = self.of_trap(window).map(|price| price.of_trap(all_ns));
        let told = told.filter(|_| window.hits > 0.0);
        let told = told.map(|told| told.plus(self.beyond(window, told)));
        let price = match (told, by_ticks) {
            (Some(told), _) if told.standard_error <= SURE * told.ns => told,
            (Some(told), Some(by_ticks)) => told.and(by_ticks),
            (Some(price), None) | (None, Some(price)) => price,
            // Nothing but that it is not more than all of the time.
            (None, None) => return Price { ns: 0.0, standard_error: all_ns },
        };
        price.plus(Price::of_samples(window.sampling_ns / window.hits))
    }

    /// What a trap took in a window that was taken in, without its sample; `None` if it has no hits,
    /// or no window had a tick.
    fn of_trap(&self, window: &Window) -> Option<Price> {
        let dense = &self.by_density[bin(window)?];
        let all = self.all.price()?;
        // The same ticks may be all that there are.
        let own = dense.price().unwrap_or_default();
        let share = dense.share();
        let ns = share * own.ns + (1.0 - share) * all.ns;
        let strange = (1.0 - share) * SPREAD * all.ns;
        let error = share * own.standard_error + (1.0 - share) * all.standard_error;
        Some(Price { ns, standard_error: error.hypot(strange) })
    }

    /// How much more a hit cost in a window that was taken in than in those by which contrasts told
    /// what it costs, by ticks: as much as their price changes with the logarithm of the density, by a
    /// line through what densities told, each by how sure it is (ridge regression: Hoerl and Kennard,
    /// 1970; without ticks the line is level).
    fn beyond(&self, window: &Window, told: Price) -> Price {
        let points: Vec<Point> = self.by_density.iter().filter_map(Used::point).collect();
        let mean = |of: fn(&Point) -> f64| {
            let sum: f64 = points.iter().map(of).sum();
            points.iter().map(|point| of(point) * point.density).sum::<f64>() / sum
        };
        let sure = |point: &Point| point.price.standard_error.powi(-2);
        let middle = mean(sure);
        let squares: f64 =
            points.iter().map(|point| sure(point) * (point.density - middle).powi(2)).sum();
        let products: f64 = points
            .iter()
            .map(|point| sure(point) * (point.density - middle) * point.price.ns)
            .sum();
        let precision = squares + (SLOPE * told.ns).powi(-2);
        let distance = log_density(window.hits, window.cpu_ns) - mean(|point| point.weight);
        if !distance.is_finite() || !precision.is_normal() {
            return Price::default();
        }
        Price {
            ns: distance * products / precision,
            standard_error: distance.abs() * precision.powf(-0.5),
        }
    }
}

/// What windows of about the same density told.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// The logarithm of the density, to base 2.
    density: f64,
    price: Price,
    weight: f64,
}

fn log_density(hits: f64, cpu_ns: f64) -> f64 {
    (hits / cpu_ns).log2()
}

/// The density of a window with traps.
fn bin(window: &Window) -> Option<usize> {
    let bin =
        (log_density(window.hits, window.cpu_ns) - SPARSEST).floor().clamp(0.0, BINS as f64 - 1.0);
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

    /// The prices that as many dense windows and sparse ones tell, and one of each.
    fn of_two_densities() -> (Prices, Window, Window) {
        let mut prices = Prices::default();
        let (dense, sparse) = (window(3000.0, 600.0), window(300.0, 1000.0));
        for _ in 0..180 {
            prices.add(&dense);
            prices.add(&sparse);
        }
        (prices, dense, sparse)
    }

    #[test]
    fn each_density_has_its_price_once_it_has_ticks() {
        let (prices, dense, sparse) = of_two_densities();
        let of_dense = prices.of_trap(&dense).expect("ticks");
        assert!((of_dense.ns - 600.0).abs() < 3.0, "{of_dense:?}");
        // 3240 ticks of 100 us in traps, 40 % of all outside of them, by 540,000 hits.
        let told = (3240.0f64 * 0.4).sqrt() * 1e5 / 5.4e5;
        assert!((0.9..1.3).contains(&(of_dense.standard_error / told)), "{of_dense:?} {told}");
        let of_sparse = prices.of_trap(&sparse).expect("ticks").ns;
        assert!((of_sparse - 1000.0).abs() < 25.0, "{of_sparse}");
    }

    #[test]
    fn what_contrasts_tell_is_mostly_of_dense_windows() {
        let (mut prices, dense, sparse) = of_two_densities();
        // A hundredth of their weight is that of sparse windows.
        let told = Price { ns: 654.0, standard_error: 1.0 };
        let of_dense = told.plus(prices.beyond(&dense, told));
        assert!((of_dense.ns - 650.0).abs() < 1.0, "{of_dense:?}");
        assert!(of_dense.standard_error < 2.0, "{of_dense:?}");
        // 600 ticks tell the difference, of which a little is not believed.
        let of_sparse = told.plus(prices.beyond(&sparse, told));
        assert!((of_sparse.ns - 1043.0).abs() < 3.0, "{of_sparse:?}");
        assert!((of_sparse.standard_error - 40.0).abs() < 5.0, "{of_sparse:?}");
        // One that lies between is between them, wherever densities are told apart.
        let between = window(1000.0, 800.0);
        prices.add(&between);
        let of_between = told.plus(prices.beyond(&between, told)).ns;
        assert!((of_between - 836.0).abs() < 10.0, "{of_between}");
        // Where all windows are alike there is nothing beyond it.
        let mut alike = Prices::default();
        alike.add(&dense);
        assert_eq!(alike.beyond(&dense, told), Price::default());
    }

    #[test]
    fn a_density_with_few_ticks_has_nearly_the_price_of_all() {
        let mut prices = Prices::default();
        for _ in 0..100 {
            prices.add(&window(3000.0, 600.0));
        }
        let rare = Window { ticks_outside: 30.0, ..window(100.0, 0.0) };
        prices.add(&rare);
        let Price { ns, standard_error } = prices.of_trap(&rare).expect("ticks");
        assert!((ns - 600.0).abs() < 3.0, "{ns}");
        assert!((standard_error / 180.0 - 1.0).abs() < 0.01, "{standard_error}");
        assert_eq!(prices.of_trap(&window(0.0, 0.0)), None);
    }

    #[test]
    fn without_a_tick_it_is_what_contrasts_tell() {
        let mut prices = Prices::default();
        let seldom = Window { cpu_ns: 1e5, ticks: 0.0, ticks_outside: 0.0, ..window(50.0, 0.0) };
        prices.add(&seldom);
        let told = Price { ns: 500.0, standard_error: 50.0 };
        let sampled = Window { sampling_ns: 1000.0, ..seldom };
        // Samples of 20 ns a hit, with what is behind them.
        let price = prices.of(&sampled, Some(told));
        assert!((price.ns - 522.6).abs() < 1e-9, "{price:?}");
        assert!((price.standard_error - 50.0f64.hypot(2.0)).abs() < 1e-9, "{price:?}");
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
            (by_ticks.ns - 945.0).abs() < 1.0 && by_ticks.standard_error > 80.0,
            "{by_ticks:?}"
        );
        let sampled = Window { sampling_ns: 1e5, ..dense };
        let both = prices.of(&sampled, Some(Price { ns: 700.0, standard_error: 8.0 }));
        assert!((both.ns - 758.5).abs() < 3.0 && both.standard_error < 9.5, "{both:?}");
        let unsure = prices.of(&sampled, Some(Price { ns: 700.0, standard_error: 800.0 }));
        assert!((unsure.ns - 1001.5).abs() < 10.0, "{unsure:?}");
    }
}
