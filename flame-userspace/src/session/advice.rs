//! What to do where names are missing.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::process;

/// What would give names to a file without symbols: a package where one is known, and in any
/// case the place where a debug file is looked for.
pub(super) fn for_file(path: &Path, build_id: Option<&[u8]>) -> String {
    let place = build_id.filter(|id| !id.is_empty()).map(process::debug_path);
    let package = debian_package(path);
    match (package, place) {
        (Some(package), Some(place)) => {
            format!(
                "install its debug symbols ({package}-dbgsym or {package}-dbg), or put a debug file at {place}"
            )
        }
        (Some(package), None) => {
            format!("install its debug symbols ({package}-dbgsym or {package}-dbg)")
        }
        (None, Some(place)) => {
            format!("keep its symbols (no strip), or put a debug file at {place}")
        }
        (None, None) => "keep its symbols (no strip)".to_owned(),
    }
}

/// What makes the runtime of a program tell the names of the code that it generates.
pub(super) fn for_generated_code(program: Option<&Path>) -> &'static str {
    let name = program.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
    match name {
        "node" | "nodejs" | "chromium" | "chrome" => {
            "start it as `node --perf-basic-prof` to get its JavaScript's names"
        }
        "java" => {
            "run `jcmd PID Compiler.perfmap` while flame records (JDK 17 and later), or start it \
             with -XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit"
        }
        name if name.starts_with("python") => {
            "start it as `python3 -X perf` (CPython 3.12 and later) to get its functions' names"
        }
        "dotnet" => "start it with DOTNET_PerfMapEnabled=1 to get its methods' names",
        _ => "its runtime's option that writes /tmp/perf-PID.map would give them",
    }
}

/// The Debian package that a file came with.
fn debian_package(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    // What is in /usr/lib may be listed as in /lib, and the other way around.
    let alias = path.strip_prefix("/usr").unwrap_or(path);
    for entry in fs::read_dir("/var/lib/dpkg/info").ok()?.flatten() {
        let list = entry.path();
        if list.extension().is_none_or(|extension| extension != "list") {
            continue;
        }
        let Ok(file) = File::open(&list) else { continue };
        let lists = |line: String| {
            line.strip_suffix(alias).is_some_and(|before| before.is_empty() || before == "/usr")
        };
        if BufReader::new(file).lines().map_while(Result::ok).any(lists) {
            let package = list.file_stem()?.to_str()?;
            return Some(package.split(':').next().unwrap_or(package).to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_place_of_the_debug_file() {
        let advice = for_file(Path::new("/no/such/file"), Some(&[0xab, 0xcd, 0xef]));
        assert!(advice.contains("/usr/lib/debug/.build-id/ab/cdef.debug"), "{advice}");
        assert!(for_generated_code(Some(Path::new("/usr/bin/node"))).contains("--perf-basic-prof"));
    }

    #[test]
    fn a_debian_file_is_traced_to_its_package() {
        if !Path::new("/var/lib/dpkg/info").exists() {
            println!("skipped: no dpkg on this machine");
            return;
        }
        let path = fs::canonicalize("/bin/dpkg").or_else(|_| fs::canonicalize("/usr/bin/dpkg"));
        assert_eq!(debian_package(&path.expect("dpkg's program")).as_deref(), Some("dpkg"));
    }
}
