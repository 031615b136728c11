//! Tables of plain text, their columns aligned, for terminals.

use std::fmt::Write as _;

use super::text::visible;

/// Where the texts of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At its end: numbers.
    Right,
    /// At its start: names.
    Left,
}

/// A table in the making. What is put in is made [`visible`].
#[derive(Debug, Clone)]
pub struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a head.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let head = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { align: columns.iter().map(|(_, align)| *align).collect(), rows: vec![head] }
    }

    /// Adds a row, of as many texts as there are columns.
    pub fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        let texts: Vec<String> =
            texts.into_iter().map(|text| visible(&text).into_owned()).collect();
        debug_assert_eq!(texts.len(), self.align.len(), "a text for each column");
        self.rows.push(texts);
    }

    /// The table as lines.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((text, align), &width) in row.iter().zip(&self.align).zip(&widths) {
                let space = " ".repeat(width - text.chars().count());
                // Writing to a text cannot fail.
                _ = match align {
                    Align::Right => write!(line, "{space}{text}  "),
                    Align::Left => write!(line, "{text}{space}  "),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_names_made_visible() {
        let mut table = Table::new(&[("value", Align::Right), ("name", Align::Left)]);
        table.row(["1.00 s".to_owned(), "größe".to_owned()]);
        table.row(["100.00 ms".to_owned(), "a\u{1b}[31m\n".to_owned()]);
        assert_eq!(table.text(), "    value  name\n   1.00 s  größe\n100.00 ms  a\\u{1b}[31m\\n\n");
    }
}
