//! Fuzz target: the text of `/proc/PID/maps`.

use super::maps as text;

/// Reads the mappings in any text.
pub fn maps(data: &[u8]) {
    let mappings = text::parse(data);
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(mappings.len() <= lines);
}
