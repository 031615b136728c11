//! The texts of symbols, each once: thousands of addresses lie in the same functions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::demangle::demangle;

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
        if let Some((system_name, name)) = self.names.get_key_value(linkers) {
            return (Arc::clone(name), Arc::clone(system_name));
        }
        let system_name: Arc<str> = Arc::from(linkers);
        let name = demangle(linkers).map_or_else(|| Arc::clone(&system_name), Arc::from);
        self.names.insert(Arc::clone(&system_name), Arc::clone(&name));
        (name, system_name)
    }

    /// A source file's path.
    pub(super) fn file(&mut self, path: &str) -> Arc<str> {
        if let Some(known) = self.files.get(path) {
            return Arc::clone(known);
        }
        let file: Arc<str> = Arc::from(path);
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
}
