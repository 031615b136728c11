//! The real programs that are profiled, each with a fixed amount of work. To add one: a row in
//! `PROGRAMS` and, where it needs input, a file that is made here.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::process::Process;
use crate::{command, workspace};

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Compile,
    CompileCpp,
    Query,
    Hash,
    Render,
    Interpret,
    Compress,
    Build,
    Serve,
    /// Runs for some seconds, on stacks that are known.
    Known,
}

/// A program and its work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    work: Work,
    /// Arguments for its version.
    version: &'static [&'static str],
}

/// Those that CPU profiles are measured on.
pub(super) const CPU: &[Program] = &[
    Program {
        name: "gcc",
        what: "compiles a file of generated C at -O2",
        work: Work::Compile,
        version: &["-dumpfullversion"],
    },
    Program {
        name: "sqlite3",
        what: "fills, sorts and joins tables in memory",
        work: Work::Query,
        version: &["--version"],
    },
    Program {
        name: "python3",
        what: "interprets a loop over lists and dictionaries",
        work: Work::Interpret,
        version: &["--version"],
    },
    Program {
        name: "gzip",
        what: "compresses generated text at -9",
        work: Work::Compress,
        version: &["--version"],
    },
    Program {
        name: "redis-server",
        what: "serves SET and GET to redis-benchmark",
        work: Work::Serve,
        version: &["--version"],
    },
];

/// Those that heap profiles are measured on: from some thousands to millions of allocations a
/// second.
pub(super) const HEAP: &[Program] = &[
    CPU[1],
    Program {
        name: "perl",
        what: "fills hashes with strings and sorts them",
        work: Work::Hash,
        version: &["-e", "print $^V"],
    },
    CPU[4],
    Program {
        name: "node",
        what: "makes buffers and drops them, its garbage collected by one thread",
        work: Work::Render,
        version: &["--version"],
    },
    Program {
        name: "g++",
        what: "cc1plus compiles generated C++ at -O2",
        work: Work::CompileCpp,
        version: &["-dumpfullversion"],
    },
    CPU[2],
    Program {
        name: "cargo",
        what: "builds a small crate; CPU and heap profiles of all its processes",
        work: Work::Build,
        version: &["--version"],
    },
];

/// A program with its input made, ready to run any number of times.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) program: Program,
    pub(super) version: String,
    words: Vec<String>,
    socket: PathBuf,
    requests: u32,
}

/// Those of the programs that are there and, if `only` names some, among them. The missing are
/// told. `scale` is the amount of work, 1 for one to two seconds of CPU time.
pub(super) fn prepare(
    programs: &[Program],
    folder: &Path,
    only: &[String],
    scale: f64,
) -> Result<Vec<Prepared>> {
    if let Some(unknown) = only.iter().find(|name| programs.iter().all(|p| p.name != **name)) {
        let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
        let names = names.join(", ");
        bail!("no program {unknown} here; there are {names}");
    }
    let mut ready = Vec::new();
    for &program in programs {
        if !only.is_empty() && !only.iter().any(|name| name == program.name) {
            continue;
        }
        let needs: &[&str] =
            if program.work == Work::Serve { &["redis-server", "redis-benchmark"] } else { &[] };
        let missing = needs.iter().chain([&program.name]).find(|name| find(name).is_none());
        if let Some(missing) = missing {
            eprintln!("{}: left out, there is no {missing} here", program.name);
            continue;
        }
        ready.push(Prepared::new(program, folder, scale)?);
    }
    Ok(ready)
}

/// The system's program of this name before a wrapper in a user's PATH, which is a script.
fn find(name: &str) -> Option<PathBuf> {
    let mut found = command::find_all(name);
    found.sort_by_key(|path| !path.starts_with("/usr/bin"));
    found.into_iter().next()
}

