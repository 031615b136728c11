//! What a hit of a probe costs, and how sure that is.

/// What code takes longer behind a trap, as a share of it, and how unsure that is: seen in perl,
/// sqlite3, python3 and loops of arithmetic, on one machine, were 0.02 to 0.27.
pub(crate) const AFTER: (f64, f64) = (0.13, 0.10);
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
        let (share, unsure) = AFTER;
        let most = (all_ns - self.ns).max(0.0) * MOST_AFTER / (1.0 + MOST_AFTER);
        let after = (share * self.ns).min(most);
        let standard_error = self.standard_error.hypot(after * unsure / share);
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
