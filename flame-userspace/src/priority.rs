//! Giving way: what flame computes before and after a session waits for whoever wants the CPU.
//!
//! Loading the kernel programs and looking up names take a CPU for a tenth of a second each. A
//! server that wakes on that CPU meanwhile waits for a slice of flame's, some milliseconds, by the
//! usual policy; under `SCHED_IDLE` it runs at once (sched(7)). flame works so only while it holds
//! nothing that a target may wait for, and never while it samples; and not for ever: where the
//! CPUs are always busy it would never come to its end.

use std::fs;
use std::process::Child;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Threads of flame give way until this is dropped, or for a time.
#[derive(Debug)]
pub(crate) struct GiveWay {
    until: Option<Sender<()>>,
    back: Option<JoinHandle<()>>,
}

impl GiveWay {
    /// All threads do, for so long at most. None does where flame could not come back, or has another
    /// policy than the usual.
    pub(crate) fn all_for_at_most(time: Duration) -> Self {
        Self::begin(all, time)
    }

    /// The calling thread does.
    pub(crate) fn own_for_at_most(time: Duration) -> Self {
        // SAFETY: the call takes nothing and cannot fail.
        let own = unsafe { libc::gettid() };
        Self::begin(move || vec![own], time)
    }

    fn begin(threads: impl Fn() -> Vec<libc::pid_t> + Send + 'static, time: Duration) -> Self {
        let none = Self { until: None, back: None };
        let now = threads();
        if !may_come_back() || !now.iter().all(|&thread| policy(thread) == libc::SCHED_OTHER) {
            return none;
        }
        let (until, over) = mpsc::channel::<()>();
        // It has the usual policy, as it begins before this thread has another.
        let back = thread::Builder::new().name("flame-way".to_owned()).spawn(move || {
            // Nobody sends: it is over when the other end is dropped.
            let mut rest = time;
            while over.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                come_back(&threads);
                rest = AGAIN;
            }
            come_back(&threads);
        });
        let Ok(back) = back else { return none };
        set(&now, libc::SCHED_IDLE);
        Self { until: Some(until), back: Some(back) }
    }
}

impl Drop for GiveWay {
    fn drop(&mut self) {
        self.until = None;
        if let Some(back) = self.back.take() {
            // It has no reason to panic; flame would be slower where CPUs are busy.
            _ = back.join();
        }
    }
}

/// What begins by a thread that gives way gives way as well, and may not be seen yet when all come
/// back: so often it is looked for after that.
const AGAIN: Duration = Duration::from_millis(50);

/// Threads, and children, have the usual policy again.
fn come_back(threads: &impl Fn() -> Vec<libc::pid_t>) {
    set(&threads(), libc::SCHED_OTHER);
    for &child in &*followers() {
        set(&threads_of(child), libc::SCHED_OTHER);
    }
}

/// A child that works for flame, and gives way no longer than flame does.
#[derive(Debug)]
pub(crate) struct Follower(libc::pid_t);

static FOLLOWERS: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

fn followers() -> MutexGuard<'static, Vec<libc::pid_t>> {
    FOLLOWERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Follower {
    /// The calling thread started the child. Drop it before the child is waited for: its number may
    /// be another's after that.
    pub(crate) fn new(child: &Child) -> Self {
        let child = child.id().cast_signed();
        let mut followers = followers();
        followers.push(child);
        // Way may have been given no more since it began.
        if policy(0) == libc::SCHED_OTHER && policy(child) == libc::SCHED_IDLE {
            set(&threads_of(child), libc::SCHED_OTHER);
        }
        Self(child)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        followers().retain(|&child| child != self.0);
    }
}

/// All of flame's threads.
fn all() -> Vec<libc::pid_t> {
    // SAFETY: the call takes nothing and cannot fail.
    threads_of(unsafe { libc::getpid() })
}

fn threads_of(process: libc::pid_t) -> Vec<libc::pid_t> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn policy(thread: libc::pid_t) -> i32 {
    // SAFETY: the call takes a number.
    unsafe { libc::sched_getscheduler(thread) }
}

fn set(threads: &[libc::pid_t], policy: i32) {
    let priority = libc::sched_param { sched_priority: 0 };
    for &thread in threads {
        // SAFETY: the call reads a struct that lives through it. It fails for a thread that has
        // ended.
        unsafe { libc::sched_setscheduler(thread, policy, &raw const priority) };
    }
}

/// Whether the usual policy can be had back: that takes `CAP_SYS_NICE` (number 23, capabilities(7)).
fn may_come_back() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_some_and(|set| set & 1 << 23 != 0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// One test at a time, as they change what all threads have; `None` where way cannot be given.
    fn alone() -> Option<MutexGuard<'static, ()>> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        if !may_come_back() {
            println!("skipped: it needs CAP_SYS_NICE");
            return None;
        }
        Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[test]
    fn what_begins_while_way_is_given_comes_back_as_well() {
        let Some(_alone) = alone() else { return };
        let way = GiveWay::all_for_at_most(Duration::ZERO);
        while policy(0) != libc::SCHED_OTHER {
            thread::yield_now();
        }
        // As a thread that was not seen when the others came back.
        set(&[0], libc::SCHED_IDLE);
        while policy(0) != libc::SCHED_OTHER {
            thread::yield_now();
        }
        drop(way);
    }

    #[test]
    fn a_child_gives_way_no_longer_than_flame() {
        let Some(_alone) = alone() else { return };
        let start = || Command::new("sleep").arg("60").spawn().expect("sleep");
        let way = GiveWay::own_for_at_most(Duration::from_millis(200));
        let mut children = [start(), start()];
        let ids = children.each_ref().map(|child| child.id().cast_signed());
        assert_eq!(ids.map(policy), [libc::SCHED_IDLE; 2]);
        let early = Follower::new(&children[0]);
        while policy(0) != libc::SCHED_OTHER {
            thread::yield_now();
        }
        drop(way);
        assert_eq!(policy(ids[0]), libc::SCHED_OTHER, "with all of flame's");
        let late = Follower::new(&children[1]);
        assert_eq!(policy(ids[1]), libc::SCHED_OTHER, "it came too late for that");
        drop((early, late));
        assert!(!followers().iter().any(|child| ids.contains(child)));
        for child in &mut children {
            child.kill().expect("kill sleep");
            child.wait().expect("wait for sleep");
        }
    }

    #[test]
    fn way_is_given_for_a_while_and_not_longer() {
        let Some(_alone) = alone() else { return };
        let own = 0;
        assert_eq!(policy(own), libc::SCHED_OTHER);
        let way = GiveWay::all_for_at_most(Duration::from_secs(60));
        assert_eq!(policy(own), libc::SCHED_IDLE);
        let begun_later = thread::spawn(|| {
            thread::sleep(Duration::from_millis(50));
            policy(0)
        });
        // Where way is given already, it is not given twice.
        drop(GiveWay::all_for_at_most(Duration::ZERO));
        assert_eq!(policy(own), libc::SCHED_IDLE);
        drop(way);
        assert_eq!(policy(own), libc::SCHED_OTHER);
        assert_eq!(begun_later.join().expect("no panic"), libc::SCHED_OTHER);
        let way = GiveWay::all_for_at_most(Duration::ZERO);
        while policy(own) != libc::SCHED_OTHER {
            thread::yield_now();
        }
        drop(way);
    }
}