impl Prepared {
    fn new(program: Program, folder: &Path, scale: f64) -> Result<Self> {
        let mut path = match program.work {
            // A distribution's own may be too old for the crate.
            Work::Build => PathBuf::from(workspace::cargo()),
            _ => find(program.name).context("find the program again")?,
        };
        let said = command::output(Command::new(&path).args(program.version))?;
        let version = said.lines().next().unwrap_or("").to_owned();
        let amount = |full: u32| (f64::from(full) * scale) as u32;
        let socket = folder.join("redis.socket");
        let input = |name: &str, content: String| -> Result<String> {
            let file = folder.join(name);
            fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
            Ok(file.to_string_lossy().into_owned())
        };
        let arguments: Vec<String> = match program.work {
            Work::Compile => {
                let file = input("input.c", c_source(amount(260)))?;
                ["-O2", "-c", &file, "-o", "/dev/null"].map(str::to_owned).into()
            }
            Work::CompileCpp => {
                // The compiler proper, which its driver would start as a child.
                let proper = command::output(Command::new(&path).arg("-print-prog-name=cc1plus"))?;
                let file = input("input.cc", cpp_source(amount(8)))?;
                let preprocessed = folder.join("input.ii").to_string_lossy().into_owned();
                command::run(Command::new(&path).args(["-E", &file, "-o", &preprocessed]))?;
                path = proper.trim().into();
                ["-quiet", "-O2", &preprocessed, "-o", "/dev/null"].map(str::to_owned).into()
            }
            Work::Hash => vec!["-e".to_owned(), perl_hashes(amount(5_000_000))],
            // Collected by threads of its own, garbage takes twice as much CPU time in one run as
            // in the next.
            Work::Render => {
                let flag = "--single-threaded-gc".to_owned();
                vec![flag, "-e".to_owned(), node_buffers(amount(1_300_000))]
            }
            Work::Query => {
                let script = input("input.sql", sql_script(amount(1_200_000)))?;
                [":memory:", &format!(".read {script}")].map(str::to_owned).into()
            }
            Work::Interpret => vec!["-c".to_owned(), python_loop(amount(5_600_000))],
            Work::Compress => {
                let file = input("input.txt", text(amount(3_000_000)))?;
                ["-9", "-c", &file].map(str::to_owned).into()
            }
            Work::Build => {
                let sources = folder.join("crate/src");
                fs::create_dir_all(&sources).context("make a crate")?;
                // It lies below this workspace, and is none of its own.
                let manifest = "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n";
                let manifest = input("crate/Cargo.toml", manifest.to_owned())?;
                input("crate/src/lib.rs", rust_source(amount(60)))?;
                let target = folder.join("crate/target").to_string_lossy().into_owned();
                let script = "rm -rf \"$1\" && exec \"$0\" build --quiet --offline \
                              --manifest-path \"$2\" --target-dir \"$1\"";
                let program = path.to_string_lossy().into_owned();
                path = PathBuf::from("/bin/sh");
                ["-c", script, &program, &target, &manifest].map(str::to_owned).into()
            }
            Work::Known => bail!("it is prepared by itself"),
            Work::Serve => ["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]
                .into_iter()
                .map(str::to_owned)
                .chain([socket.to_string_lossy().into_owned()])
                .collect(),
        };
        let words = std::iter::once(path.to_string_lossy().into_owned()).chain(arguments).collect();
        Ok(Self { program, version, words, socket, requests: amount(100_000) })
    }

    /// The types of profile that are taken of it where its heap is looked at.
    pub(super) fn types(&self) -> &'static str {
        if self.has_children() { "cpu,heap" } else { "heap" }
    }

    /// Whether its work is done by children.
    pub(super) fn has_children(&self) -> bool {
        self.program.work == Work::Build
    }

    /// The library that it allocates by, if that is not libc.
    pub(super) fn allocator(&self) -> Option<&'static Path> {
        let jemalloc = Path::new("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
        // Debian's redis allocates by it.
        (self.is_server() && jemalloc.exists()).then_some(jemalloc)
    }

