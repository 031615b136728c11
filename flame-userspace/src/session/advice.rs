//! What to do where names are missing.

use std::fs;
use std::path::Path;

use crate::process;

/// What would give names to files without symbols, in their order: a package where one is known,
/// and in any case the place where a debug file is looked for.
pub(super) fn for_files(files: &[(&Path, Option<&[u8]>)]) -> Vec<String> {
    let paths: Vec<&Path> = files.iter().map(|(path, _)| *path).collect();
    let packages = debian_packages(&paths);
    let advice = files.iter().zip(packages).map(|((_, build_id), package)| {
        let place = build_id.filter(|id| !id.is_empty()).map(process::debug_path);
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
    });
    advice.collect()
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

/// Where dpkg lists the files of each package.
const LISTS: &str = "/var/lib/dpkg/info";

/// The Debian packages that files came with. The lists are many megabytes: each is read once.
fn debian_packages(paths: &[&Path]) -> Vec<Option<String>> {
    let mut packages = vec![None; paths.len()];
    // What is in /usr/lib may be listed as in /lib, and the other way around.
    let lines: Vec<Option<String>> = paths
        .iter()
        .map(|path| path.to_str())
        .map(|path| path.map(|path| format!("{}\n", path.strip_prefix("/usr").unwrap_or(path))))
        .collect();
    let mut wanted = lines.iter().flatten().count();
    let Ok(entries) = fs::read_dir(LISTS) else { return packages };
    for entry in entries.flatten() {
        if wanted == 0 {
            break;
        }
        let list = entry.path();
        if list.extension().is_none_or(|extension| extension != "list") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&list) else { continue };
        for (line, package) in lines.iter().zip(&mut packages) {
            if let Some(line) = line
                && package.is_none()
                && lists(&text, line)
            {
                let name = list.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
                *package = Some(name.split(':').next().unwrap_or(name).to_owned());
                wanted -= 1;
            }
        }
    }
    packages
}

/// Whether a list has a line, by itself or below /usr.
fn lists(text: &str, line: &str) -> bool {
    text.match_indices(line).any(|(at, _)| {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        matches!(&text[start..at], "" | "/usr")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_place_of_the_debug_file() {
        let advice = for_files(&[(Path::new("/no/such/file"), Some(&[0xab, 0xcd, 0xef]))]);
        let advice = &advice[0];
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
        let path = path.expect("dpkg's program");
        let found = debian_packages(&[Path::new("/no/such/file"), &path, &path]);
        assert_eq!(found, [None, Some("dpkg".to_owned()), Some("dpkg".to_owned())]);
    }

    #[test]
    fn a_list_is_asked_for_whole_lines() {
        let text = "/.\n/usr\n/usr/bin/dpkg\n/opt/bin/awk\n";
        assert!(lists(text, "/bin/dpkg\n") && lists(text, "/opt/bin/awk\n"));
        assert!(!lists(text, "/bin/awk\n") && !lists(text, "/bin/dp\n"));
    }
}
