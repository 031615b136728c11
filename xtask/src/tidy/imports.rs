//! Who imports whom: every path in a file's code, resolved to a module of ours or to a crate, and
//! held against the tables of `rules`. Tests in the files are held to the same rules.

use super::Violation;
use super::rules::{MAY_IMPORT, SINGLE_IMPORTERS};
use super::source::Source;

/// Checks one file of flame-userspace.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let mut violations: Vec<Violation> = paths(&source.code)
        .iter()
        .filter_map(|path| {
            let message = objection(&module, path)?;
            Some(Violation { path: source.path.clone(), line: path.line, message })
        })
        .collect();
    violations.dedup();
    violations
}

/// A path in code, such as `crate::profile::Profile`.
#[derive(Debug, Eq, PartialEq)]
struct Path<'a> {
    segments: Vec<&'a str>,
    line: usize,
    /// How many inline modules of the file are around it.
    inline: usize,
}

/// Why a module may not say this path, if it may not.
fn objection(module: &[String], path: &Path<'_>) -> Option<String> {
    let Some(target) = own_module(module, path) else {
        return crate_objection(module, path.segments[0]);
    };
    // The library's root shows what all modules hold.
    let importer = module.first()?;
    if target == importer {
        return None;
    }
    if target.starts_with(char::is_uppercase) {
        // A name that the library's root shows to its users, of which the command line is one.
        return (importer != "cli")
            .then(|| format!("`crate::{target}` hides its module: name that"));
    }
    let mut rows = MAY_IMPORT.iter().filter(|(part, _)| is_within(module, part)).peekable();
    if rows.peek().is_none() {
        return Some(format!("module `{importer}` has no row in tidy's import rules"));
    }
    let allowed = rows.any(|(_, allowed)| allowed.contains(&target));
    (!allowed).then(|| format!("`{importer}` may not import `{target}`"))
}

fn crate_objection(module: &[String], name: &str) -> Option<String> {
    let (_, importers) = SINGLE_IMPORTERS.iter().find(|(single, _)| *single == name)?;
    let allowed = importers.iter().any(|importer| is_within(module, importer));
    (!allowed).then(|| format!("crate `{name}` is imported in `{}` alone", importers.join("`, `")))
}

/// Whether a module is this one, written `a::b`, or lies in it.
fn is_within(module: &[String], part: &str) -> bool {
    let mut segments = module.iter();
    part.split("::").all(|segment| segments.next().is_some_and(|own| own == segment))
}

/// The top module of ours that a path leads to; none for a path of another crate.
fn own_module<'a>(module: &[String], path: &Path<'a>) -> Option<&'a str> {
    let is_binary = module == ["main"];
    let (first, rest) = path.segments.split_first()?;
    match *first {
        "crate" if !is_binary => rest.first().copied(),
        "flame" if is_binary => rest.first().copied(),
        "super" => {
            let ups = path.segments.iter().take_while(|segment| **segment == "super").count();
            let depth = module.len() + path.inline;
            (ups == depth).then(|| path.segments.get(ups).copied()).flatten()
        }
        _ => None,
    }
}

/// All paths of two segments and more, those of `use` trees among them.
fn paths(code: &str) -> Vec<Path<'_>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    // For each open brace, whether it is a module's.
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let inline = braces.iter().filter(|is_module| **is_module).count();
        let mut found_here = Vec::new();
        match token.text {
            "{" => {
                let is_module = at >= 2 && tokens[at - 2].text == "mod";
                braces.push(is_module);
                at += 1;
            }
            "}" => {
                braces.pop();
                at += 1;
            }
            "use" => at = use_tree(&tokens, at + 1, &[], &mut found_here),
            text if is_word(text) => at = simple_path(&tokens, at, &mut found_here),
            _ => at += 1,
        }
        let long = found_here.into_iter().filter(|(segments, _)| segments.len() > 1);
        found.extend(long.map(|(segments, line)| Path { segments, line, inline }));
    }
    found
}

type Found<'a> = Vec<(Vec<&'a str>, usize)>;

/// Reads `a::b::c`; where it ends.
fn simple_path<'a>(tokens: &[Token<'a>], mut at: usize, found: &mut Found<'a>) -> usize {
    let line = tokens[at].line;
    let mut segments = vec![tokens[at].text];
    at += 1;
    while let [separator, word, ..] = &tokens[at.min(tokens.len())..]
        && separator.text == "::"
        && is_word(word.text)
    {
        segments.push(word.text);
        at += 2;
    }
    found.push((segments, line));
    at
}