    /// The program at its gate, with variables of its environment set.
    pub(super) fn start_with(&self, environment: &[String]) -> Result<Process> {
        let words = [&["env".to_owned()], environment, &self.words].concat();
        Process::gated(&words, 1)
    }

    /// The program at its gate; so many `copies` of it, where it can be had more than once.
    pub(super) fn start(&self, copies: usize) -> Result<Process> {
        Process::gated(&self.words, if self.is_server() { 1 } else { copies })
    }

    /// Opens the gate and sees to it that the work is done; the time that it took. What waits for
    /// the program itself is the caller's.
    pub(super) fn drive(&self, process: &mut Process) -> Result<Option<Duration>> {
        process.release()?;
        if !self.is_server() {
            return Ok(None);
        }
        self.await_server()?;
        let start = Instant::now();
        let requests = self.requests.to_string();
        command::output(
            Command::new(find("redis-benchmark").context("find redis-benchmark")?)
                .arg("-s")
                .arg(&self.socket)
                .args(["-q", "-t", "set,get", "-c", "20", "-n", &requests]),
        )?;
        let took = start.elapsed();
        self.shut_down()?;
        Ok(Some(took))
    }

    /// Has the server end.
    pub(super) fn shut_down(&self) -> Result<()> {
        command::run(
            Command::new("redis-cli")
                .arg("-s")
                .arg(&self.socket)
                .args(["shutdown", "nosave"])
                .stdout(Stdio::null()),
        )
    }

    /// Where the server listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The workload of the end-to-end tests whose stacks are known, without frame pointers.
    pub(super) fn known_chain(folder: &Path, seconds: u32) -> Result<Self> {
        let program = Program {
            name: "known_chain",
            what: "calls, recursion 90 deep, alloca, a callback, a signal handler, a thread",
            work: Work::Known,
            version: &[],
        };
        let path = folder.join(program.name);
        let source = workspace::root().join("tests/workloads/c/known_chain.c");
        let flags = ["-O2", "-fomit-frame-pointer", "-pthread", "-o"];
        command::run(Command::new("gcc").args(flags).arg(&path).arg(source))?;
        let words = vec![path.to_string_lossy().into_owned(), seconds.to_string()];
        let version =
            format!("gcc {}", command::output(Command::new("gcc").arg("-dumpfullversion"))?);
        Ok(Self { program, version, words, socket: PathBuf::new(), requests: 0 })
    }

    /// Whether it is the workload of known stacks, whose work is a time and not an amount.
    pub(super) fn is_known_chain(&self) -> bool {
        self.program.work == Work::Known
    }

    /// What it is, in a line of a list.
    pub(super) fn described(&self) -> String {
        format!("- {}: {} ({})", self.program.name, self.program.what, self.version)
    }

    /// The command line.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn is_server(&self) -> bool {
        self.program.work == Work::Serve
    }

    /// Waits until the server answers.
    pub(super) fn await_server(&self) -> Result<()> {
        for _ in 0..500 {
            if UnixStream::connect(&self.socket).is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
        bail!("redis-server does not answer at {}", self.socket.display());
    }
}

/// Functions with loops, branches and calls, all different.
fn c_source(functions: u32) -> String {
    let mut source = String::from("typedef unsigned long word;\nstruct s { word a[16]; };\n");
    for n in 0..functions {
        let (shift, bound) = (n % 13 + 1, n % 29 + 3);
        _ = writeln!(
            source,
            "word f{n}(struct s *s, word x) {{\n  word y = x * {n}u + 1;\n  \
             for (word i = 0; i < {bound}; i++) {{\n    y ^= s->a[(y + i) & 15] >> {shift};\n    \
             switch (y % 7) {{ case 0: y += i; break; case 1: s->a[i & 15] = y; break; \
             case 3: y = y * 31 + {bound}; break; default: y -= x; }}\n    \
             for (word k = 0; k < 16; k++) s->a[k] += y >> (k & 7);\n  }}\n  return y{};\n}}",
            if n == 0 { String::new() } else { format!(" + f{}(s, y & x)", n - 1) },
        );
    }
    source
}

