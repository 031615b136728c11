//! The tables of `bench viewer`.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::INFERNO;
use crate::bench::report::{self as shared, splice_between};
use crate::command;

const BEGIN: &str = "<!-- cargo xtask bench viewer: begin -->";
const END: &str = "<!-- cargo xtask bench viewer: end -->";

/// flame's aims: nodes, bytes of the page, first render, zoom, memory of the page's process.
const AIMS: [(usize, f64, u64, u64, f64); 4] = [
    (1_000, 90e3, 400, 50, 180.0),
    (20_000, 170e3, 600, 50, 190.0),
    (200_000, 1.2e6, 800, 60, 220.0),
    (1_000_000, 5e6, 1500, 100, 320.0),
];

/// A page as it was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) bytes: u64,
    /// How long its making took; none where the viewer makes no page.
    pub(super) time: Option<Duration>,
    pub(super) peak_rss_bytes: u64,
}

/// A page as it was opened.
#[derive(Debug)]
pub(super) struct Seen {
    /// From the navigation's start to two frames of the screen after the graph was drawn.
    pub(super) first: Duration,
    pub(super) longest: Duration,
    /// From a click on a frame to the next paint.
    pub(super) zoom: Option<Duration>,
    pub(super) rss_bytes: u64,
    pub(super) peak_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) nodes: usize,
    pub(super) viewer: &'static str,
    pub(super) made: Made,
    /// None if nothing was shown within the limit.
    pub(super) seen: Option<Seen>,
}

pub(super) struct Report {
    heading: Vec<String>,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(
        rows: Vec<Row>,
        browser: &Path,
        flame: &Path,
        modules: &Path,
    ) -> Result<Self> {
        let mut heading = shared::machine(flame, "bench viewer")?;
        heading.push(format!(
            "- browser: {}, headless, without a GPU",
            command::output(Command::new(browser).arg("--version"))?.trim()
        ));
        for name in ["react-pprof", "speedscope"] {
            let path = modules.join(name).join("package.json");
            let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let package: serde_json::Value = serde_json::from_slice(&text)?;
            heading.push(format!("- {name}: {}", package["version"].as_str().unwrap_or("unknown")));
        }
        heading.push(format!("- inferno: {INFERNO}"));
        Ok(Self { heading, rows })
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let old = fs::read_to_string(path).unwrap_or_default();
        let new = splice_between(&old, BEGIN, END, &self.to_string());
        fs::write(path, new).with_context(|| format!("write {}", path.display()))?;
        println!("{} tells what was measured", path.display());
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.heading {
            writeln!(f, "{line}{}", if line.starts_with('-') { "" } else { "\n" })?;
        }
        writeln!(
            f,
            "\n### Pages, opened\n\n| nodes | viewer | file | made in | made with | first render \
             | longest task | zoom | memory, peak |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for Row { nodes, viewer, made, seen } in &self.rows {
            let time = made.time.map_or(String::new(), seconds);
            let memory =
                if made.time.is_some() { megabytes(made.peak_rss_bytes) } else { String::new() };
            write!(f, "| {nodes} | {viewer} | {} | {time} | {memory} ", kilobytes(made.bytes))?;
            match seen {
                Some(seen) => writeln!(
                    f,
                    "| {} | {} | {} | {}, {} |",
                    milliseconds(seen.first),
                    milliseconds(seen.longest),
                    seen.zoom.map_or("not hit".to_owned(), milliseconds),
                    megabytes(seen.rss_bytes),
                    megabytes(seen.peak_bytes),
                )?,
                None => writeln!(f, "| **none** | | | |")?,
            }
        }
        writeln!(
            f,
            "\n### Aims of flame's page\n\n| nodes | file | first render | zoom | memory | met |\n|---:|---|---|---|---|---|"
        )?;
        for (nodes, bytes, first, zoom, memory) in AIMS {
            let Some(row) =
                self.rows.iter().find(|row| row.nodes == nodes && row.viewer == "flame")
            else {
                continue;
            };
            let Some(seen) = &row.seen else {
                writeln!(f, "| {nodes} | | nothing shown | | | **no** |")?;
                continue;
            };
            let zoomed = seen.zoom.unwrap_or(Duration::MAX);
            let met = row.made.bytes as f64 <= bytes
                && seen.first <= Duration::from_millis(first)
                && zoomed <= Duration::from_millis(zoom)
                && seen.rss_bytes as f64 <= memory * 1e6;
            writeln!(
                f,
                "| {nodes} | {} of {:.0} kB | {} of {first} ms | {} of {zoom} ms | {} of {memory} MB | {} |",
                kilobytes(row.made.bytes),
                bytes / 1e3,
                milliseconds(seen.first),
                milliseconds(zoomed),
                megabytes(seen.rss_bytes),
                if met { "yes" } else { "**no**" },
            )?;
        }
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.0} kB", bytes as f64 / 1e3)
}
