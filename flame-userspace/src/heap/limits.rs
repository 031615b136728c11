//! What a heap profile by an allocator's functions does not see of a process, what the user gets
//! instead, and how much of the process's memory the profile explains.

use std::fmt;
use std::path::Path;

use crate::process::Resident;

/// A language runtime with a heap of its own, whose allocations are no calls of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Runtime {
    V8,
    Jvm,
    DotNet,
    JavaScriptCore,
    Python,
    Php,
}

/// How the files of a runtime are called: the beginning of a file's name, whether of the program
/// alone.
const FILES: &[(&str, bool, Runtime)] = &[
    ("node", true, Runtime::V8),
    ("deno", true, Runtime::V8),
    ("electron", true, Runtime::V8),
    ("chrom", true, Runtime::V8),
    ("libnode.so", false, Runtime::V8),
    ("libv8", false, Runtime::V8),
    ("bun", true, Runtime::JavaScriptCore),
    ("libjavascriptcoregtk", false, Runtime::JavaScriptCore),
    ("libjvm.so", false, Runtime::Jvm),
    ("libcoreclr.so", false, Runtime::DotNet),
    ("python3", true, Runtime::Python),
    ("libpython3", false, Runtime::Python),
    ("php", true, Runtime::Php),
    ("libphp", false, Runtime::Php),
];

impl Runtime {
    /// The runtimes that a process has loaded, each once, by the files of its code; the first is
    /// the program.
    pub(crate) fn of_files<'a>(files: impl IntoIterator<Item = &'a Path>) -> Vec<Self> {
        let mut found = Vec::new();
        for (index, path) in files.into_iter().enumerate() {
            let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { continue };
            let is_it = |(begins, of_program, _): &&(&str, bool, Self)| {
                (index == 0 || !of_program) && name.starts_with(begins)
            };
            found.extend(FILES.iter().filter(is_it).map(|(_, _, runtime)| *runtime));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What is not seen of it, and where to see it: a sentence for the user. `grows` tells whether the
    /// profile has who made processes grow.
    pub(crate) fn message(self, grows: bool) -> String {
        let (lies, has, instead) = match self {
            Self::V8 => (
                "JavaScript's objects lie in V8's own heap, which no probe sees",
                "native memory (buffers, addons)",
                ". For objects: node --heap-prof",
            ),
            Self::Jvm => (
                "Java's objects lie in the JVM's own heap, which no probe sees",
                "native memory",
                ". For objects: jcmd PID JFR.start settings=profile",
            ),
            Self::DotNet => (
                "managed objects lie in .NET's own heap, which no probe sees",
                "native memory",
                ". For objects: dotnet-gcdump collect -p PID",
            ),
            Self::JavaScriptCore => (
                "JavaScript's objects lie in JavaScriptCore's own heap, which no probe sees",
                "native memory",
                "",
            ),
            Self::Python => (
                "Python takes objects of up to 512 bytes from arenas of its own",
                "larger ones, native memory",
                ". To see all: run it with PYTHONMALLOC=malloc",
            ),
            Self::Php => (
                "PHP takes its values from chunks of its own",
                "native memory",
                ". To see all: run it with USE_ZEND_ALLOC=0",
            ),
        };
        let grown = if grows { ", and the stacks that made the process grow" } else { "" };
        format!("{lies}; the profile has {has}{grown}{instead}")
    }
}

/// How much of a process's memory its profile explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Explained {
    /// What the profile says is in use, in bytes.
    pub(crate) in_use: u64,
    /// What was resident when the profile began: of that the profile cannot know. Absent for a
    /// process that began under the profile.
    pub(crate) before: Option<Resident>,
    /// What is resident now, or was when the process was last looked at.
    pub(crate) now: Resident,
}

impl Explained {
    /// The share of the resident anonymous memory, which is what an allocator gives, that the
    /// profile explains, in percent. Above 100 where what is in use was never touched.
    pub(crate) fn percent(self) -> f64 {
        self.in_use as f64 * 100.0 / self.now.anonymous.max(1) as f64
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_use, before, now } = *self;
        write!(
            out,
            "{} in use by the profile, {:.0} % of {} anonymous memory resident",
            Bytes(in_use),
            self.percent(),
            Bytes(now.anonymous),
        )?;
        if let Some(before) = before {
            write!(out, "; {} were there before it began", Bytes(before.anonymous))?;
        }
        write!(out, "; files and shared memory: {}", Bytes(now.file.saturating_add(now.shared)))
    }
}

/// A number of bytes, as people read it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let decimals = usize::from(unit > 0 && value < 100.0);
        write!(out, "{value:.decimals$} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Vec<Runtime> {
        Runtime::of_files(files.iter().map(Path::new))
    }

    #[test]
    fn runtimes_are_known_by_their_files() {
        assert_eq!(of(&["/usr/bin/node", "/lib/libc.so.6"]), [Runtime::V8]);
        assert_eq!(of(&["/usr/bin/java", "/usr/lib/jvm/lib/server/libjvm.so"]), [Runtime::Jvm]);
        assert_eq!(of(&["/opt/app", "/opt/libcoreclr.so"]), [Runtime::DotNet]);
        assert_eq!(of(&["/usr/bin/python3.11", "/lib/libpython3.11.so.1.0"]), [Runtime::Python]);
        assert_eq!(of(&["/usr/bin/redis-server", "/opt/node", "/lib/libc.so.6"]), []);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn every_runtime_that_can_be_found_says_what_is_not_seen() {
        for (_, _, runtime) in FILES {
            let [with, without] = [true, false].map(|grows| runtime.message(grows));
            assert!(with.contains("the profile has") && with.contains("grow"), "{with}");
            assert!(!without.contains("grow"), "{without}");
        }
    }

    #[test]
    fn what_is_explained_is_told_with_its_share() {
        let now = Resident { anonymous: 200 << 20, file: 10 << 20, shared: 1 << 20 };
        let explained = Explained { in_use: 50 << 20, before: None, now };
        assert_eq!(
            explained.to_string(),
            "50.0 MiB in use by the profile, 25 % of 200 MiB anonymous memory resident; files and shared memory: 11.0 MiB"
        );
        let before = Some(Resident { anonymous: 1500, ..Resident::default() });
        let text = Explained { before, ..explained }.to_string();
        assert!(text.contains("; 1.5 KiB were there before it began;"), "{text}");
        let nothing = Explained { in_use: 0, before: None, now: Resident::default() };
        assert!(nothing.percent() < 0.1);
    }
}
