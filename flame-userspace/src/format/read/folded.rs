//! Folded stacks: a line each, `outer;inner;leaf 17`, as the scripts for flamegraphs have them.
//! Their marks `_[k]` (kernel), `_[i]` (inlined) and `_[j]` (made by a JIT) are taken off the
//! names; those of the kernel lie in its module.

use std::collections::HashMap;

use super::{ReadError, is_skipped, lines, push, quoted};
use crate::profile::{
    Builder, Function, Line, Location, LocationId, Mapping, MappingId, Profile, SampleType,
};

const FORMAT: &str = "folded stacks";

/// Whether a line is that of a stack.
pub(super) fn is_stack(line: &str) -> bool {
    split(line).is_some()
}

/// The stack of a line and its value.
fn split(line: &str) -> Option<(&str, i64)> {
    let (stack, value) = line.trim_end().rsplit_once([' ', '\t'])?;
    Some((stack.trim_end(), value.parse().ok()?))
}

/// Reads folded stacks.
pub(super) fn read(text: &[u8]) -> Result<Profile, ReadError> {
    let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let none = b.label_set(Vec::new());
    let mut frames: HashMap<String, LocationId> = HashMap::new();
    let mut kernel = None;
    for (number, line) in lines(text).filter(|(_, line)| !is_skipped(line)) {
        let error = |found: String| ReadError::Text { format: FORMAT, line: number, found };
        let (stack, value) = split(&line).ok_or_else(|| {
            error(format!("expected a stack and a whole number, found {}", quoted(&line)))
        })?;
        let mut at = None;
        for name in stack.split(';') {
            let location = match frames.get(name) {
                Some(location) => *location,
                None => {
                    let location = frame(&mut b, name, &mut kernel);
                    frames.insert(name.to_owned(), location);
                    location
                }
            };
            at = Some(push(&mut b, at, location, error)?);
        }
        b.sample(at, none, &[value]);
    }
    b.comment("read from folded stacks");
    Ok(b.finish())
}

fn frame(b: &mut Builder, text: &str, kernel: &mut Option<MappingId>) -> LocationId {
    let (name, in_kernel) = match text.strip_suffix("_[k]") {
        Some(name) => (name, true),
        None => (["_[i]", "_[j]"].iter().find_map(|m| text.strip_suffix(m)).unwrap_or(text), false),
    };
    let name = if name.is_empty() { "[unknown]" } else { name };
    let (name, empty) = (b.string(name), b.string(""));
    let mapping = in_kernel.then(|| {
        *kernel.get_or_insert_with(|| {
            let path = b.string("[kernel.kallsyms]");
            b.mapping(Mapping {
                start: 0,
                limit: 0,
                file_offset: 0,
                path,
                build_id: empty,
                has_functions: true,
                has_filenames: false,
                has_line_numbers: false,
                has_inline_frames: false,
            })
        })
    });
    let row = Function { name, system_name: name, file: empty, start_line: 0 };
    let function = b.function(row);
    let lines = vec![Line { function, line: 0, column: 0 }];
    b.location(Location { mapping, address: 0, lines })
}
