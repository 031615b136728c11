//! How busy an allocator is for whose probes that is too dear.

/// Of a time, the share that was the targets' own work, at least, when a rate is told of it. Where
/// traps take nearly all of the time, what is left of it is not known.
const LEAST_WORK: f64 = 0.1;

/// What was used while every call trapped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Busy {
    pub(super) hits: f64,
    /// CPU time of the targets, the traps' in it, in nanoseconds.
    pub(super) cpu_ns: f64,
}

/// How often allocators are called.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Calls {
    /// In a second of the targets' own work.
    pub(super) a_second: f64,
    /// By how much traps make that work longer, as a share of it.
    pub(super) slow_down: f64,
    /// Whether the work is less than is told here, and not known.
    pub(super) is_unsure: bool,
}

impl Busy {
    /// Where a hit costs so much.
    pub(super) fn calls(self, price_ns: f64) -> Calls {
        let Self { hits, cpu_ns } = self;
        let (work_ns, least_ns) = (cpu_ns - hits * price_ns, cpu_ns * LEAST_WORK);
        let is_unsure = work_ns < least_ns;
        let work_ns = work_ns.max(least_ns);
        if work_ns <= 0.0 {
            return Calls::default();
        }
        let slow_down = hits * price_ns / work_ns;
        Calls { a_second: hits * 1e9 / work_ns, slow_down, is_unsure }
    }

    /// Why blocks are not followed any more, for people.
    pub(super) fn reason(self, price_ns: f64, overhead: f64) -> String {
        let Calls { a_second, slow_down, is_unsure } = self.calls(price_ns);
        let allowed = format!("and --heap-overhead allows {overhead} %");
        if is_unsure {
            let rate = self.hits / self.cpu_ns * 1e6;
            return format!(
                "more than {rate:.0} thousand calls of allocators in a second of CPU time: to follow every block takes nearly all of the time, {allowed}"
            );
        }
        format!(
            "{:.0} thousand calls of allocators in a second of CPU time: to follow every block takes {:.0} % more CPU time, {allowed}",
            a_second / 1e3,
            slow_down * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_the_work_between_them() {
        // Half of the time was traps.
        let busy = Busy { hits: 10_000.0, cpu_ns: 20e6 };
        let calls = busy.calls(1000.0);
        assert_eq!(calls, Calls { a_second: 1e6, slow_down: 1.0, is_unsure: false });
        assert!(busy.reason(1000.0, 5.0).starts_with("1000 thousand calls"));
        assert!(busy.reason(1000.0, 5.0).contains("takes 100 % more CPU time"));
        assert_eq!(Busy::default().calls(1000.0), Calls::default());
    }

    #[test]
    fn where_traps_seem_to_take_all_of_the_time_no_slow_down_is_told() {
        let busy = Busy { hits: 10_000.0, cpu_ns: 20e6 };
        assert!(busy.calls(1999.0).is_unsure);
        let reason = busy.reason(1999.0, 5.0);
        assert!(reason.starts_with("more than 500 thousand calls"), "{reason}");
        assert!(reason.contains("nearly all of the time, and --heap-overhead allows 5 %"));
    }
}
