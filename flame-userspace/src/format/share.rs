//! Shares of a total, as text.

/// A value as percent of a total, to so many places; `-` where there is no total that it could be a
/// part of, as of a difference that adds up to nothing or less.
pub fn percent(value: i64, total: i64, places: usize) -> String {
    if total <= 0 {
        return "-".to_owned();
    }
    format!("{:.places$} %", value as f64 * 100.0 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_nothing_has_no_share() {
        assert_eq!(percent(1, 8, 1), "12.5 %");
        assert_eq!(percent(-1, 8, 2), "-12.50 %");
        assert_eq!(percent(0, 1, 0), "0 %");
        for total in [0, -8] {
            assert_eq!(percent(8, total, 1), "-");
        }
    }
}
