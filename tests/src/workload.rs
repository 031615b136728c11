//! Programs with known answers, compiled when a test wants them.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags of a C or C++ program whose stacks can be walked by frame pointers.
pub const WITH_FRAMES: &[&str] =
    &["-O2", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"];

/// A compiled program.
#[derive(Debug, Clone)]
pub struct Workload {
    program: PathBuf,
    source: PathBuf,
}

impl Workload {
    /// A C program of `workloads/c`, with frame pointers and debug information.
    pub fn c(name: &str) -> Self {
        Self::c_with(name, WITH_FRAMES)
    }

    /// A C program with these flags.
    pub fn c_with(name: &str, flags: &[&str]) -> Self {
        let source = sources().join("c").join(format!("{name}.c"));
        Self::compile("gcc", &source, flags, &["-pthread", "-ldl"])
    }

    /// A library of `workloads/c`, for programs to load.
    pub fn library(name: &str) -> Self {
        Self::c_with(name, &[WITH_FRAMES, &["-shared", "-fPIC"]].concat())
    }

    /// A C program of `workloads/c`, static with musl. It loads no plugins.
    pub fn musl(name: &str) -> Self {
        let source = sources().join("c").join(format!("{name}.c"));
        let flags = [WITH_FRAMES, &["-static", "-DNO_PLUGIN"]].concat();
        Self::compile("musl-gcc", &source, &flags, &["-pthread"])
    }

    /// A C++ program of `workloads/cpp`, with frame pointers and debug information.
    pub fn cpp(name: &str) -> Self {
        let include = format!("-I{}", sources().join("c").display());
        let flags = [WITH_FRAMES, &[&include]].concat();
        Self::compile("g++", &sources().join("cpp").join(format!("{name}.cc")), &flags, &[])
    }

    /// A Rust program of `workloads/rust`, with frame pointers and debug information.
    pub fn rust(name: &str) -> Self {
        let flags = ["-Copt-level=2", "-g", "-Cforce-frame-pointers=yes", "--edition=2024"];
        Self::compile("rustc", &sources().join("rust").join(format!("{name}.rs")), &flags, &[])
    }

    /// A Go program of `workloads/go`, built with these flags.
    pub fn go_with(name: &str, flags: &[&str]) -> Self {
        let source = sources().join("go").join(format!("{name}.go"));
        Self::compile("go", &source, &[&["build"], flags].concat(), &[])
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its path as text.
    pub fn path(&self) -> &str {
        self.program.to_str().expect("paths of the tests are texts")
    }

    /// Its name as the kernel keeps it.
    pub fn comm(&self) -> String {
        let name = self.program.file_name().expect("a program has a name").to_string_lossy();
        name.chars().take(15).collect()
    }

    /// A command that runs it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }

    /// The line of its source that is marked `mark: NAME`.
    pub fn marked_line(&self, name: &str) -> i64 {
        let text = fs::read_to_string(&self.source).expect("read the source");
        let mark = format!("mark: {name} ");
        let line = text.lines().position(|line| line.contains(&mark));
        line.unwrap_or_else(|| panic!("{} marks {name}", self.source.display())) as i64 + 1
    }

    /// Compiles a program, unless that was done before with the same source and flags.
    fn compile(compiler: &str, source: &Path, flags: &[&str], libraries: &[&str]) -> Self {
        let header = ["c/known.h", "c/heap.h"]
            .map(|name| fs::read(sources().join(name)).expect("read a header"));
        let text = fs::read(source).unwrap_or_else(|e| panic!("read {}: {e}", source.display()));
        let mut hasher = DefaultHasher::new();
        (compiler, flags, libraries, &text, header).hash(&mut hasher);
        let language = source.extension().expect("a source's ending").to_string_lossy();
        let stem = source.file_stem().expect("a source's name").to_string_lossy();
        let folder = target().join(format!("workloads/{language}-{:016x}", hasher.finish()));
        let program = folder.join(&*stem);
        if !program.exists() {
            fs::create_dir_all(&folder).expect("make the folder of workloads");
            let fresh = folder.join(format!("{stem}.{}", std::process::id()));
            let mut command = Command::new(compiler);
            command.args(flags).arg("-o").arg(&fresh).arg(source).args(libraries);
            let output = command.output();
            let output = output.unwrap_or_else(|e| panic!("run {compiler}, which is wanted: {e}"));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {said}");
            fs::rename(&fresh, &program).expect("name the program");
        }
        Self { program, source: source.to_owned() }
    }
}

/// What a workload told of itself.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// CPU time by function, in nanoseconds.
    pub functions: BTreeMap<String, u64>,
    /// CPU time by the kernel's account, in nanoseconds; 0 if it was not told.
    pub cpu_ns: u64,
}

impl Known {
    /// Reads it from what the workload printed.
    pub fn read(printed: &str) -> Self {
        let mut known = Self::default();
        for line in printed.lines() {
            let Some(rest) = line.strip_prefix("known ") else { continue };
            let (name, ns) = rest.rsplit_once(' ').expect("a name and a number");
            let ns = ns.trim().parse().expect("nanoseconds");
            match name {
                "cpu" => known.cpu_ns = ns,
                _ => _ = known.functions.insert(name.to_owned(), ns),
            }
        }
        assert!(!known.functions.is_empty(), "the workload told nothing: {printed:?}");
        known
    }

    /// A function's share of the CPU time, in percent.
    pub fn share(&self, function: &str) -> f64 {
        self.functions[function] as f64 * 100.0 / self.cpu_ns as f64
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

/// The folder of what this profile builds: the test's own program lies in its `deps`.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().expect("the test's own path");
    let folder = own.ancestors().nth(2).expect("a test lies two folders deep");
    folder.to_owned()
}
