//! Folded stacks: one line a call path, `comm;outer;inner value`, as flamegraph scripts read them.

use std::io;

use super::bounded::{Bounded, MAX_BYTES};
use super::text;
use crate::analyze::frame_name;
use crate::profile::Profile;
use crate::profile::tree::{CallTree, TreeOptions};

/// Writes every call path in which samples end, with their value. Inlined functions are frames;
/// with `by_process` the process name is the outermost frame. Paths that read the same (a function
/// inlined and not) may take several lines; readers add them up.
///
/// More than a GiB is an error: every line says all its names, and stacks may be of millions.
pub fn write(
    profile: &Profile,
    sample_type: usize,
    by_process: bool,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let mut out = Bounded::new(out, "the folded stacks", MAX_BYTES);
    write_lines(profile, sample_type, by_process, &mut out)
}

fn write_lines(
    profile: &Profile,
    sample_type: usize,
    by_process: bool,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let options = TreeOptions { sample_type, by_process };
    let tree = CallTree::build(profile, options);
    let names: Vec<String> =
        tree.frames.iter().map(|frame| safe(&frame_name(profile, *frame))).collect();
    let mut path = Vec::new();
    let mut named = 0i64;
    for node in &tree.nodes {
        named = named.saturating_add(node.self_value);
        if node.self_value == 0 {
            continue;
        }
        path.clear();
        path.push(node.frame);
        let mut parent = node.parent;
        while let Some(row) = parent {
            let caller = &tree.nodes[row as usize];
            path.push(caller.frame);
            parent = caller.parent;
        }
        for (depth, frame) in path.iter().rev().enumerate() {
            if depth > 0 {
                out.write_all(b";")?;
            }
            out.write_all(names[*frame as usize].as_bytes())?;
        }
        writeln!(out, " {}", node.self_value)?;
    }
    let unnamed = tree.total.saturating_sub(named);
    if unnamed != 0 {
        writeln!(out, "[unknown] {unnamed}")?;
    }
    Ok(())
}

/// A name without the separators of the format.
fn safe(name: &str) -> String {
    if name.is_empty() {
        return "[unknown]".to_owned();
    }
    text::visible(name).replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::example;

    fn folded(profile: &Profile, by_process: bool) -> String {
        let mut out = Vec::new();
        write(profile, 0, by_process, &mut out).expect("a Vec takes every write");
        String::from_utf8(out).expect("names are UTF-8")
    }

    #[test]
    fn inlined_frames_processes_and_unsymbolised_code_are_shown() {
        assert_eq!(
            folded(&example::small(), true),
            "app;main;parse 30\n\
             app;main;parse;inlined_helper 5\n\
             app;main;[libc.so.6] 7\n\
             app;main;write;ksys_write 8\n"
        );
        assert!(folded(&example::small(), false).starts_with("main;parse 30\n"));
    }

    #[test]
    fn a_name_cannot_forge_a_frame_or_a_line() {
        let profile = example::of_names(&["a;b\nc 1\u{202e}", ""]);
        assert_eq!(folded(&profile, false), "a:b\\nc 1\\u{202e};[unknown] 1\n");
    }

    #[test]
    fn long_names_in_a_deep_stack_are_refused_and_not_written_without_end() {
        let names = ["a", "b"].map(|name| name.repeat(1 << 10));
        let deep: Vec<&str> = names.iter().map(String::as_str).cycle().take(1000).collect();
        let profile = example::of_names(&deep);
        let whole = folded(&profile, false).len() as u64;
        let within = |limit| {
            let mut out = Vec::new();
            let mut bounded = Bounded::new(&mut out, "the folded stacks", limit);
            write_lines(&profile, 0, false, &mut bounded).map(|()| out.len() as u64)
        };
        assert_eq!(within(whole).expect("at the limit"), whole);
        let error = within(whole - 1).expect_err("past the limit").to_string();
        assert!(error.starts_with("the folded stacks would take more than"), "{error}");
    }

    #[test]
    fn no_samples_make_no_lines_and_a_sample_without_a_stack_is_kept() {
        assert_eq!(folded(&example::empty(), true), "");
        assert_eq!(folded(&example::stackless(), false), "[unknown] 3\n");
    }
}
