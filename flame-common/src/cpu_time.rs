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
    /// 1 if it was known for a target when it came.
    pub is_target: u64,
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
    /// The task that gives way, and whether it is a target.
    pub from: Run,
    /// The task that comes, and whether it is known for a target: where the current task alone can
    /// be asked, a tick will tell.
    pub to: Run,
}

/// A task, and what it has run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The kernel's address of it.
    pub task: u64,
    /// By the scheduler's account, in nanoseconds.
    pub run_ns: u64,
    /// Whether it is a target.
    pub is_target: bool,
}

impl CpuTime {
    /// Takes in a switch, of a time that began at `since_ns`.
    #[inline(always)]
    pub fn switch(&mut self, switch: Switch, since_ns: u64) {
        let was_known = self.is_target != 0 && switch.from.task == self.task;
        if switch.from.is_target || was_known {
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
        self.is_target = u64::from(switch.to.is_target);
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
        let came = self.is_target != 0 && self.switched_ns > since_ns;
        let goes_on = came || self.ticked_ns >= runs_since;
        let more = if goes_on { now_ns.saturating_sub(runs_since) } else { 0 };
        self.used_ns.wrapping_add(more)
    }
}

const _: () = assert!(size_of::<CpuTime>() == 48);

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
    const OTHER: u64 = 3;

    /// A switch between tasks of which it is known at once what they are, or at their end alone.
    fn switch(at_ns: u64, known: bool, from: (u64, u64), to: (u64, u64)) -> Switch {
        let run = |(task, run_ns), known| Run { task, run_ns, is_target: known && task >= TARGET };
        Switch { at_ns, from: run(from, true), to: run(to, known) }
    }

    #[test]
    fn a_target_runs_from_switch_to_switch() {
        for known in [false, true] {
            let mut time = CpuTime { ticked_ns: 90, switched_ns: 80, ..CpuTime::default() };
            let mut to = |at_ns, from, to| {
                time.switch(switch(at_ns, known, from, to), 1000);
                time
            };
            // A target runs from the beginning, is not there for a while, and comes again.
            let after = to(1300, (TARGET, 5000), (IDLE, 70));
            assert_eq!((after.used_ns, after.used_until(1400, 1000)), (300, 300));
            let mut after = to(1500, (IDLE, 270), (TARGET, 5000));
            assert_eq!(after.used_until(1550, 1000), if known { 350 } else { 300 });
            after.tick(1600);
            assert_eq!(after.used_until(1650, 1000), 450);
            // By the scheduler's account it ran a little longer than from one switch to the other.
            let after = to(1700, (TARGET, 5210), (OTHER, 80));
            assert_eq!(after.used_ns, 510);
            // From one target to another.
            let after = to(1800, (OTHER, 180), (IDLE, 270));
            assert_eq!((after.used_ns, after.used_until(1850, 1000)), (610, 610));
            // One that was not seen coming.
            let mut after = to(1900, (TARGET, 5410), (IDLE, 0));
            assert_eq!(after.used_ns, 610);
            // The next time.
            after.tick(9050);
            assert_eq!(after.used_until(9060, 9000), 670);
        }
    }

    #[test]
    fn what_was_before_the_beginning_does_not_go_on() {
        let before = CpuTime { ticked_ns: 90, switched_ns: 80, is_target: 1, ..CpuTime::default() };
        assert_eq!(before.used_until(1100, 1000), 0);
    }

    #[test]
    fn a_thread_that_has_gone_when_it_gives_way_was_a_target_when_it_came() {
        let mut time = CpuTime::default();
        time.switch(switch(1100, true, (IDLE, 0), (TARGET, 50)), 1000);
        let gone = Run { task: TARGET, run_ns: 150, is_target: false };
        let to = Run { task: IDLE, run_ns: 0, is_target: false };
        time.switch(Switch { at_ns: 1200, from: gone, to }, 1000);
        assert_eq!(time.used_ns, 100);
    }
}
