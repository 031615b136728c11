//! Profiles of a wanted size: random walks over a made-up call graph, until the tree of their
//! calls has so many nodes.

use std::collections::HashSet;

use flame::profile::{
    Builder, Function, Line, Location, LocationId, Mapping, Profile, SampleType, StackId,
};

/// The most frames of a walk.
const DEEPEST: usize = 90;

/// `SplitMix64`: enough of a spread, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A profile whose call tree has `nodes` nodes: four sample types, eight threads, functions of
/// C++-like names in twenty modules.
pub(crate) fn profile(nodes: usize) -> Profile {
    let types = vec![
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
        SampleType::new("alloc_objects", "count"),
        SampleType::new("alloc_space", "bytes"),
    ];
    let mut b = Builder::new(types, 1);
    let mut random = Random(nodes as u64);
    let functions = (nodes / 25).clamp(150, 40_000) as u64;
    let locations: Vec<LocationId> = (0..functions).map(|at| function(&mut b, at)).collect();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let labels = vec![
                b.text_label("comm", "synthetic"),
                b.number_label("pid", 1, ""),
                b.text_label("thread", &format!("worker-{thread}")),
                b.number_label("tid", 2 + thread, ""),
            ];
            b.label_set(labels)
        })
        .collect();
    let mut seen: HashSet<StackId> = HashSet::new();
    while seen.len() < nodes {
        let depth = 6 + random.below(20) as usize + random.below(20) as usize;
        let depth = if random.below(200) == 0 { DEEPEST } else { depth };
        let mut at = random.below(3);
        let mut stack = None;
        for _ in 0..depth {
            let id = b.push_frame(stack, locations[at as usize]);
            stack = Some(id);
            if seen.insert(id) && seen.len() == nodes {
                break;
            }
            // A function calls few others, most often the first.
            let which = random.below(6).min(random.below(6)).min(random.below(6));
            at = (at * 7 + which * which * 131 + which + 1) % functions;
        }
        let samples = 1 + random.below(40) as i64;
        let objects = random.below(500) as i64;
        let thread = threads[random.below(8) as usize];
        b.sample(stack, thread, &[samples, samples * 10_101_010, objects, objects * 72]);
    }
    b.time(1_764_000_000_000_000_000, 60_000_000_000);
    b.finish()
}

fn function(b: &mut Builder, at: u64) -> LocationId {
    let module = at % 20;
    let path = b.string(&format!("/usr/lib/libmodule{module}.so"));
    let build_id = b.string(&format!("{module:040x}"));
    let mapping = b.mapping(Mapping {
        start: 0x10_0000 * (module + 1),
        limit: 0x10_0000 * (module + 2),
        file_offset: 0,
        path,
        build_id,
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    });
    let name = b.string(&format!("module{module}::Component{}::operation_{at}(int)", at % 211));
    let file = b.string(&format!("src/module{module}/component{}.cc", at % 211));
    let function = b.function(Function { name, system_name: name, file, start_line: 1 });
    let line = Line { function, line: 10 + at as i64 % 900, column: 0 };
    b.location(Location {
        mapping: Some(mapping),
        address: 0x10_0000 * (module + 1) + at,
        lines: vec![line],
    })
}
