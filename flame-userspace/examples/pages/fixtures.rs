//! Small profiles with everything in them that the viewer shows.

use flame::profile::{
    Builder, Function, Line, Location, LocationId, Mapping, MappingId, Profile, SampleType,
};

/// A name that is markup, ends scripts, turns text round, and more.
pub(crate) const EVIL: &str =
    "</script></title><img src=x onerror=alert(1)>\u{202e}\u{0}&amp;'\"--";

fn mapping(b: &mut Builder, path: &str) -> MappingId {
    let path = b.string(path);
    let build_id = b.string("1234567890abcdef1234");
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

/// A location of functions, innermost first, written `name@file`.
fn location(b: &mut Builder, mapping: MappingId, names: &[&str]) -> LocationId {
    let address = 0x1000 + names.iter().flat_map(|name| name.bytes()).map(u64::from).sum::<u64>();
    let lines = names.iter().zip(10..).map(|(name, line)| {
        let (name, file) = name.split_once('@').unwrap_or((name, "src/main.c"));
        let (name, file) = (b.string(name), b.string(file));
        let function = b.function(Function { name, system_name: name, file, start_line: 1 });
        Line { function, line, column: 0 }
    });
    let lines = lines.collect();
    b.location(Location { mapping: Some(mapping), address, lines })
}

/// A server of two processes with some threads; `scale` is how much longer `parse` takes, and a
/// newer one has another function in the place of one.
pub(crate) fn cpu(scale: f64, newer: bool) -> Profile {
    let types = vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")];
    let mut b = Builder::new(types, 1);
    let app = mapping(&mut b, "/usr/bin/server");
    let json = mapping(&mut b, "/usr/lib/libjson.so.1");
    let kernel = mapping(&mut b, "[kernel.kallsyms]");
    let serve = location(&mut b, app, &["server::serve<int>(int)@src/server.cc"]);
    let poll = location(&mut b, app, &["poll_once@src/poll.rs", "run@src/poll.rs"]);
    let parse = location(&mut b, json, &["json::parse(std::string const&)@json.cc"]);
    let skip = location(&mut b, json, &["skip_space@json.cc", "json::value(char)@json.cc"]);
    let value = location(&mut b, json, &["json::value(char)@json.cc"]);
    let write = location(&mut b, kernel, &["ksys_write@fs/read_write.c"]);
    let old = location(&mut b, app, &["format_old@src/format.c"]);
    let new = location(&mut b, app, &["format_new@src/format.c"]);
    let formatted = if newer { new } else { old };
    let more = |count: i64| (count as f64 * scale) as i64;
    let stacks = [
        (vec![serve, parse], more(900)),
        (vec![serve, parse, value], 300),
        (vec![serve, parse, value, value, skip], 450),
        (vec![serve, formatted], 250),
        (vec![serve, poll], 20),
        (vec![serve, poll, write], 380),
        (vec![poll, write], 60),
    ];
    for (comm, pid, thread, tid) in [
        ("server", 100, "worker-1", 101),
        ("server", 100, "worker-2", 102),
        ("helper", 200, "main", 200),
    ] {
        let labels = vec![
            b.text_label("comm", comm),
            b.number_label("pid", pid, ""),
            b.text_label("thread", thread),
            b.number_label("tid", tid, ""),
        ];
        let labels = b.label_set(labels);
        for (stack, count) in &stacks {
            let share = if comm == "helper" { count / 5 } else { *count };
            let stack = b.stack(stack.iter().copied());
            b.sample(stack, labels, &[share, share * 10_101_010]);
        }
    }
    b.period(SampleType::new("cpu", "nanoseconds"), 10_101_010);
    b.time(1_764_000_000_000_000_000, 30_000_000_000);
    b.comment("command: flame record -- server");
    b.finish()
}

/// A heap of four sample types.
pub(crate) fn heap() -> Profile {
    heap_of(8_000)
}

/// The same later: a cache holds more.
pub(crate) fn grown_heap() -> Profile {
    heap_of(9_000)
}

fn heap_of(cached: i64) -> Profile {
    let types = vec![
        SampleType::new("alloc_objects", "count"),
        SampleType::new("alloc_space", "bytes"),
        SampleType::new("inuse_objects", "count"),
        SampleType::new("inuse_space", "bytes"),
    ];
    let mut b = Builder::new(types, 3);
    let app = mapping(&mut b, "/usr/bin/server");
    let main = location(&mut b, app, &["main"]);
    let cache = location(&mut b, app, &["cache_put"]);
    let malloc = location(&mut b, app, &["xmalloc"]);
    let parse = location(&mut b, app, &["parse_request"]);
    let none = b.label_set(Vec::new());
    for (stack, values) in [
        (vec![main, cache, malloc], [9_000, 9_000 * 4096, cached, cached * 4096]),
        (vec![main, parse], [500_000, 500_000 * 64, 10, 640]),
        (vec![main], [10, 1 << 20, 10, 1 << 20]),
    ] {
        let stack = b.stack(stack);
        b.sample(stack, none, &values);
    }
    b.period(SampleType::new("space", "bytes"), 512 * 1024);
    b.finish()
}

/// Names that would like to be something else.
pub(crate) fn hostile() -> Profile {
    let mut b = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let module = mapping(&mut b, EVIL);
    let long = "long".repeat(2500);
    let names =
        [EVIL, "]]><!--", "\n\r\u{2028}", "${alert(1)}`", "=cmd|' /C calc'!A0", long.as_str()];
    let mut stack = Vec::new();
    for name in names {
        stack.push(location(&mut b, module, &[name]));
        let so_far = b.stack(stack.iter().copied());
        let label = b.text_label("comm", EVIL);
        let other = b.text_label("thread", name);
        let labels = b.label_set(vec![label, other]);
        b.sample(so_far, labels, &[10]);
    }
    b.comment(EVIL);
    b.finish()
}
