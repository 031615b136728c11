//! The string table: each text once.

use std::sync::Arc;

use foldhash::HashMap;

use super::StringId;

/// Interned texts. The empty text is always row 0, as pprof wants it.
#[derive(Debug, Clone)]
pub struct StringTable {
    texts: Vec<Arc<str>>,
    rows: HashMap<Arc<str>, StringId>,
}

impl Default for StringTable {
    fn default() -> Self {
        let mut table = Self { texts: Vec::new(), rows: HashMap::default() };
        table.intern("");
        table
    }
}

impl StringTable {
    /// The handle of the empty text.
    pub fn empty(&self) -> StringId {
        StringId::new(0)
    }

    /// The handle of `text`, which is added if it is not there yet.
    pub(crate) fn intern(&mut self, text: &str) -> StringId {
        if let Some(&id) = self.rows.get(text) {
            return id;
        }
        let id = StringId::new(self.texts.len());
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.rows.insert(text, id);
        id
    }

    /// The text behind a handle.
    pub fn get(&self, id: StringId) -> &str {
        &self.texts[id.index()]
    }

    /// All texts in the order of their handles.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_text_is_row_zero_and_a_text_is_stored_once() {
        let mut table = StringTable::default();
        assert_eq!(table.intern(""), table.empty());
        let a = table.intern("a");
        assert_eq!(table.intern("a"), a);
        assert_eq!(table.get(a), "a");
        assert_eq!(table.iter().collect::<Vec<_>>(), ["", "a"]);
    }
}
