//! The table of heap profiles' costs, as Markdown.

use std::fmt;

use super::{Measured, Row, TOOLS, Tool};
use crate::bench::interval::{Interval, middle};

/// All rows, written as Markdown.
#[derive(Debug, Default)]
pub(in crate::bench) struct Table {
    pub(in crate::bench) rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "CPU time of the program, as a multiple of its bare run's: median [95 %].\n"
        )?;
        write!(out, "| program |")?;
        for tool in TOOLS {
            write!(out, " {} |", tool.name())?;
        }
        writeln!(
            out,
            " memleak's cost / flame exact's | as flame says (a hit) | as flame says, exact | traps x price / cost, exact | armed | probes in, out |"
        )?;
        writeln!(out, "|---|{}---|---|---|---|---|---|", "---|".repeat(TOOLS.len()))?;
        for row in &self.rows {
            write!(out, "| {} {} |", row.name, row.version)?;
            for measured in &row.measured {
                write!(out, " {} |", cell(measured))?;
            }
            let cost = |tool: Tool| {
                let measured = row.measured.iter().find(|measured| measured.tool == tool)?;
                Some(measured.interval()?.median - 1.0)
            };
            match (cost(Tool::Memleak), cost(Tool::Exact)) {
                (Some(other), Some(own)) if own > 0.0 => write!(out, " {:.1} |", other / own)?,
                _ => write!(out, " - |")?,
            }
            for tool in [Tool::Governed, Tool::Exact] {
                let of = row.measured.iter().find(|measured| measured.tool == tool);
                let said = of.into_iter().flat_map(|measured| measured.said.iter().copied());
                let price = of.into_iter().flat_map(|measured| measured.price_ns.iter().copied());
                write!(out, " {:.3} ({:.0} ns) |", middle(said), middle(price))?;
            }
            let exact = row.measured.iter().filter(|measured| measured.tool == Tool::Exact);
            let explained = exact.flat_map(|measured| measured.explained.iter().copied());
            write!(out, " {:.2} |", middle(explained))?;
            let armed = row.measured.iter().flat_map(|measured| measured.armed_ms.iter().copied());
            write!(out, " {:.0} ms |", middle(armed))?;
            let attach = row.measured.iter().flat_map(|measured| &measured.attach_ms);
            let detach = row.measured.iter().flat_map(|measured| &measured.detach_ms);
            let most = |times: &mut dyn Iterator<Item = &f64>| times.copied().fold(0.0, f64::max);
            let (attach, detach) = (most(&mut attach.into_iter()), most(&mut detach.into_iter()));
            writeln!(out, " {attach:.0}, {detach:.0} ms |")?;
        }
        for row in &self.rows {
            let bare = middle(row.bare.iter().copied());
            write!(
                out,
                "\n- {}: {}; {bare:.2} s bare, {} rounds",
                row.name,
                row.what,
                row.bare.len()
            )?;
            for measured in &row.measured {
                if let Some(why) = &measured.left_out {
                    write!(out, "; {}: {why}", measured.tool.name())?;
                }
            }
        }
        writeln!(out)
    }
}

fn cell(measured: &Measured) -> String {
    match measured.interval() {
        Some(Interval { median, low, high, count }) => {
            format!("{median:.3} [{low:.3} {high:.3}] ({count})")
        }
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::measured;
    use super::*;

    #[test]
    fn the_table_tells_each_tool_and_what_was_left_out() {
        let mut memleak = measured(Tool::Memleak, &[15.0]);
        memleak.left_out = Some("it fell over".to_owned());
        let row = Row {
            name: "sqlite3",
            what: "queries",
            version: "3.40".to_owned(),
            bare: vec![1.0],
            measured: vec![
                measured(Tool::Governed, &[1.04]),
                measured(Tool::Exact, &[3.0]),
                measured(Tool::Heaptrack, &[]),
                memleak,
            ],
        };
        let text = Table { rows: vec![row] }.to_string();
        assert!(text.contains("| 1.040 [1.040 1.040] (1) | 3.000"), "{text}");
        assert!(
            text.contains(
                "| - | 15.000 [15.000 15.000] (1) | 7.0 | 1.030 (640 ns) | 1.030 (640 ns) | 0.97 | 40 ms | 9, 17 ms |"
            ),
            "{text}"
        );
        assert!(text.contains("memleak: it fell over"), "{text}");
    }
}
