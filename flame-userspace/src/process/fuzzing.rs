//! Fuzz target: the text of `/proc/PID/maps`.

#![expect(
    clippy::missing_panics_doc,
    reason = "a target of fuzzing panics where it finds something"
)]

use super::maps as text;

/// Reads the mappings in any text.
pub fn maps(data: &[u8]) {
    let mappings = text::parse(data);
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(mappings.len() <= lines);
}
