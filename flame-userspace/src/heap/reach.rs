//! What windows may have missed, of which neither estimates nor their errors know.

/// Windows from which on they tell of errors: programs of half a second had 1 or 2, which agreed, and
/// were off by up to two hundred times.
const LEAST_TO_TELL: u64 = 8;

/// How many windows there were, and the work that they stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Reach {
    pub(crate) windows: u64,
    /// In nanoseconds of CPU time.
    pub(crate) work_ns: f64,
}

impl Reach {
    /// The longest stretch of work, in nanoseconds of CPU time, that may have met no window: of `n`
    /// windows at random moments of the work `W` none lies in a stretch of `3 W / n` in one of twenty
    /// cases (`exp(-3)` is 0.05).
    pub(crate) fn may_be_missed_ns(self) -> f64 {
        if self.windows == 0 { self.work_ns } else { 3.0 * self.work_ns / self.windows as f64 }
    }

    /// Whether there were so few that how they differ tells nothing of how far off they are.
    pub(crate) fn is_blind(self) -> bool {
        (1..LEAST_TO_TELL).contains(&self.windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_windows_the_shorter_is_what_they_may_have_missed() {
        for (windows, missed_ns) in [(0, 800.0), (3, 800.0), (24, 100.0)] {
            let reach = Reach { windows, work_ns: 800.0 };
            assert!((reach.may_be_missed_ns() - missed_ns).abs() < 1e-9, "{windows}");
        }
    }

    #[test]
    fn few_windows_tell_of_no_errors_and_none_need_not() {
        let blind = [0, 1, 7, 8].map(|windows| Reach { windows, work_ns: 1.0 }.is_blind());
        assert_eq!(blind, [false, true, true, false]);
    }
}
