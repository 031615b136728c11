//! A profile in which every inlined function is a location of its own, for readers that look at
//! one function of a location alone.

use super::{Builder, Label, Line, Location, LocationId, Profile, StackId};

/// `profile` with a location for each inlined function, at the address of the code that it was
/// inlined into. What is counted, and for whom, stays the same.
pub fn flat_inlines(profile: &Profile) -> Profile {
    let types = profile.sample_types().to_vec();
    let mut b = Builder::new(types, profile.default_sample_type());
    b.time(profile.time_ns(), profile.duration_ns());
    if let Some(period_type) = profile.period_type() {
        b.period(period_type.clone(), profile.period());
    }
    for comment in profile.comments() {
        b.comment(comment);
    }
    // In the order of the tables, so that every handle stays as it is.
    for text in profile.strings().iter() {
        b.string(text);
    }
    for mapping in profile.mappings() {
        let mut mapping = mapping.clone();
        mapping.has_inline_frames = false;
        b.mapping(mapping);
    }
    for function in profile.functions() {
        b.function(function.clone());
    }
    let mut locations: Vec<Vec<LocationId>> = Vec::with_capacity(profile.locations().len());
    for location in profile.locations() {
        let mut flat = |lines: Vec<Line>| b.location(Location { lines, ..location.clone() });
        locations.push(match location.lines.as_slice() {
            [] => vec![flat(Vec::new())],
            lines => lines.iter().rev().map(|&line| flat(vec![line])).collect(),
        });
    }
    let mut stacks: Vec<StackId> = Vec::with_capacity(profile.stacks().len());
    for node in profile.stacks() {
        let mut stack = node.parent.map(|parent| stacks[parent.index()]);
        for &location in &locations[node.location.index()] {
            stack = Some(b.push_frame(stack, location));
        }
        stacks.push(stack.expect("a location is at least one frame"));
    }
    let sets: Vec<Vec<Label>> = profile.label_sets().to_vec();
    let sets: Vec<_> = sets.into_iter().map(|set| b.label_set(set)).collect();
    for sample in profile.samples() {
        let stack = sample.stack.map(|stack| stacks[stack.index()]);
        b.sample(stack, sets[sample.labels.index()], sample.values);
    }
    b.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Function, Mapping, SampleType};

    #[test]
    fn inlined_functions_become_locations_in_their_order() {
        let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
        let [inner, outer] = ["inner", "outer"].map(|name| {
            let (name, file) = (b.string(name), b.string(""));
            b.function(Function { name, system_name: name, file, start_line: 0 })
        });
        let path = b.string("/bin/app");
        // Two mappings that differ in nothing but this flag become one.
        let mapping = |has_inline_frames| Mapping {
            start: 0,
            limit: 9,
            file_offset: 0,
            path,
            build_id: path,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames,
        };
        b.mapping(mapping(true));
        let line = |function| Line { function, line: 1, column: 0 };
        let lines = vec![line(inner), line(outer)];
        let location = b.location(Location { mapping: None, address: 7, lines });
        let none = b.label_set(Vec::new());
        let stack = b.stack([location]);
        b.sample(stack, none, &[5]);
        let flat = flat_inlines(&b.finish());
        let frames: Vec<_> = flat
            .frames(flat.samples().next().expect("one").stack)
            .map(|id| {
                let location = flat.location(id);
                assert_eq!((location.lines.len(), location.address), (1, 7));
                flat.string(flat.function(location.lines[0].function).name)
            })
            .collect();
        assert_eq!(frames, ["inner", "outer"], "the innermost first");
        assert_eq!(flat.total(0), 5);
        assert!(!flat.mappings()[0].has_inline_frames);
    }
}
