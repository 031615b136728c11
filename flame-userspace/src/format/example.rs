//! Profiles that the tests of the writers share.

use crate::profile::{
    Builder, Function, FunctionId, Line, Location, LocationId, Mapping, MappingId, Profile,
    SampleType, StackId,
};

/// A builder of `samples` and `cpu`; viewers show `cpu` first.
pub(super) fn builder() -> Builder {
    let types = vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")];
    Builder::new(types, 1)
}

pub(super) fn mapping(b: &mut Builder, path: &str) -> MappingId {
    let path = b.string(path);
    let build_id = b.string("");
    b.mapping(Mapping {
        start: 0x1000,
        limit: 0x10_0000,
        file_offset: 0,
        path,
        build_id,
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    })
}

pub(super) fn function(b: &mut Builder, name: &str, file: &str) -> FunctionId {
    let name = b.string(name);
    let file = b.string(file);
    b.function(Function { name, system_name: name, file, start_line: 1 })
}

/// A location whose functions, innermost first, are those named, at line 10, 11, ...
pub(super) fn location(
    b: &mut Builder,
    mapping: Option<MappingId>,
    address: u64,
    names: &[&str],
) -> LocationId {
    let lines = names
        .iter()
        .zip(10..)
        .map(|(name, line)| Line { function: function(b, name, "src/app.c"), line, column: 0 })
        .collect();
    b.location(Location { mapping, address, lines })
}

/// Adds `count` samples of 1 ms each, of process `comm`.
pub(super) fn add(b: &mut Builder, comm: &str, stack: Option<StackId>, count: i64) {
    let comm = b.text_label("comm", comm);
    let labels = b.label_set(vec![comm]);
    b.sample(stack, labels, &[count, count * 1_000_000]);
}

/// Four call paths: inlined code, code without a symbol, the kernel.
pub(super) fn small() -> Profile {
    let mut b = builder();
    let app = mapping(&mut b, "/usr/bin/app");
    let libc = mapping(&mut b, "/lib/libc.so.6");
    let kernel = mapping(&mut b, "[kernel.kallsyms]");
    let main = location(&mut b, Some(app), 0x2000, &["main"]);
    let parse = location(&mut b, Some(app), 0x2100, &["parse"]);
    let helper = location(&mut b, Some(app), 0x2200, &["inlined_helper", "parse"]);
    let unknown = location(&mut b, Some(libc), 0x2234, &[]);
    let write = location(&mut b, Some(libc), 0x3000, &["write"]);
    let ksys = location(&mut b, Some(kernel), 0x4000, &["ksys_write"]);
    for (stack, count) in [
        (vec![main, parse], 30),
        (vec![main, helper], 5),
        (vec![main, unknown], 7),
        (vec![main, write, ksys], 8),
    ] {
        let stack = b.stack(stack);
        add(&mut b, "app", stack, count);
    }
    b.comment("command: flame record -- app");
    b.time(1_700_000_000_000_000_000, 2_000_000_000);
    b.finish()
}

/// One sample whose frames, outermost first, have these names, in a process of the last name.
pub(super) fn of_names(names: &[&str]) -> Profile {
    let mut b = builder();
    let last = names.last().copied().unwrap_or_default();
    let module = mapping(&mut b, last);
    let frames: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(name, address)| location(&mut b, Some(module), address, &[name]))
        .collect();
    let stack = b.stack(frames);
    add(&mut b, last, stack, 1);
    b.comment(last);
    b.finish()
}

/// A heap whose blocks all come by a function that only passes on: `kib` of a cache, 1 KiB else.
pub(super) fn heap(kib: i64) -> Profile {
    let types =
        vec![SampleType::new("inuse_objects", "count"), SampleType::new("inuse_space", "bytes")];
    let mut b = Builder::new(types, 1);
    let app = mapping(&mut b, "/usr/bin/app");
    let frames = ["main", "cache_put", "index_add", "xmalloc"];
    let [main, put, add, xmalloc] =
        [0, 1, 2, 3].map(|i| location(&mut b, Some(app), 0x2000 + i as u64, &[frames[i]]));
    let none = b.label_set(Vec::new());
    for (stack, kib) in [(vec![main, put, xmalloc], kib), (vec![main, add, xmalloc], 1)] {
        let stack = b.stack(stack);
        b.sample(stack, none, &[kib, kib * 1024]);
    }
    b.finish()
}

/// A difference of -30 ms: one function has 20 ms more, another 50 ms less.
pub(super) fn difference() -> Profile {
    let mut b = builder();
    let app = mapping(&mut b, "/usr/bin/app");
    for (name, address, count) in [("more", 0x2000, 20), ("less", 0x2100, -50)] {
        let frame = location(&mut b, Some(app), address, &[name]);
        let stack = b.stack([frame]);
        add(&mut b, "app", stack, count);
    }
    b.finish()
}

/// A profile in which nothing was sampled.
pub(super) fn empty() -> Profile {
    let mut b = builder();
    b.comment("lost: 3 <samples>");
    b.finish()
}

/// Three samples of which nothing is known.
pub(super) fn stackless() -> Profile {
    let mut b = builder();
    let none = b.label_set(Vec::new());
    b.sample(None, none, &[3, 3]);
    b.finish()
}

/// A profile grown at random from `seed`: shared callers, recursion, two processes, big values.
pub(super) fn random(seed: u64) -> Profile {
    let mut state = seed;
    let mut next = move |below: u64| {
        // SplitMix64: enough of a spread for tests, and the same on every machine.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    };
    let mut b = builder();
    let modules = ["/bin/a", "/lib/b.so", "[kernel.kallsyms]"].map(|path| mapping(&mut b, path));
    let functions: Vec<_> =
        (0..40).map(|i| function(&mut b, &format!("f{i}"), &format!("file{}.c", i % 5))).collect();
    for _ in 0..300 {
        let depth = next(12);
        let frames: Vec<_> = (0..depth)
            .map(|_| {
                let lines = (0..next(4))
                    .map(|_| Line {
                        function: functions[next(40) as usize],
                        line: next(5) as i64,
                        column: 0,
                    })
                    .collect();
                b.location(Location {
                    mapping: Some(modules[next(3) as usize]),
                    address: 0x1000 + next(30),
                    lines,
                })
            })
            .collect();
        let stack = b.stack(frames);
        let comm = b.text_label("comm", if next(2) == 0 { "one" } else { "two" });
        let labels = b.label_set(if next(5) == 0 { vec![] } else { vec![comm] });
        let values = [next(5) as i64, next(1 << 40) as i64];
        b.sample(stack, labels, &values);
    }
    b.finish()
}
