//! What is mapped where in a process: pieces of code by their first address.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::maps::is_anonymous;
use super::{ExecutableId, FileIdentity};

/// Code that is mapped somewhere, up to `end`.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) code: Code,
}

/// What code a mapping holds.
#[derive(Debug, Clone)]
pub(super) enum Code {
    File(ExecutableId),
    /// A file of a process that ran before flame: opened when a sample falls in it, so that a
    /// machine full of idle processes costs nothing.
    Unopened(Arc<Path>, FileIdentity),
    Vdso,
    /// Where the kernel lets functions return to whose return is probed.
    ReturnProbe,
    Generated,
}

/// What the path of a mapping says of its code; `None` for a file.
pub(super) fn classify(path: &Path) -> Option<Code> {
    let text = path.to_string_lossy();
    if text == "[vdso]" {
        Some(Code::Vdso)
    } else if text == "[uprobes]" {
        Some(Code::ReturnProbe)
    } else if is_anonymous(&text) || !text.starts_with('/') {
        Some(Code::Generated)
    } else {
        None
    }
}

/// Puts in a mapping, and cuts or removes those that it lies over.
pub(super) fn insert(mappings: &mut BTreeMap<u64, Mapping>, start: u64, new: Mapping) {
    if new.end <= start {
        return;
    }
    let over: Vec<u64> = mappings
        .range(..new.end)
        .rev()
        .take_while(|(_, old)| old.end > start)
        .map(|(&at, _)| at)
        .collect();
    for at in over {
        let old = mappings.remove(&at).expect("the key was just read");
        if at < start {
            mappings.insert(at, Mapping { end: start, ..old.clone() });
        }
        if old.end > new.end {
            let offset = old.offset.wrapping_add(new.end - at);
            mappings.insert(new.end, Mapping { offset, ..old });
        }
    }
    mappings.insert(start, new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_over_another_cuts_it() {
        let mapping = |end, offset| Mapping { end, offset, code: Code::Generated };
        let mut mappings = BTreeMap::new();
        insert(&mut mappings, 0x1000, mapping(0x9000, 0));
        insert(&mut mappings, 0x3000, mapping(0x5000, 0));
        let ranges: Vec<_> = mappings.iter().map(|(s, m)| (*s, m.end, m.offset)).collect();
        assert_eq!(ranges, [(0x1000, 0x3000, 0), (0x3000, 0x5000, 0), (0x5000, 0x9000, 0x4000)]);
        insert(&mut mappings, 0x0, mapping(0x10000, 0));
        assert_eq!(mappings.len(), 1);
    }
}
