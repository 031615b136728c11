//! Points in time as dates in UTC, without a clock or a calendar of the system's.

/// A point in time, split up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The year of the Gregorian calendar.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: i64,
    /// The day of the month, 1 to 31.
    pub day: i64,
    /// The hour, 0 to 23.
    pub hour: i64,
    /// The minute, 0 to 59.
    pub minute: i64,
    /// The second, 0 to 59.
    pub second: i64,
    /// The millisecond, 0 to 999.
    pub millisecond: i64,
}

impl Date {
    /// The date of a time in milliseconds since the Unix epoch.
    pub fn utc(milliseconds: i64) -> Self {
        let (days, rest) =
            (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            millisecond: rest % 1000,
        }
    }

    /// The date as ISO 8601 has it: `2026-10-09T12:00:00.000Z`.
    pub fn iso(&self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar: years are counted from
/// March, so that the leap day is a year's last, in eras of 400 years of 146 097 days
/// (the algorithm is Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_of_0 = days + 719_468;
    let era = from_march_of_0.div_euclid(146_097);
    let day_of_era = from_march_of_0.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_735), (2026, 10, 9));
        let noon = 20_735 * 86_400_000 + 43_200_007;
        assert_eq!(Date::utc(noon).iso(), "2026-10-09T12:00:00.007Z");
        assert_eq!(Date::utc(-1).iso(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn the_ends_of_time_have_a_date() {
        for nanoseconds in [i64::MIN, i64::MAX] {
            assert!(Date::utc(nanoseconds / 1_000_000).iso().ends_with('Z'));
        }
    }
}
