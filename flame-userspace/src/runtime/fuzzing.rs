//! Fuzz target: perf maps.

#![expect(
    clippy::missing_panics_doc,
    reason = "a target of fuzzing panics where it finds something"
)]

use super::perf_map::PerfMap;

/// Reads any perf map and looks addresses up.
pub fn perf_map(data: &[u8]) {
    let map = PerfMap::parse(data);
    let lines = data.split(|&byte| byte == b'\n').count().saturating_sub(1);
    assert!(map.malformed <= lines as u64);
    let mut last = 0;
    for (&start, &(end, _)) in &map.functions {
        assert!(last <= start && start < end, "functions do not overlap");
        assert!(map.name(start).is_some() && map.name(end - 1).is_some());
        last = end;
    }
}