/// Reads a `use` tree under a prefix; where it ends.
fn use_tree<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    prefix: &[&'a str],
    found: &mut Found<'a>,
) -> usize {
    let mut segments = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    // A comma, and whatever no tree starts with, is stepped over.
                    at = use_tree(tokens, at, &segments, found).max(at + 1);
                }
                return at + 1;
            }
            "as" => at += 2,
            // `use<'a>`, of a captured lifetime, is no import.
            text if is_word(text) || text == "*" => {
                segments.push(text);
                at += 1;
            }
            _ => break,
        }
    }
    if let (Some(last), true) = (at.checked_sub(1), segments.len() > prefix.len()) {
        found.push((segments, tokens[last].line));
    }
    at
}

#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// Words, `::` and single characters.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, mut rest) in code.lines().enumerate() {
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if rest.starts_with("::") => 2,
                c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let (text, after) = rest.split_at(length);
            if !first.is_whitespace() {
                tokens.push(Token { text, line: number + 1 });
            }
            rest = after;
        }
    }
    tokens
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(file: &str, code: &str) -> Vec<String> {
        let source = Source::new(&format!("flame-userspace/src/{file}"), code.to_owned());
        check(&source).into_iter().map(|violation| violation.to_string()).collect()
    }

    fn assert_caught(file: &str, code: &str, message: &str) {
        let found = violations(file, code);
        assert!(
            found.len() == 1 && found[0].contains(message),
            "{file}, {code:?}: expected {message:?}, found {found:?}"
        );
    }

    #[test]
    fn paths_are_read_from_trees_and_from_code() {
        let code = "use a::{b, c::{self, d as e}, f::*};\nfn g() { h::i::<j::k>(); l(); }\nmod m { n::o!(); }";
        let joined: Vec<String> = paths(code).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(joined, ["a::b", "a::c::self", "a::c::d", "a::f::*", "h::i", "j::k", "n::o"]);
        let found = paths(code);
        assert_eq!((found[0].line, found[0].inline), (1, 0));
        assert_eq!((found[6].line, found[6].inline), (3, 1));
    }

    #[test]
    fn an_import_against_the_rules_is_caught_however_it_is_written() {
        for code in [
            "use crate::process::Process;",
            "use crate::{\n    process::Process,\n};",
            "fn f(_: &crate::process::Process) {}",
            "use super::super::process::Process;",
            "mod tests { use super::super::super::process::Process; }",
            "use crate as root;\nuse crate::process as p;",
        ] {
            assert_caught("profile/value.rs", code, "`profile` may not import `process`");
        }
        assert_caught("format/mod.rs", "use super::bpf;", "`format` may not import `bpf`");
    }

    #[test]
    fn imports_within_the_rules_pass() {
        for (file, code) in [
            ("lib.rs", "pub use crate::session::Session;\npub use self::error::Error;"),
            ("main.rs", "fn main() { flame::cli::run() }"),
            ("cli/record.rs", "use crate::{Session, format};"),
            ("cli/doctor.rs", "use crate::{bpf, process, session};"),
            ("session/pipeline.rs", "use crate::{bpf::Ring, process::ProcessTable, profile};"),
            (
                "profile/tree.rs",
                "use super::StringId;\nmod tests { use super::*; use super::super::Builder; }",
            ),
            ("profile/tree.rs", "use crate::profile::Builder;"),
            ("bpf/samples.rs", "use aya::maps::RingBuf;\n#[derive(Clone)] struct A;"),
            ("format/pprof/proto.rs", "#[derive(prost::Message)] struct A;"),
            ("format/mod.rs", "//! [`x`](crate::process)\nconst X: &str = \"crate::bpf::Ring\";"),
        ] {
            assert_eq!(violations(file, code), [""; 0], "{file}");
        }
    }

    #[test]
    fn a_crate_with_one_importer_is_caught_elsewhere() {
        for (name, _) in SINGLE_IMPORTERS {
            let code = format!("use {name}::Thing;");
            assert_caught("error.rs", &code, &format!("crate `{name}` is imported in"));
        }
        assert_caught("format/folded.rs", "#[derive(prost::Message)] struct A;", "`format::pprof`");
        assert_caught("cli_args.rs", "use ::clap::Parser;", "imported in `cli` alone");
    }

    #[test]
    fn what_one_file_may_is_not_for_its_neighbours() {
        assert_caught("cli/record.rs", "use crate::bpf::Ring;", "`cli` may not import `bpf`");
    }

    #[test]
    fn a_module_without_a_row_is_caught_on_either_side() {
        assert_caught("novelty.rs", "use crate::profile::Profile;", "`novelty` has no row");
        assert_caught("profile/ids.rs", "use crate::novelty::New;", "may not import `novelty`");
        assert_caught("analyze/top.rs", "use crate::Profile;", "hides its module");
        assert_caught(
            "main.rs",
            "fn main() { flame::session::run() }",
            "`main` may not import `session`",
        );
    }
}
