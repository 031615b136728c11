//! What a hit of a probe costs, and how sure that is.

/// What code takes longer behind a trap, as a share of it, and how unsure that is: seen in perl,
/// sqlite3, python3 and loops of arithmetic, on one machine, were 0.02 to 0.27.
pub(crate) const AFTER: (f64, f64) = (0.13, 0.10);

/// What a hit costs, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Price {
    pub(crate) ns: f64,
    pub(crate) standard_error: f64,
}

impl Price {
    /// Of a trap that takes this, with what is behind it in other programs.
    pub(crate) fn of_trap(self) -> Self {
        let (share, unsure) = AFTER;
        let standard_error = self.standard_error.hypot(unsure * self.ns);
        Self { ns: self.ns * (1.0 + share), standard_error }
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
