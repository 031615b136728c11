//! What flame writes, read by `go tool pprof`: without a word on its stderr, and with the same
//! numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use flame::format::pprof;
use flame::profile::{
    Builder, Function, FunctionId, Line, Location, LocationId, Mapping, MappingId, Profile,
    SampleType,
};

use crate::description::samples;
use crate::{file, generator};

/// The `go` command, with a folder for the files of one test.
pub(crate) struct Go {
    command: PathBuf,
    folder: PathBuf,
    /// Whether it is older than Go 1.21.
    old: bool,
}

impl Go {
    /// Finds `go`; without it the caller has nothing to test, and this says so.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let command = ["go", "/usr/local/go/bin/go"].into_iter().find(|command| {
            let version = Command::new(command).arg("version").output();
            version.is_ok_and(|output| output.status.success())
        });
        let Some(command) = command else {
            eprintln!("skipped: {test} needs the `go` command, which is not here");
            return None;
        };
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        std::fs::create_dir_all(&folder).expect("make the test's folder");
        let version = Command::new(command).arg("version").output().expect("`go` ran before");
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        // "go version go1.26.8 linux/amd64"
        let minor = version
            .split("go1.")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok());
        let old = minor.is_some_and(|minor| minor < 21);
        Some(Self { command: command.into(), folder, old })
    }

    /// What this `go tool pprof` counts: before Go 1.21 it left out samples without a stack.
    fn totals(&self, profile: &Profile) -> Vec<i64> {
        if !self.old {
            return totals(profile);
        }
        let mut sums = vec![0; profile.sample_types().len()];
        for sample in profile.samples().filter(|sample| sample.stack.is_some()) {
            sums.iter_mut().zip(sample.values).for_each(|(sum, value)| *sum += value);
        }
        sums
    }

    /// A stack as this `go tool pprof` writes it: before Go 1.21 it lost columns.
    fn written(&self, stack: &str) -> String {
        if self.old { stack.replace(":7\"", ":0\"") } else { stack.to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn save(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("write into the test's folder");
        path.display().to_string()
    }

    /// Runs `go` in the test's folder, without the network.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.command)
            .args(arguments)
            .current_dir(&self.folder)
            .env("GOPROXY", "off")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "")
            .env("PPROF_BINARY_PATH", &self.folder)
            .env("PPROF_TMPDIR", &self.folder)
            .output()
            .expect("`go` ran before")
    }

    /// Runs `go tool pprof`, which must have nothing to say but its result.
    pub(crate) fn pprof(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["tool", "pprof"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Has `go tool pprof` write a profile, as it does with a line on stderr.
    pub(crate) fn convert(&self, arguments: &[&str], name: &str) -> Vec<u8> {
        let path = self.path(name);
        let output = format!("-output={}", path.display());
        let output = self.run(&[&["tool", "pprof", "-proto", &output], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        let expected = format!("Generating report in {}\n", path.display());
        assert_eq!(stderr, expected, "{arguments:?}");
        std::fs::read(path).expect("the file that `go tool pprof` wrote")
    }
}

/// The sum of each column in the output of `go tool pprof -raw`.
pub(crate) fn raw_totals(raw: &str) -> Vec<i64> {
    let mut lines = raw.lines().skip_while(|line| *line != "Samples:").skip(1);
    let width = lines.next().map_or(0, |types| types.split_whitespace().count());
    let mut totals = vec![0; width];
    for line in lines.take_while(|line| *line != "Locations") {
        let values = line.split(':').next().unwrap_or_default();
        let values: Result<Vec<i64>, _> = values.split_whitespace().map(str::parse).collect();
        // Lines of labels begin with a key.
        if let Ok(values) = values
            && values.len() == width
        {
            for (total, value) in totals.iter_mut().zip(values) {
                *total += value;
            }
        }
    }
    totals
}

pub(crate) fn totals(profile: &Profile) -> Vec<i64> {
    (0..profile.sample_types().len()).map(|column| profile.total(column)).collect()
}

/// All three reports, without a warning; returns `-top`.
fn all_reports(go: &Go, name: &str, profile: &Profile) -> String {
    let path = go.save(name, &file(profile));
    assert_eq!(raw_totals(&go.pprof(&["-raw", &path])), go.totals(profile), "{name}");
    go.pprof(&["-traces", &path]);
    go.pprof(&["-top", "-nodecount=0", "-nodefraction=0", &path])
}

/// A program's profile, with more samples for higher `heat`.
struct Program {
    builder: Builder,
    main: MappingId,
}

impl Program {
    fn new() -> Self {
        let types =
            vec![SampleType::new("samples", "count"), SampleType::new("cpu", "nanoseconds")];
        let mut builder = Builder::new(types, 0);
        builder.period(SampleType::new("cpu", "nanoseconds"), 10_101_010);
        builder.time(1_791_547_200_000_000_000, 10_000_000_000);
        builder.comment("flame record -- app");
        let main = mapping(&mut builder, 0x40_0000..0x50_0000, "/opt/app/bin/app", "c0ffee");
        Self { builder, main }
    }

    fn function(&mut self, name: &str, system_name: &str) -> FunctionId {
        let function = Function {
            name: self.builder.string(name),
            system_name: self.builder.string(system_name),
            file: self.builder.string("/src/app.rs"),
            start_line: 10,
        };
        self.builder.function(function)
    }

    /// A location in a mapping, of functions with their lines, innermost first.
    fn location(
        &mut self,
        mapping: Option<MappingId>,
        address: u64,
        lines: &[(FunctionId, i64)],
    ) -> LocationId {
        let lines = lines.iter().map(|&(function, line)| Line { function, line, column: 7 });
        let lines = lines.collect();
        self.builder.location(Location { mapping, address, lines })
    }

    fn sample(&mut self, pid: i64, stack: &[LocationId], count: i64) {
        let labels =
            vec![self.builder.number_label("pid", pid, ""), self.builder.text_label("comm", "app")];
        let labels = self.builder.label_set(labels);
        let stack = self.builder.stack(stack.iter().copied());
        self.builder.sample(stack, labels, &[count, count * 10]);
    }
}

fn mapping(
    builder: &mut Builder,
    range: std::ops::Range<u64>,
    path: &str,
    build_id: &str,
) -> MappingId {
    let mapping = Mapping {
        start: range.start,
        limit: range.end,
        file_offset: 0,
        path: builder.string(path),
        build_id: builder.string(build_id),
        has_functions: !path.is_empty(),
        has_filenames: !path.is_empty(),
        has_line_numbers: !path.is_empty(),
        has_inline_frames: !path.is_empty(),
    };
    builder.mapping(mapping)
}

/// A main binary with an inlined function, a library without symbols, and the kernel.
fn program(pid: i64) -> Profile {
    let mut p = Program::new();
    let library = mapping(&mut p.builder, 0x7f00_0000..0x7f10_0000, "/lib/libz.so.1", "beef");
    let kernel = mapping(&mut p.builder, 0xffff_8000_0000_0000..u64::MAX, "[kernel.kallsyms]", "");
    let [main, inner, outer, syscall] = ["main", "app::inner", "app::outer", "do_syscall_64"]
        .map(|name| p.function(name, &format!("_{name}")));
    let at_main = p.location(Some(p.main), 0x40_1000, &[(main, 12)]);
    let at_outer = p.location(Some(p.main), 0x40_2000, &[(inner, 33), (outer, 21)]);
    let at_library = p.location(Some(library), 0x7f00_4444, &[]);
    let at_kernel = p.location(Some(kernel), 0xffff_ffff_8100_0000, &[(syscall, 0)]);
    p.sample(pid, &[at_main, at_outer], 70);
    p.sample(pid, &[at_main, at_outer, at_library], 20);
    p.sample(pid, &[at_main, at_kernel], 10);
    p.sample(1, &[at_main], 1);
    p.builder.finish()
}

#[test]
fn a_program_is_shown_as_it_was_measured() {
    let Some(go) = Go::find("a_program_is_shown_as_it_was_measured") else {
        return;
    };
    let top = all_reports(&go, "program.pb", &program(7));
    assert!(top.contains("File: app\n"), "the main binary: {top}");
    assert!(top.contains("Build ID: c0ffee\n"), "{top}");
    assert!(top.contains("Type: samples\n"), "the default type: {top}");
    assert!(top.contains("of 101 total"), "{top}");
    let row = |name: &str| {
        let line = top.lines().find(|line| line.contains(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {top}"));
        line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((&row("inner")[0][..], &row("inner")[3][..]), ("70", "90"));
    assert_eq!((&row("outer")[0][..], &row("outer")[3][..]), ("0", "90"));
    assert_eq!(row("libz.so.1")[0], "20");

    let path = go.save("program.pb", &file(&program(7)));
    let comments = go.pprof(&["-comments", &path]);
    assert!(comments.contains("flame record -- app"), "{comments}");
    let tags = go.pprof(&["-tags", &path]);
    assert!(tags.contains("pid: ") && tags.contains("comm: "), "{tags}");
}

#[test]
fn random_profiles_are_read_without_a_warning() {
    let Some(go) = Go::find("random_profiles_are_read_without_a_warning") else {
        return;
    };
    for seed in 0..12 {
        all_reports(&go, &format!("{seed}.pb"), &generator::profile(seed, 60));
    }
}

#[test]
fn unusual_profiles_are_read_without_a_warning() {
    let Some(go) = Go::find("unusual_profiles_are_read_without_a_warning") else {
        return;
    };
    all_reports(&go, "no-samples.pb", &Program::new().builder.finish());

    let mut p = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let bare = p.location(Location { mapping: None, address: 0x1234, lines: Vec::new() });
    let none = p.label_set(Vec::new());
    let stack = p.stack(std::iter::repeat_n(bare, 20_000));
    p.sample(stack, none, &[3]);
    p.sample(None, none, &[4]);
    let top = all_reports(&go, "no-mappings.pb", &p.finish());
    assert!(top.contains("<unknown>"), "{top}");

    let mut p = Program::new();
    let nameless = mapping(&mut p.builder, 0x1000..0x2000, "", "c");
    let [module, generic] = ["<module>", "Vec<T>::push(int)"].map(|name| p.function(name, name));
    let empty = p.function("", "");
    let stack = [
        p.location(Some(nameless), 0x1001, &[(module, 1)]),
        p.location(Some(p.main), u64::MAX, &[(empty, 0)]),
        p.location(Some(nameless), 0x1002, &[(generic, 1)]),
        p.location(Some(nameless), 0x1003, &[]),
    ];
    p.sample(7, &stack, -1000);
    p.sample(7, &stack[..3], 10);
    p.sample(7, &stack[..2], 10);
    let top = all_reports(&go, "nameless.pb", &p.builder.finish());
    assert!(top.contains("<module>"), "{top}");
    assert!(top.contains("Vec<T>::push(int)"), "{top}");

    let mut builder = Builder::new(vec![SampleType::new("samples", "count")], 0);
    let nameless = mapping(&mut builder, 0x1000..0x2000, "", "");
    let at =
        builder.location(Location { mapping: Some(nameless), address: 0x1001, lines: Vec::new() });
    let none = builder.label_set(Vec::new());
    let stack = builder.stack([at]);
    builder.sample(stack, none, &[1]);
    all_reports(&go, "nameless-first.pb", &builder.finish());
}

#[test]
fn a_merge_by_go_tool_pprof_is_read_as_the_sum() {
    let Some(go) = Go::find("a_merge_by_go_tool_pprof_is_read_as_the_sum") else {
        return;
    };
    let profiles = [program(7), program(8)];
    let [a, b] = [("a.pb", &profiles[0]), ("b.pb", &profiles[1])]
        .map(|(name, profile)| go.save(name, &file(profile)));
    let merged = go.convert(&[&a, &b], "merged.pb");
    let merged = pprof::read(&merged).expect("a pprof file");
    let written =
        |profile| samples(profile).into_iter().map(|(stack, values)| (go.written(&stack), values));
    let mut sums: BTreeMap<String, Vec<i64>> = written(&profiles[0]).collect();
    for (stack, values) in written(&profiles[1]) {
        let sum = sums.entry(stack).or_insert_with(|| vec![0; values.len()]);
        sum.iter_mut().zip(values).for_each(|(s, v)| *s += v);
    }
    assert_eq!(samples(&merged), sums);
    assert_eq!(sums.len(), 7, "one stack is in both");
    assert_eq!(merged.comments(), profiles[0].comments());
    assert_eq!(merged.duration_ns(), 20_000_000_000);

    let none = go.convert(&["-base", &a, &a], "none.pb");
    let none = pprof::read(&none).expect("a pprof file");
    assert_eq!(totals(&none), [0, 0], "a profile less itself");
    let difference = go.convert(&["-base", &a, &b], "difference.pb");
    let difference = pprof::read(&difference).expect("a pprof file");
    assert!(difference.samples().any(|sample| sample.values[0] == -70));
    all_reports(&go, "difference-again.pb", &difference);
}
