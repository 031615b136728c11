//! The rules, as tables, and the check of those that need no more than lines.

use super::Violation;
use super::source::Source;

/// Longer files hold more than one idea.
pub(super) const MOST_LINES: usize = 500;

/// Each module of `flame-userspace/src` and the modules that it may use. `main` is the binary; the
/// library's root (lib.rs) may name all. A row for a part of a module adds to the module's.
pub(super) const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["session", "live", "analyze", "format", "profile", "symbolize", "error", "memory"]),
    // What this kernel and this user can do is asked where it is used.
    // What hostile bytes are fed to, for tests alone.
    ("fuzzing", &["analyze", "format", "process", "runtime", "unwind"]),
    ("measuring", &["unwind"]),
    ("cli::doctor", &["bpf", "process", "unwind"]),
    ("cli::privilege", &["bpf"]),
    ("live", &["session", "analyze", "profile"]),
    // The only module that knows all stages.
    (
        "session",
        &[
            "bpf",
            "process",
            "unwind",
            "runtime",
            "heap",
            "aggregate",
            "symbolize",
            "profile",
            "address",
            "error",
            "memory",
            "priority",
        ],
    ),
    ("bpf", &["unwind", "aggregate", "process", "address"]),
    ("aggregate", &["process", "profile", "address"]),
    ("heap", &["process", "aggregate", "address"]),
    ("symbolize", &["address", "priority", "process", "runtime", "profile", "memory"]),
    ("runtime", &["address", "process"]),
    ("unwind", &["address", "process"]),
    ("process", &["address"]),
    ("analyze", &["profile"]),
    ("format", &["profile", "analyze"]),
    ("profile", &[]),
    ("address", &[]),
    ("error", &[]),
    ("memory", &[]),
    ("priority", &[]),
];

/// Crates that one part alone may import, so that nobody else sees their types.
pub(super) const SINGLE_IMPORTERS: &[(&str, &[&str])] = &[
    ("aya", &["bpf"]),
    ("aya_log", &["bpf"]),
    ("aya_obj", &["bpf"]),
    ("blazesym", &["symbolize"]),
    ("gimli", &["unwind"]),
    ("iced_x86", &["heap", "unwind"]),
    ("prost", &["format::pprof", "format::otlp", "symbolize"]),
    ("fxprof_processed_profile", &["format::firefox"]),
    ("clap", &["cli"]),
    ("ratatui", &["live"]),
];

/// Where a word is looked for.
#[derive(Clone, Copy)]
enum Where {
    /// In every Rust file.
    Rust,
    /// In flame-userspace's sources, tests in them excepted.
    Userspace,
    /// As before, `cli` and `main` excepted: they alone face the terminal.
    BelowCli,
    /// In every text.
    Texts,
}

/// Words that may not stand in code, where, and why.
const WORDS: &[(&str, Where, &str)] = &[
    (concat!("todo", "!"), Where::Rust, "unfinished"),
    (concat!("dbg", "!"), Where::Rust, "a debugging aid that stayed"),
    (
        ".unwrap()",
        Where::Userspace,
        "a panic in flame loses a profile: say what is expected, or return an error",
    ),
    ("println!", Where::BelowCli, "nothing below `cli` prints"),
    ("eprintln!", Where::BelowCli, "nothing below `cli` prints"),
    ("process::exit", Where::BelowCli, "nothing below `cli` exits"),
    ("env::args", Where::BelowCli, "nothing below `cli` reads the command line"),
    ("env::var", Where::BelowCli, "nothing below `cli` reads the environment"),
    (concat!("/ho", "me/"), Where::Texts, "a path of one machine"),
    (concat!("/wo", "rk/"), Where::Texts, "a path of one machine"),
];

