//! Whether a heap profile counts the blocks that its workload counted itself
//! (`tests/workloads/c/alloc_shares.c`).

use std::fmt;

use serde_json::Value;

/// Blocks that the workload is told to make in a turn, by this function.
pub(super) const A_TURN: u32 = 20;
const MAKER: &str = "allocates";
/// How far off an estimate may be, in its standard errors, and how large those may be, as a share.
const MOST_ERRORS: f64 = 4.0;
const MOST_ERROR: f64 = 0.2;

/// Blocks that were made, and what flame says.
#[derive(Debug, PartialEq)]
pub(super) struct Blocks {
    truth: f64,
    estimate: f64,
    standard_error: f64,
}

impl Blocks {
    /// Reads what the workload and flame printed: its turns, and flame's summary in the last line.
    pub(super) fn read(told: &str) -> Option<Self> {
        let turns = told.lines().find_map(|line| line.strip_prefix("known turns "))?;
        let turns: f64 = turns.trim().parse().ok()?;
        let summary: Value = serde_json::from_str(told.lines().last()?).ok()?;
        let functions = summary["profiles"][0]["functions"].as_array()?;
        let maker = functions.iter().find(|function| function["name"] == MAKER)?;
        let objects = &maker["values"]["alloc_objects"];
        Some(Self {
            truth: turns * f64::from(A_TURN),
            estimate: objects["value"].as_f64()?,
            standard_error: objects["standard_error"].as_f64()?,
        })
    }

    /// Whether the estimate is right, and tells something.
    pub(super) fn is_right(&self) -> bool {
        let Self { truth, estimate, standard_error } = *self;
        truth > 0.0
            && standard_error < truth * MOST_ERROR
            && (estimate - truth).abs() <= standard_error * MOST_ERRORS
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { truth, estimate, standard_error } = *self;
        let percent = |value: f64| value * 100.0 / truth;
        write!(f, "{:.1} +- {:.1} %", percent(estimate), percent(standard_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(estimate: f64) -> String {
        let objects = format!(r#"{{"value":{estimate},"standard_error":50.0}}"#);
        let values = format!(r#"{{"alloc_objects":{objects}}}"#);
        let function = format!(r#"{{"name":"allocates","values":{values}}}"#);
        let summary = format!(r#"{{"profiles":[{{"functions":[{function}]}}]}}"#);
        format!("known turns 100\nknown cpu 5\n{summary}\n")
    }

    #[test]
    fn an_estimate_is_right_within_four_of_its_errors() {
        let near = Blocks::read(&told(2100.0)).expect("blocks");
        assert!(near.is_right());
        assert_eq!(near.to_string(), "105.0 +- 2.5 %");
        assert!(!Blocks::read(&told(1700.0)).expect("blocks").is_right());
        assert_eq!(Blocks::read("known turns 100\nrubbish"), None);
    }
}
