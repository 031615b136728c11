//! Steps in order, the first failure ends them, and a table of them at the end.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How a step that did not fail ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// All of it ran.
    Passed,
    /// It ran in part, or not at all, and why.
    Partly(String),
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    time: Duration,
    said: String,
}

impl Steps {
    /// Runs a step, and remembers its time and its end.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<Outcome>,
    ) -> Result<()> {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = step().with_context(|| format!("step `{name}`"));
        let said = match &result {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::Partly(reason)) => format!("ok, but {reason}"),
            Err(_) => "FAILED".to_owned(),
        };
        self.rows.push(Row { name, time: start.elapsed(), said });
        result.map(|_| ())
    }
}

/// One line a step.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for Row { name, time, said } in &self.rows {
            writeln!(f, "{name:width$}  {:>6.1} s  {said}", time.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_table_tells_each_step_and_its_end() {
        let mut steps = Steps::default();
        let partly = || Ok(Outcome::Partly("no node here".to_owned()));
        assert!(steps.run("one", || Ok(Outcome::Passed)).is_ok());
        assert!(steps.run("second", partly).is_ok());
        let error = steps.run("third", || Err(anyhow!("broken"))).expect_err("the step fails");
        assert_eq!(format!("{error:#}"), "step `third`: broken");
        assert_eq!(
            steps.to_string(),
            "one        0.0 s  ok\nsecond     0.0 s  ok, but no node here\nthird      0.0 s  FAILED\n"
        );
    }
}
