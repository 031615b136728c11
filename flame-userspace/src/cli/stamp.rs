//! The time stamp that the files of a session share.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::format::date::Date;

/// A time in UTC as a part of a file's name: `2026-10-09T12-00-00-000Z`.
pub(super) fn stamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Date::utc(since.as_millis() as i64).iso().replace([':', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_stamp_can_be_a_part_of_a_files_name() {
        let time = UNIX_EPOCH + Duration::from_millis(20_735 * 86_400_000 + 43_200_007);
        assert_eq!(stamp(time), "2026-10-09T12-00-00-007Z");
    }
}
