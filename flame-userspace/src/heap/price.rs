//! What a hit of a probe costs, and how sure that is.

/// What code takes longer behind a sample, and a trap, as a share of it, and how unsure that is: seen
/// in perl, sqlite3, python3 and loops of arithmetic, on one machine, were 0.02 to 0.27.
pub(crate) const AFTER: (f64, f64) = (0.13, 0.10);
/// Of a trap it is this share; and the more the program does between two traps, the more of what it
/// has in the caches is pushed out, so that it is more by this share of that time, and so much at
/// most. (In exact mode sqlite3, perl, node, cargo's processes, redis-server and g++, with 206, 148,
/// 111, 371, 382 and 470 ns between traps of some 450, had 0.03, 0.14, 0.14, 0.14, 0.11 and 0.28.)
const BEHIND: (f64, f64) = (0.05, 0.15);
const MOST_BEHIND: f64 = 0.20;
/// What code takes longer at most, as a share of what it takes: where traps are most of the time,
/// what is between them cannot lose as much as it would elsewhere.
const MOST_AFTER: f64 = 0.5;

/// What a hit costs, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Price {
    pub(crate) ns: f64,
    pub(crate) standard_error: f64,
}

impl Price {
    /// Of a trap that takes this, with what is behind it in other programs, where it is `all_ns`
    /// from one trap to the next.
    pub(crate) fn of_trap(self, all_ns: f64) -> Self {
        let between_ns = (all_ns - self.ns).max(0.0);
        let (of_trap, of_time) = BEHIND;
        let share = (of_trap + of_time * between_ns / self.ns.max(1.0)).min(MOST_BEHIND);
        let after = (share * self.ns).min(between_ns * MOST_AFTER / (1.0 + MOST_AFTER));
        let standard_error = self.standard_error.hypot(after * AFTER.1 / share);
        Self { ns: self.ns + after, standard_error }
    }

    /// Of samples that took this, with what is behind them: as much of it as behind traps.
    pub(crate) fn of_samples(ns: f64) -> Self {
        let (share, unsure) = AFTER;
        Self { ns: ns * (1.0 + share), standard_error: ns * unsure }
    }

    /// With what a hit costs beyond it, which is unsure for other reasons.
    pub(crate) fn plus(self, beyond: Self) -> Self {
        let standard_error = self.standard_error.hypot(beyond.standard_error);
        Self { ns: self.ns + beyond.ns, standard_error }
    }

    /// What both tell together, by how sure either is.
    pub(crate) fn and(self, other: Self) -> Self {
        // A standard error of 0 would leave the other no part, and be divided by.
        let sure = |price: Self| price.standard_error.max(1e-3).powi(-2);
        let (own, others) = (sure(self), sure(other));
        let sum = own + others;
        let ns = (self.ns * own + other.ns * others) / sum;
        Self { ns, standard_error: sum.powf(-0.5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is behind a trap of 500 ns with so much until the next, in nanoseconds.
    fn behind(between_ns: f64) -> Price {
        let trap = Price { ns: 500.0, standard_error: 0.0 };
        let all = trap.of_trap(trap.ns + between_ns);
        Price { ns: all.ns - trap.ns, ..all }
    }

    #[test]
    fn what_is_behind_a_trap_is_more_where_more_is_between_two() {
        // Where next to nothing is, it cannot take longer by more than half.
        assert!((behind(90.0).ns - 30.0).abs() < 1e-9, "{:?}", behind(90.0));
        assert!((behind(250.0).ns - 62.5).abs() < 1e-9, "{:?}", behind(250.0));
        assert!((behind(500.0).ns - 100.0).abs() < 1e-9, "{:?}", behind(500.0));
        assert!((behind(50_000.0).ns - 100.0).abs() < 1e-9, "{:?}", behind(50_000.0));
        assert!((behind(500.0).standard_error - 50.0).abs() < 1e-9, "{:?}", behind(500.0));
    }
}
