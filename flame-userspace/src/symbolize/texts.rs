//! The texts of symbols, each once and of bounded length: thousands of addresses lie in the same
//! functions, and a damaged table of names is one name of any length.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::demangle::{LONGEST, demangle};

/// A text as it is kept: one that is longer than [`LONGEST`] is cut, and ends in dots.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    const DOTS: &str = "...";
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(LONGEST - DOTS.len())];
    Cow::Owned([kept, DOTS].concat())
}

/// Names and files that were met.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The names for people by the linker's.
    names: HashMap<Arc<str>, Arc<str>>,
    files: HashSet<Arc<str>>,
}

impl Texts {
    /// The name for people, demangled, and the linker's.
    pub(super) fn names(&mut self, linkers: &str) -> (Arc<str>, Arc<str>) {
        let linkers = cut(linkers);
        if let Some((system_name, name)) = self.names.get_key_value(&*linkers) {
            return (Arc::clone(name), Arc::clone(system_name));
        }
        let system_name: Arc<str> = Arc::from(&*linkers);
        let name = demangle(&linkers).map_or_else(|| Arc::clone(&system_name), Arc::from);
        self.names.insert(Arc::clone(&system_name), Arc::clone(&name));
        (name, system_name)
    }

    /// A source file's path.
    pub(super) fn file(&mut self, path: &str) -> Arc<str> {
        let path = cut(path);
        if let Some(known) = self.files.get(&*path) {
            return Arc::clone(known);
        }
        let file: Arc<str> = Arc::from(&*path);
        self.files.insert(Arc::clone(&file));
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_there_once() {
        let mut texts = Texts::default();
        let (name, system_name) = texts.names("_Z3fooi");
        assert_eq!((&*name, &*system_name), ("foo(int)", "_Z3fooi"));
        assert!(Arc::ptr_eq(&texts.names("_Z3fooi").0, &name));
        let (name, system_name) = texts.names("main");
        assert!(Arc::ptr_eq(&name, &system_name));
        assert!(Arc::ptr_eq(&texts.file("a.c"), &texts.file("a.c")));
    }

    #[test]
    fn a_text_of_any_length_is_cut_between_characters() {
        let longest = "n".repeat(LONGEST);
        assert_eq!(cut(&longest), longest);
        let mut texts = Texts::default();
        for (text, kept) in [("n", LONGEST - 3), ("\u{20ac}", (LONGEST - 3) / 3 * 3)] {
            let long = text.repeat(LONGEST + 1);
            let expected = format!("{}...", &long[..kept]);
            let (name, system_name) = texts.names(&long);
            assert!(*name == expected && *system_name == expected, "{}", name.len());
            assert!(*texts.file(&long) == expected);
            assert!(*super::super::Symbol::named(&long).name == expected);
        }
        // A mangled name that is cut stays as it is.
        let mangled = format!("_Z3foo{}", "i".repeat(LONGEST));
        assert!(texts.names(&mangled).0.starts_with("_Z3foo"));
    }
}
