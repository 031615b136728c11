//! How long this process has been there: from the command typed, as nearly as the kernel tells.

use std::time::Duration;

/// Time since this process was started, to the kernel's clock tick (10 ms).
pub(super) fn process_age() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let started = started(&stat)?;
    // SAFETY: sysconf takes a number and returns one.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    let started = Duration::from_millis(started * 1000 / ticks.max(1));
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that lives through the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) } != 0 {
        return None;
    }
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    now.checked_sub(started)
}

/// The start of a process, in ticks since the machine's, of its `/proc/PID/stat`.
fn started(stat: &str) -> Option<u64> {
    // The name, in parentheses, may hold anything; the start is the 20th field behind it.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_started_lately() {
        let age = process_age().expect("this process's age");
        assert!(age < Duration::from_secs(3600), "{age:?}");
    }

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_start() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(started(stat), Some(4711));
        assert_eq!(started("7 (a"), None);
    }
}
