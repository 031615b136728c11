//! A folder with profiles, and the binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use flame::format::pprof;
use flame::profile::{
    Builder, Function, Line, Location, LocationId, Mapping, MappingId, Profile, SampleType,
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of one test; removed at its end.
pub(crate) struct Bench {
    folder: PathBuf,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("commands-{}-{number}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("make the test's folder");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn save(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("write into the test's folder");
    }

    pub(crate) fn save_profile(&self, name: &str, profile: &Profile) {
        let mut bytes = Vec::new();
        pprof::write(profile, &mut bytes).expect("a Vec takes every write");
        self.save(name, &bytes);
    }

    pub(crate) fn text(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).expect("the folder").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs flame in the folder.
    pub(crate) fn flame(&self, arguments: &[&str]) -> Ran {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_flame"))
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("SUDO_UID")
            .output()
            .expect("flame was built with the tests");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        Ran {
            code: status.code().unwrap_or_else(|| panic!("{arguments:?} was killed: {status}")),
            stdout: String::from_utf8(stdout).expect("flame prints UTF-8"),
            stderr,
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What cannot be removed lies in cargo's own folder.
        _ = std::fs::remove_dir_all(Path::new(&self.folder));
    }
}

/// What flame did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts an exit status.
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A CPU profile in the making: `samples` and `cpu`, a millisecond a sample.
pub(crate) struct Cpu {
    pub(crate) builder: Builder,
    app: MappingId,
    libc: MappingId,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        let types = [("samples", "count"), ("cpu", "nanoseconds")];
        let types = types.map(|(kind, unit)| SampleType::new(kind, unit)).to_vec();
        let mut builder = Builder::new(types, 1);
        builder.period(SampleType::new("cpu", "nanoseconds"), 1_000_000);
        builder.time(1_791_547_200_000_000_000, 10_000_000_000);
        let app = mapping(&mut builder, 0x40_0000, "/opt/app");
        let libc = mapping(&mut builder, 0x7f00_0000, "/lib/libc.so.6");
        Self { builder, app, libc }
    }

    /// Adds `count` samples of a stack, the outermost function first. Functions whose names begin
    /// with `libc_` lie in libc.
    pub(crate) fn add(&mut self, stack: &[&str], count: i64) -> &mut Self {
        let frames: Vec<LocationId> = stack.iter().map(|name| self.frame(name)).collect();
        let stack = self.builder.stack(frames);
        let labels =
            vec![self.builder.number_label("pid", 7, ""), self.builder.text_label("comm", "app")];
        let labels = self.builder.label_set(labels);
        self.builder.sample(stack, labels, &[count, count * 1_000_000]);
        self
    }

    fn frame(&mut self, name: &str) -> LocationId {
        let mapping = if name.starts_with("libc_") { self.libc } else { self.app };
        let (name, file) = (self.builder.string(name), self.builder.string("/src/app.c"));
        let row = Function { name, system_name: name, file, start_line: 1 };
        let function = self.builder.function(row);
        let address = 0x40_1000 + function.index() as u64;
        let lines = vec![Line { function, line: 5, column: 0 }];
        self.builder.location(Location { mapping: Some(mapping), address, lines })
    }

    pub(crate) fn finish(&mut self) -> Profile {
        std::mem::take(&mut self.builder).finish()
    }
}

/// What is in use of a heap: so many KiB by each stack, the outermost function first, in blocks of
/// one.
pub(crate) fn heap(stacks: &[(&[&str], i64)]) -> Profile {
    let types = [("inuse_objects", "count"), ("inuse_space", "bytes")];
    let types = types.map(|(kind, unit)| SampleType::new(kind, unit)).to_vec();
    let mut builder = Builder::new(types, 1);
    let app = mapping(&mut builder, 0x40_0000, "/opt/app");
    let libc = mapping(&mut builder, 0x7f00_0000, "/lib/libc.so.6");
    let mut heap = Cpu { builder, app, libc };
    for (stack, kib) in stacks {
        let frames: Vec<LocationId> = stack.iter().map(|name| heap.frame(name)).collect();
        let (stack, none) = (heap.builder.stack(frames), heap.builder.label_set(Vec::new()));
        heap.builder.sample(stack, none, &[*kib, kib << 10]);
    }
    heap.finish()
}

fn mapping(builder: &mut Builder, start: u64, path: &str) -> MappingId {
    let mapping = Mapping {
        start,
        limit: start + 0x10_0000,
        file_offset: 0,
        path: builder.string(path),
        build_id: builder.string("c0ffee"),
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    };
    builder.mapping(mapping)
}

/// The rows of `go tool pprof -top`, their spaces made single.
pub(crate) fn go_top(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("go")
        .args(["tool", "pprof", "-top", "-nodecount=0", "-nodefraction=0", "-symbolize=none"])
        .args(arguments)
        .output()
        .expect("`go` ran before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().skip_while(|line| !line.contains("flat%")).skip(1);
    rows.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
