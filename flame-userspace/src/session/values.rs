//! The rows of a profile before it is put together: whose they are, and a value for each of its
//! sample types. There may be as many as samples, so that they lie in tables and not in a map.

use crate::aggregate::{Aggregate, Key};

/// Rows by process, thread and stack, so that the same session gives the same file.
#[derive(Debug)]
pub(super) struct Values<'a> {
    width: usize,
    keys: Vec<&'a Key>,
    /// Row after row, `width` values each.
    numbers: Vec<i64>,
}

impl<'a> Values<'a> {
    /// The rows of a profile of samples: their number and the sum of their values.
    pub(super) fn of_samples(sum: &'a Aggregate) -> Self {
        Self::new(2, sum.sums.iter().collect(), |_, &(count, value)| {
            [count as i64, i64::try_from(value).unwrap_or(i64::MAX)]
        })
    }

    /// Rows of `width` values, which `numbers` makes.
    ///
    /// # Panics
    /// If it makes more or fewer.
    pub(super) fn new<Row, Numbers: IntoIterator<Item = i64>>(
        width: usize,
        mut rows: Vec<(&'a Key, Row)>,
        numbers: impl Fn(&Key, Row) -> Numbers,
    ) -> Self {
        rows.sort_unstable_by(|(a, _), (b, _)| {
            (a.process, a.tid, &a.thread, a.stack).cmp(&(b.process, b.tid, &b.thread, b.stack))
        });
        let count = rows.len();
        let mut values = Self {
            width,
            keys: Vec::with_capacity(count),
            numbers: Vec::with_capacity(count * width),
        };
        for (key, row) in rows {
            values.keys.push(key);
            values.numbers.extend(numbers(key, row));
        }
        assert_eq!(values.numbers.len(), count * width, "each row has {width} values");
        values
    }

    /// Whose each row is.
    pub(super) fn keys(&self) -> &[&'a Key] {
        &self.keys
    }

    /// Each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'a Key, &[i64])> {
        self.keys.iter().copied().zip(self.numbers.chunks_exact(self.width))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::process::ProcessTable;

    #[test]
    fn rows_come_by_thread_and_stack_with_their_values() {
        let mut processes = ProcessTable::new(true, HashSet::new());
        let process = processes.of_sample(1 << 30, "p");
        let keys = [(2, None), (1, Some(7)), (1, Some(3))].map(|(tid, stack)| Key {
            process,
            tid,
            thread: "t".into(),
            stack,
            guesses: 0,
            cut: None,
        });
        let rows = keys.iter().zip([20, 17, 13]).collect();
        let values = Values::new(2, rows, |_, value| [value, -value]);
        let read: Vec<_> = values.rows().map(|(key, row)| (key.tid, row.to_vec())).collect();
        assert_eq!(read, [(1, vec![13, -13]), (1, vec![17, -17]), (2, vec![20, -20])]);
        assert_eq!(values.keys()[0].stack, Some(3));
    }
}
