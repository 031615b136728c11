//! How long targets run on a CPU, while a clock ticks there: by the scheduler's own account at each
//! switch to another task, so that it agrees with the processes' own clocks, and by the ticks while
//! a task goes on running.

/// What a CPU's time went to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CpuTime {
    /// When the last switch was (`CLOCK_MONOTONIC`, nanoseconds).
    pub switched_ns: u64,
    /// The task that runs since then.
    pub task: u64,
    /// What it had run before, in nanoseconds.
    pub run_before_ns: u64,
    /// When the last tick met a target, likewise.
    pub ticked_ns: u64,
    /// What targets ran up to switches, in nanoseconds.
    pub used_ns: u64,
}

/// A switch of a CPU from one task to another.
#[derive(Debug, Clone, Copy)]
pub struct Switch {
    /// When it is (`CLOCK_MONOTONIC`, nanoseconds).
    pub at_ns: u64,
    /// Whether it is a target that gives way.
    pub from_target: bool,
    /// The task that gives way.
    pub from: Run,
    /// The task that comes.
    pub to: Run,
}

/// A task, and what it has run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The kernel's address of it.
    pub task: u64,
    /// By the scheduler's account, in nanoseconds.
    pub run_ns: u64,
}

impl CpuTime {
    /// Takes in a switch, of a time that began at `since_ns`.
    #[inline(always)]
    pub fn switch(&mut self, switch: Switch, since_ns: u64) {
        if switch.from_target {
            let ran_ns = if self.switched_ns <= since_ns {
                // It ran when the time began.
                switch.at_ns.wrapping_sub(since_ns)
            } else if switch.from.task == self.task {
                // The switch itself is a part of what the scheduler accounts for.
                switch.from.run_ns.wrapping_sub(self.run_before_ns)
            } else {
                // Its coming was not seen, which one switch in some ten thousand is not.
                0
            };
            self.used_ns = self.used_ns.wrapping_add(ran_ns);
        }
        self.switched_ns = switch.at_ns;
        (self.task, self.run_before_ns) = (switch.to.task, switch.to.run_ns);
    }

    /// A tick meets a target.
    #[inline(always)]
    pub const fn tick(&mut self, at_ns: u64) {
        self.ticked_ns = at_ns;
    }

    /// What targets used up to now, in nanoseconds, of a time that began at `since_ns` and of times
    /// before.
    pub fn used_until(&self, now_ns: u64, since_ns: u64) -> u64 {
        let runs_since = self.switched_ns.max(since_ns);
        let goes_on = self.ticked_ns >= runs_since;
        let more = if goes_on { now_ns.saturating_sub(runs_since) } else { 0 };
        self.used_ns.wrapping_add(more)
    }
}

const _: () = assert!(size_of::<CpuTime>() == 40);

#[cfg(feature = "user")]
mod pod {
    use super::CpuTime;

    // SAFETY: `repr(C)`, made of integers alone without padding between them.
    #[expect(unsafe_code, reason = "aya asks for the promise that the bytes may be copied")]
    unsafe impl aya::Pod for CpuTime {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: u64 = 1;
    const TARGET: u64 = 2;

    fn switch(at_ns: u64, from: (u64, u64), to: (u64, u64)) -> Switch {
        let run = |(task, run_ns)| Run { task, run_ns };
        Switch { at_ns, from_target: from.0 != IDLE, from: run(from), to: run(to) }
    }

    #[test]
    fn a_target_runs_from_switch_to_switch() {
        let mut time = CpuTime { ticked_ns: 90, switched_ns: 80, ..CpuTime::default() };
        // What was before the beginning does not go on.
        assert_eq!(time.used_until(1100, 1000), 0);
        // A target runs from the beginning, is not there for a while, and comes again.
        time.switch(switch(1300, (TARGET, 5000), (IDLE, 70)), 1000);
        assert_eq!((time.used_ns, time.used_until(1400, 1000)), (300, 300));
        time.switch(switch(1500, (IDLE, 270), (TARGET, 5000)), 1000);
        assert_eq!(time.used_until(1550, 1000), 300);
        time.tick(1600);
        assert_eq!(time.used_until(1650, 1000), 450);
        // By the scheduler's account it ran a little longer than from one switch to the other.
        time.switch(switch(1700, (TARGET, 5210), (IDLE, 270)), 1000);
        assert_eq!((time.used_ns, time.used_until(1800, 1000)), (510, 510));
        // One that was not seen coming.
        time.switch(switch(1900, (TARGET, 5410), (IDLE, 0)), 1000);
        assert_eq!(time.used_ns, 510);
        // The next time.
        time.tick(9050);
        assert_eq!(time.used_until(9060, 9000), 570);
    }
}
