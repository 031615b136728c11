//! What the table of a file takes, in time and in memory.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::compile::SLICE_PAGES;
use super::source;
use crate::process::ElfLayout;

/// The figures of one file.
#[derive(Debug, Clone, Copy)]
pub struct TableFigures {
    file_bytes: u64,
    rows: usize,
    /// Rows and text pages, as the kernel holds them.
    table_bytes: usize,
    rules: usize,
    /// From opening the file to the rule of an address in its middle.
    first: Duration,
    /// From opening the file to the last slice.
    all: Duration,
}

/// Compiles the whole table of a file; `None` if it cannot be read or has none.
pub fn table_figures(path: &Path) -> Option<TableFigures> {
    // Once for the page cache.
    let read = || {
        let file = File::open(path).ok()?;
        let layout = ElfLayout::read(&file)?;
        source::from_file(&file, &layout, None)
    };
    drop(read()?);
    let began = Instant::now();
    let information = read()?;
    let slices = information.extent().1 / SLICE_PAGES;
    information.compile(slices / 2);
    let first = began.elapsed();
    let (mut rows, mut table_bytes, mut rules) = (0, 0, HashSet::new());
    for slice in 0..slices {
        let table = information.compile(slice);
        rows += table.rows().len();
        table_bytes += size_of_val(table.rows()) + size_of_val(table.pages());
        rules.extend(table.rules().iter().copied());
    }
    let all = began.elapsed();
    let file_bytes = path.metadata().ok()?.len();
    Some(TableFigures { file_bytes, rows, table_bytes, rules: rules.len(), first, all })
}

/// A row's cells, separated as in Markdown.
impl fmt::Display for TableFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{} MB | {} | {:.2} MiB | {} | {:.1} ms | {:.0} ms",
            self.file_bytes / 1_000_000,
            self.rows,
            self.table_bytes as f64 / f64::from(1 << 20),
            self.rules,
            ms(self.first),
            ms(self.all),
        )
    }
}
