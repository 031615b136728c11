//! Profiles from a seed, with everything in them that the format can hold.

use flame::profile::{
    Builder, Function, FunctionId, Label, LabelSetId, Line, Location, LocationId, Mapping,
    MappingId, Profile, SampleType,
};

/// Marsaglia's xorshift64: the same numbers everywhere for a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn coin(&mut self) -> bool {
        self.number() & 1 == 1
    }
}

const NAMES: &[&str] = &[
    "main",
    "std::vec::Vec<T>::push",
    "<module>",
    "operator()(int)",
    "[unknown]",
    "größe_☃",
    "a b;c\"d\\e\n",
    "_ZN3foo3barEv",
    "",
];

/// A profile of about `size` samples.
pub(crate) fn profile(seed: u64, size: usize) -> Profile {
    let mut random = Random::new(seed);
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
        SampleType::new("inuse_space", "bytes"),
        SampleType::new("odd", "furlongs"),
    ];
    let width = 1 + random.below(types.len());
    let default = random.below(width);
    let mut builder = Builder::new(types[..width].to_vec(), default);
    if random.coin() {
        builder.period(types[1].clone(), 10_101_010);
    }
    builder.time(1_791_547_200_000_000_000, 1 + random.below(1 << 40) as i64);
    for i in 0..random.below(4) {
        builder.comment(format!("comment {i} of {seed}"));
    }

    let mappings: Vec<MappingId> =
        (0..random.below(5)).map(|i| mapping(&mut builder, &mut random, i as u64)).collect();
    let functions: Vec<FunctionId> =
        (0..=random.below(30)).map(|i| function(&mut builder, &mut random, i)).collect();
    let locations: Vec<LocationId> = (0..=random.below(50))
        .map(|_| location(&mut builder, &mut random, &mappings, &functions))
        .collect();
    for _ in 0..random.below(size + 1) {
        let depth = random.below(20);
        let frames: Vec<LocationId> = (0..depth).map(|_| random.one_of(&locations)).collect();
        let stack = builder.stack(frames);
        let labels = labels(&mut builder, &mut random);
        let values: Vec<i64> = (0..width).map(|_| value(&mut random)).collect();
        builder.sample(stack, labels, &values);
    }
    builder.finish()
}

fn value(random: &mut Random) -> i64 {
    match random.below(8) {
        0 => 0,
        1 => -(random.below(1000) as i64),
        _ => random.below(1 << 33) as i64,
    }
}

fn mapping(builder: &mut Builder, random: &mut Random, i: u64) -> MappingId {
    let start = 0x40_0000 + (i << 32);
    let path = random.one_of(&["/usr/bin/app", "[kernel.kallsyms]", "//anon", "/lib/libc.so.6"]);
    let build_id = random.one_of(&["", "c0ffee0123456789"]);
    let kernel = path == "[kernel.kallsyms]";
    let mapping = Mapping {
        start: if kernel { 1 << 63 } else { start },
        limit: if kernel { u64::MAX } else { start + 0x1_0000 },
        file_offset: random.below(16) as u64 * 0x1000,
        path: builder.string(path),
        build_id: builder.string(build_id),
        has_functions: true,
        has_filenames: random.coin(),
        has_line_numbers: random.coin(),
        has_inline_frames: random.coin(),
    };
    builder.mapping(mapping)
}

fn function(builder: &mut Builder, random: &mut Random, i: usize) -> FunctionId {
    let name = random.one_of(NAMES);
    let system_name =
        if random.coin() || name.is_empty() { name.to_owned() } else { format!("_linker_{i}") };
    let file = random.one_of(&["", "/src/main.c", "a.rs"]);
    let function = Function {
        name: builder.string(name),
        system_name: builder.string(&system_name),
        file: builder.string(file),
        start_line: random.below(100) as i64,
    };
    builder.function(function)
}

fn location(
    builder: &mut Builder,
    random: &mut Random,
    mappings: &[MappingId],
    functions: &[FunctionId],
) -> LocationId {
    let lines = (0..random.below(4))
        .map(|_| Line {
            function: random.one_of(functions),
            line: random.below(1000) as i64,
            column: random.below(3) as i64,
        })
        .collect();
    let mapping = if mappings.is_empty() || random.below(5) == 0 {
        None
    } else {
        Some(random.one_of(mappings))
    };
    let address = if random.below(10) == 0 {
        random.number()
    } else {
        0x40_0000 + random.below(0x1_0000) as u64
    };
    builder.location(Location { mapping, address, lines })
}

fn labels(builder: &mut Builder, random: &mut Random) -> LabelSetId {
    let mut labels: Vec<Label> = Vec::new();
    if random.coin() {
        labels.push(builder.number_label("pid", random.below(3) as i64, ""));
    }
    if random.coin() {
        let comm = random.one_of(&["app", "größe", "kworker/0:1"]);
        labels.push(builder.text_label("comm", comm));
    }
    if random.below(4) == 0 {
        labels.push(builder.number_label("bytes", -(random.below(100) as i64), "bytes"));
    }
    builder.label_set(labels)
}