/// Classes that the standard library's containers are made of.
fn cpp_source(functions: u32) -> String {
    let mut source = String::from("#include <map>\n#include <string>\n#include <vector>\n");
    for n in 0..functions {
        _ = writeln!(
            source,
            "struct s{n} {{ int a[{}]; std::string b; bool operator<(const s{n} &o) const {{ \
             return b < o.b; }} }};\n\
             int f{n}(int x) {{ std::map<s{n}, std::vector<s{n}>> m; s{n} k{{}}; \
             m[k].push_back(k); return static_cast<int>(m.size()) + x; }}",
            n % 7 + 1,
        );
    }
    source
}

/// Structures with derived traits, generic code and tests of it.
fn rust_source(modules: u32) -> String {
    let mut source = String::new();
    for n in 0..modules {
        _ = writeln!(
            source,
            "pub mod m{n} {{\n  use std::collections::BTreeMap;\n  \
             #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]\n  \
             pub struct S {{ pub a: Vec<String>, pub b: [u32; {}], pub c: Option<Box<S>> }}\n  \
             pub fn f(all: &[S]) -> BTreeMap<String, Vec<S>> {{\n    \
             let mut map: BTreeMap<String, Vec<S>> = BTreeMap::new();\n    \
             for s in all {{ map.entry(format!(\"{{s:?}}\")).or_default().push(s.clone()); }}\n    \
             map.retain(|key, of| key.len() > of.len());\n    map\n  }}\n}}",
            n % 7 + 1,
        );
    }
    source
}

fn perl_hashes(rounds: u32) -> String {
    format!(
        "my %h; for my $i (1..{rounds}) {{ my $k = 'key' . ($i * 7919 % 20011); \
         $h{{$k}} .= \"value $i \"; delete $h{{$k}} if length($h{{$k}}) > 100; }} \
         print scalar(sort keys %h)"
    )
}

fn node_buffers(rounds: u32) -> String {
    format!(
        "const kept = []; for (let i = 0; i < {rounds}; i++) {{ \
         const b = Buffer.alloc(9000 + i % 5000); b.writeUInt32LE(i); \
         kept[i % 500] = b; }} console.log(kept.length)"
    )
}

fn sql_script(rows: u32) -> String {
    let few = rows / 4;
    format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, s TEXT);\n\
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})\n\
         INSERT INTO t SELECT i, (i * 7919) % 100003, printf('name %d', (i * 31) % 5003) FROM n;\n\
         CREATE INDEX tk ON t(k);\n\
         SELECT s, count(*), sum(k) FROM t GROUP BY s ORDER BY 3 DESC LIMIT 3;\n\
         SELECT count(*) FROM t a JOIN t b ON a.k = b.id WHERE a.id < {few} AND b.s LIKE '%7%';\n"
    )
}

fn python_loop(rounds: u32) -> String {
    format!(
        "def step(table, i):\n    key = i * 7919 % 1009\n    table[key] = table.get(key, 0) + i\n    \
         return len(str(key))\n\
         def run(rounds):\n    table, total, last = {{}}, 0, [0] * 64\n    \
         for i in range(rounds):\n        total += step(table, i)\n        \
         last[i & 63] = total ^ last[(i + 7) & 63]\n    return total\n\
         run({rounds})"
    )
}

/// Words in no order, from a small dictionary, always the same.
fn text(words: u32) -> String {
    let mut text = String::new();
    let mut state: u64 = 88_172_645_463_325_252;
    for n in 0..words {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        _ = write!(text, "{:x}", state % 9973);
        text.push(if n % 12 == 11 { '\n' } else { ' ' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_the_same_each_time() {
        assert_eq!(text(100), text(100));
        assert_eq!(c_source(3).matches("word f").count(), 3);
        assert_eq!(text(24).lines().count(), 2);
    }
}
