//! The string table: each text once.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashMap;

use super::StringId;

/// The longest text, in bytes: 64 KiB. The longest names of real code, of C++'s templates and
/// Rust's futures, come to it at most. A longer one is somebody's way to make a small file large.
pub const LONGEST_TEXT: usize = 64 << 10;
/// What stands at the end of a text that was cut.
const CUT: &str = "...";

/// Interned texts, none longer than [`LONGEST_TEXT`]. The empty text is always row 0, as pprof
/// wants it.
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

    /// The handle of `text`, which is added if it is not there yet. Where it is too long its start
    /// is.
    pub(crate) fn intern(&mut self, text: &str) -> StringId {
        let text = cut(text);
        if let Some(&id) = self.rows.get(&*text) {
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

/// `text` in at most [`LONGEST_TEXT`] bytes.
fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_TEXT {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(LONGEST_TEXT - CUT.len());
    Cow::Owned(format!("{}{CUT}", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_whole_up_to_the_limit_and_cut_at_a_character_past_it() {
        let mut table = StringTable::default();
        let longest = "n".repeat(LONGEST_TEXT);
        let id = table.intern(&longest);
        assert_eq!(table.get(id), longest);
        // Its characters have three bytes, of which one is left over.
        let id = table.intern(&"漢".repeat(LONGEST_TEXT));
        let cut = table.get(id);
        assert_eq!(cut.len(), LONGEST_TEXT - 1);
        assert!(cut.ends_with("漢..."));
        assert_eq!(table.intern(&"漢".repeat(LONGEST_TEXT + 1)), id, "their starts are the same");
    }

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