/// Checks everything but imports.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut say = |line: usize, message: String| {
        violations.push(Violation { path: source.path.clone(), line, message });
    };
    let lines = source.text.lines().count();
    if source.is_code() && lines > MOST_LINES {
        say(lines, format!("{lines} lines, more than {MOST_LINES}: split by idea"));
    }
    if source.is_rust() && !source.starts_with_module_docs() {
        say(1, "no `//!` that says what this module is".to_owned());
    }
    for (word, place, why) in WORDS {
        let Some(text) = text_for(source, *place) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if contains_word(line, word) {
                say(number + 1, format!("`{word}`: {why}"));
            }
        }
    }
    violations
}

/// What of a file a word is looked for in.
fn text_for(source: &Source, place: Where) -> Option<&str> {
    let module = source.module().and_then(|path| path.first().cloned());
    let below_cli = source.module().is_some() && !matches!(module.as_deref(), Some("cli" | "main"));
    match place {
        Where::Texts => Some(&source.text),
        Where::Rust => source.is_rust().then_some(&source.code),
        Where::Userspace => source.module().is_some().then_some(&source.code_without_tests),
        Where::BelowCli => below_cli.then_some(&source.code_without_tests),
    }
}

/// Whether a line has the word, and not as the end of a longer one: `/a/home/` is no home.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_-./~".contains(c);
    line.match_indices(word).any(|(at, _)| {
        word.starts_with('.') || !line[..at].chars().next_back().is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text.to_owned())).iter().map(ToString::to_string).collect()
    }

    fn assert_caught(path: &str, text: &str, message: &str) {
        let found = violations(path, text);
        assert!(
            found.len() == 1 && found[0].contains(message),
            "in {path}: expected {message:?}, found {found:?}"
        );
    }

    #[test]
    fn a_tidy_file_has_no_violations() {
        let text = "//! A module.\n// .unwrap() in a comment\nfn f() -> &'static str { \"x.unwrap()\" }\n\
                    #[cfg(test)]\nmod tests {\n    fn t() { Some(1).unwrap(); println!(\"\"); }\n}\n";
        assert_eq!(violations("flame-userspace/src/profile/value.rs", text), [""; 0]);
    }

    #[test]
    fn each_rule_catches_a_planted_violation() {
        let below = "flame-userspace/src/profile/value.rs";
        let long = "//! Docs.\n".to_owned() + &"\n".repeat(MOST_LINES);
        assert_caught(below, &long, "501 lines, more than 500");
        assert_caught("flame-userspace/viewer/main.js", &long, "501 lines");
        assert_caught("tests/src/lib.rs", "fn f() {}\n", "lib.rs:1: no `//!`");
        let planted = |code: &str| format!("//! Docs.\nfn f() {{ {code} }}\n");
        let unfinished = concat!("todo", "!()");
        assert_caught("flame-ebpf/src/main.rs", &planted(unfinished), "main.rs:2: `todo!`");
        assert_caught("xtask/src/a.rs", &planted(concat!("dbg", "!(1)")), "`dbg!`");
        assert_caught(below, &planted("Some(1).unwrap();"), "`.unwrap()`");
        assert_caught(below, &planted("println!();"), "`println!`");
        assert_caught(below, &planted("eprintln!();"), "`eprintln!`");
        assert_caught(below, &planted("std::process::exit(1)"), "`process::exit`");
        assert_caught(below, &planted("std::env::args()"), "`env::args`");
        assert_caught(below, &planted("std::env::var_os(\"X\")"), "`env::var`");
        for folder in ["ho", "wo"] {
            let rest = if folder == "ho" { "me/me/x" } else { "rk/x" };
            assert_caught("README.md", &format!("see /{folder}{rest}\n"), "a path of one machine");
        }
    }

    #[test]
    fn a_rule_holds_where_it_is_meant_to_alone() {
        let prints = "//! Docs.\nfn f() { println!(); }\n";
        assert_eq!(violations("flame-userspace/src/cli/mod.rs", prints), [""; 0]);
        assert_eq!(violations("xtask/src/main.rs", prints), [""; 0]);
        assert_eq!(violations("README.md", "https://example.org/~me/home/x\n"), [""; 0]);
    }
}
