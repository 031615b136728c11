//! Whether the processes that were named by pid have ended. Asking the kernel for the state of a
//! process takes it a while: it is asked when a record says that one ended, and seldom otherwise.

use std::time::{Duration, Instant};

use crate::process::{self, ProcessEvent};

/// How often the kernel is asked without a record, which may have been lost.
const SELDOM: Duration = Duration::from_secs(1);

/// What is known of the ends of named processes.
#[derive(Debug)]
pub(super) struct Ending {
    pids: Vec<u32>,
    /// Whether the first thread of one has ended; others of its threads may go on.
    one_may_have: bool,
    asked: Instant,
    all_have: bool,
}

impl Ending {
    /// The ends of these processes.
    pub(super) fn of(pids: Vec<u32>) -> Self {
        let all_have = !pids.iter().any(|&pid| is_alive(pid));
        Self { pids, one_may_have: false, asked: Instant::now(), all_have }
    }

    /// Takes note of a record.
    pub(super) fn note(&mut self, event: &ProcessEvent) {
        if let ProcessEvent::Exit { pid, tid } = event {
            self.one_may_have |= pid == tid && self.pids.contains(pid);
        }
    }

    /// Whether all have ended.
    pub(super) fn all_have(&mut self) -> bool {
        if !self.all_have && (self.one_may_have || self.asked.elapsed() >= SELDOM) {
            let mut others = self.pids.iter().filter(|&&pid| is_alive(pid));
            self.all_have = others.next().is_none();
            self.asked = Instant::now();
        }
        self.all_have
    }
}

/// Whether a process runs: it is there and no zombie, or its other threads go on.
pub(super) fn is_alive(pid: u32) -> bool {
    match process::state(pid) {
        None | Some('X') => false,
        Some('Z') => process::threads(pid) > 1,
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_kernel_is_asked_when_a_record_says_that_one_ended() {
        let start = || Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        let (mut one, mut other) = (start(), start());
        let mut ending = Ending::of(vec![one.id(), other.id()]);
        let exit = |pid: u32| ProcessEvent::Exit { pid, tid: pid };
        one.kill().expect("a process to kill");
        one.wait().expect("its end");
        ending.note(&exit(one.id()));
        assert!(!ending.all_have());
        other.kill().expect("a process to kill");
        // A zombie has ended as well.
        while is_alive(other.id()) {
            std::thread::yield_now();
        }
        ending.note(&exit(other.id()));
        assert!(ending.all_have());
        other.wait().expect("its end");
    }

    #[test]
    fn without_a_record_it_is_seen_in_a_while() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        let mut ending = Ending::of(vec![child.id()]);
        child.kill().expect("a process to kill");
        child.wait().expect("its end");
        assert!(!ending.all_have());
        ending.asked = Instant::now().checked_sub(SELDOM).expect("a time before");
        assert!(ending.all_have());
    }
}
