//! One hash over everything in the tree that decides the object's bytes: the sources of
//! flame-ebpf and flame-common, how the workspace builds them, and the locked versions of what
//! flame-ebpf depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Folders and files, from the workspace's root.
const SOURCES: [&str; 4] =
    ["flame-ebpf/Cargo.toml", "flame-ebpf/src", "flame-common/Cargo.toml", "flame-common/src"];

/// The parts of the root's Cargo.toml that reach the object. The version does: cargo puts a hash
/// of it into symbol names.
const SECTIONS: [&str; 3] = ["workspace.package", "profile.release", "profile.bpf"];

/// The package whose dependencies are hashed, and the one whose are not: flame-common depends on
/// nothing when it is built for the kernel.
const PROGRAMS: &str = "flame-ebpf";
const SHARED: &str = "flame-common";

/// The hash of the sources under a workspace's root.
pub(crate) fn hash(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    let mut named = BTreeMap::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(root).context("name a source by its place in the tree")?;
        named.insert(name.to_string_lossy().into_owned(), bytes);
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("read Cargo.toml")?;
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("read Cargo.lock")?;
    named.insert("Cargo.toml".to_owned(), sections(&manifest).into_bytes());
    named.insert("Cargo.lock".to_owned(), locked(&lock).into_bytes());
    Ok(sha256(&framed(&named)))
}

/// A sha256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes what is written to it");
        hex
    })
}

/// Names and contents with their lengths, so that no two trees give the same bytes.
fn framed(named: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, bytes) in named {
        all.extend(format!("{name} {}\n", bytes.len()).into_bytes());
        all.extend(bytes);
    }
    all
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

/// The lines of a manifest that lie in `SECTIONS`, without comments.
fn sections(manifest: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = SECTIONS.contains(&name);
        }
        if inside && !line.is_empty() && !line.starts_with('#') {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Name, version and checksum of each package that the programs depend on, however far. A lock
/// file names a dependency `name`, or `name version` where there are several.
fn locked(lock: &str) -> String {
    let packages: Vec<Package<'_>> =
        lock.split("[[package]]").skip(1).map(Package::parse).collect();
    let mut wanted = vec![PROGRAMS];
    let mut seen = BTreeSet::new();
    let mut lines = BTreeSet::new();
    while let Some(dependency) = wanted.pop() {
        if !seen.insert(dependency) {
            continue;
        }
        let (name, version) = dependency.split_once(' ').unwrap_or((dependency, ""));
        let of_that_name = packages.iter().filter(|package| {
            package.name == name && (version.is_empty() || package.version == version)
        });
        for package in of_that_name {
            lines.insert(format!("{name} {} {}\n", package.version, package.checksum));
            if name != SHARED {
                wanted.extend(&package.dependencies);
            }
        }
    }
    lines.into_iter().collect()
}

/// One package of a lock file.
#[derive(Default)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    checksum: &'a str,
    dependencies: Vec<&'a str>,
}

impl<'a> Package<'a> {
    fn parse(text: &'a str) -> Self {
        let mut package = Self::default();
        for line in text.lines().map(str::trim) {
            if let Some((key, value)) = line.split_once(" = ") {
                let value = value.trim_matches('"');
                match key {
                    "name" => package.name = value,
                    "version" => package.version = value,
                    "checksum" => package.checksum = value,
                    _ => {}
                }
            } else if let Some(dependency) = line.strip_suffix(',') {
                package.dependencies.push(dependency.trim_matches('"'));
            }
        }
        package
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace.package]\nversion = \"0.1.0\"\n# why\n[profile.bpf]\nlto = true\n[profile.dev]\nx = 1\n";
    const LOCK: &str = r#"
[[package]]
name = "aya-ebpf"
version = "0.2.1"
checksum = "c0ffee"
dependencies = [
 "bindings 0.2.0",
]

[[package]]
name = "bindings"
version = "0.2.0"

[[package]]
name = "bindings"
version = "0.9.0"

[[package]]
name = "flame-common"
version = "0.1.0"
dependencies = [
 "tokio",
]

[[package]]
name = "flame-ebpf"
version = "0.1.0"
dependencies = [
 "aya-ebpf",
 "flame-common",
]

[[package]]
name = "tokio"
version = "1.0.0"
"#;

    /// A tree with these sources, in a folder of its own, and its hash.
    fn hash_of(name: &str, change: impl Fn(&Path)) -> Result<String> {
        let root = std::env::temp_dir().join(format!("flame-{name}-{}", std::process::id()));
        for folder in ["flame-ebpf/src/programs", "flame-common/src"] {
            fs::create_dir_all(root.join(folder))?;
        }
        for (file, text) in [
            ("Cargo.toml", MANIFEST),
            ("Cargo.lock", LOCK),
            ("flame-ebpf/Cargo.toml", "e"),
            ("flame-ebpf/src/main.rs", "main"),
            ("flame-ebpf/src/programs/cpu.rs", "cpu"),
            ("flame-common/Cargo.toml", "c"),
            ("flame-common/src/lib.rs", "lib"),
            ("README.md", "not a source"),
        ] {
            fs::write(root.join(file), text)?;
        }
        change(&root);
        let hash = hash(&root);
        fs::remove_dir_all(&root)?;
        hash
    }

    fn replace(root: &Path, file: &str, text: &str) {
        fs::write(root.join(file), text).expect("the folder was made for this test");
    }

    #[test]
    fn the_hash_is_the_same_wherever_the_tree_lies() -> Result<()> {
        assert_eq!(hash_of("hash-here", |_| ())?, hash_of("hash-elsewhere", |_| ())?);
        Ok(())
    }

    #[test]
    fn the_hash_of_a_known_text_is_sha256() {
        assert_eq!(sha256(b"")[..16], *"e3b0c44298fc1c14");
    }

    #[test]
    fn each_source_changes_the_hash_and_nothing_else_does() -> Result<()> {
        let before = hash_of("hash-base", |_| ())?;
        let lock = |from: &str, to: &str| LOCK.replace(from, to);
        let changes = [
            ("flame-ebpf/src/main.rs", "other".to_owned(), true),
            ("flame-ebpf/src/programs/cpu.rs", "other".to_owned(), true),
            ("flame-ebpf/src/programs/new.rs", String::new(), true),
            ("flame-common/src/lib.rs", "other".to_owned(), true),
            ("flame-ebpf/Cargo.toml", "other".to_owned(), true),
            ("flame-common/Cargo.toml", "other".to_owned(), true),
            ("Cargo.toml", MANIFEST.replace("lto = true", "lto = false"), true),
            ("Cargo.toml", MANIFEST.replace("# why", "# because"), false),
            ("Cargo.toml", MANIFEST.replace("x = 1", "x = 2"), false),
            ("Cargo.lock", lock("c0ffee", "decaf"), true),
            ("Cargo.lock", lock("\"0.2.0\"", "\"0.2.7\""), true),
            ("Cargo.lock", lock("\"0.9.0\"", "\"0.9.1\""), false),
            ("Cargo.lock", lock("\"1.0.0\"", "\"1.0.1\""), false),
            ("README.md", "other".to_owned(), false),
        ];
        for (file, text, matters) in changes {
            let after = hash_of("hash-changed", |root| replace(root, file, &text))?;
            assert_eq!(after != before, matters, "{file} with {text}");
        }
        Ok(())
    }
}
