//! Which files of a process are probed, and which of them serves its `malloc`.
//!
//! Every file that has an allocator's functions is probed: a C library's `malloc` that another
//! took the place of is never called, and so costs and counts nothing, while what a program calls
//! by its own name (`mi_malloc`, `_rjem_malloc`, a second C library) is called beside `malloc`. A
//! block counts once all the same: functions that hand on to another, of the same file or through
//! the table of another's functions (libstdc++'s operators to whoever serves `malloc`), have no
//! probe, and calls from within an allocator are known by where they return to
//! ([`Hooks::own_calls`]). One case is left, of functions that jump on to `malloc` without a call,
//! and counts twice: a preloaded library that does so through a pointer.

use std::path::{Path, PathBuf};

use super::{Allocator, Hooks};

/// A file that a process has mapped code of.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) path: PathBuf,
    /// Whether it is the program itself, and no library.
    pub(crate) is_program: bool,
    /// Whether the names of its functions are known, from itself or from a debug file.
    pub(crate) has_symbols: bool,
    pub(crate) hooks: Hooks,
    /// Allocators that it is known to carry by other signs ([`super::traces`]).
    pub(crate) traces: Vec<Allocator>,
}

/// What to probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The objects to probe: indices.
    pub(crate) probed: Vec<usize>,
    /// The one that serves `malloc`, if any does; the others serve those who call them by name.
    pub(crate) serves: Option<usize>,
    /// What will not be seen, one sentence each, for the user.
    pub(crate) unseen: Vec<String>,
}

/// Why nothing can be probed, and what the user can do: one or two sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cannot {
    pub(crate) reason: String,
}

/// Chooses among the objects of one process.
pub(crate) fn choose(objects: &[Object]) -> Result<Choice, Cannot> {
    let probed: Vec<usize> =
        (0..objects.len()).filter(|&index| !objects[index].hooks.probed.is_empty()).collect();
    if probed.is_empty() {
        return Err(Cannot { reason: why_nothing(objects) });
    }
    let unseen = objects.iter().flat_map(unseen).collect();
    Ok(Choice { serves: serves(objects, &probed), probed, unseen })
}

/// Whose `malloc` the loader binds to: the program's own, else that of a library which is there to
/// replace the C library's, else the C library's.
fn serves(objects: &[Object], probed: &[usize]) -> Option<usize> {
    let has_malloc =
        |&index: &usize| objects[index].hooks.probed.iter().any(|h| h.name == "malloc");
    let rank = |index: &usize| {
        let object = &objects[*index];
        let is_libc = object.hooks.probed.iter().any(|hook| is_libc(hook.allocator));
        (!object.is_program, is_libc, *index)
    };
    probed.iter().copied().filter(has_malloc).min_by_key(rank)
}

fn is_libc(allocator: Allocator) -> bool {
    matches!(allocator, Allocator::Glibc | Allocator::Musl)
}

/// Allocators of an object whose functions have no names, while another of its process has.
fn unseen(object: &Object) -> Vec<String> {
    let is_probed =
        |allocator: &Allocator| object.hooks.probed.iter().any(|hook| hook.allocator == *allocator);
    let nameless = object.traces.iter().filter(|allocator| !is_probed(allocator));
    nameless
        .map(|allocator| {
            format!(
                "{} carries {} without the names of its functions: what it allocates by them is not seen",
                shown(&object.path),
                allocator.name()
            )
        })
        .collect()
}

fn why_nothing(objects: &[Object]) -> String {
    let Some(program) = objects.iter().find(|object| object.is_program) else {
        return "its program's file cannot be read, so its allocator cannot be found".to_owned();
    };
    let path = shown(&program.path);
    let carries = match program.traces.first() {
        Some(allocator) => format!("carries {}", allocator.name()),
        None => "has its allocator linked in".to_owned(),
    };
    if program.has_symbols {
        format!(
            "no known allocator is in {path} or its libraries: name its functions with --alloc-fn and --free-fn"
        )
    } else {
        format!(
            "{path} {carries} and is stripped: where its functions begin is not known. Profile a build with symbols, or install its debug file below /usr/lib/debug/.build-id"
        )
    }
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{Emulated, Hook};
    use flame_common::heap::{Arguments, Role};

    fn object(path: &str, names: &[&str], allocator: Allocator) -> Object {
        let hook = |name: &&str| Hook {
            role: Role::Malloc,
            name: (*name).to_owned(),
            allocator,
            offset: 0,
            entry: 0,
            emulated: Some(Emulated::Nop),
            push: None,
            leads_to: 1,
            arguments: Arguments::AT_ENTRY,
            null_is_malloc: false,
            may_throw: false,
            plain_is_malloc: false,
        };
        Object {
            path: path.into(),
            is_program: path.starts_with("/bin/"),
            has_symbols: false,
            hooks: Hooks { probed: names.iter().map(hook).collect(), ..Hooks::default() },
            traces: Vec::new(),
        }
    }

    #[test]
    fn a_replacement_serves_malloc_before_the_c_library() {
        let program = object("/bin/server", &[], Allocator::Unknown);
        let libc = object("/lib/libc.so.6", &["malloc"], Allocator::Glibc);
        let other = object("/lib/libjemalloc.so.2", &["malloc", "mallocx"], Allocator::Jemalloc);
        let choice = choose(&[program.clone(), libc.clone(), other.clone()]).expect("a choice");
        assert_eq!((choice.serves, choice.probed), (Some(2), vec![1, 2]));
        let choice = choose(&[program, libc.clone()]).expect("a choice");
        assert_eq!(choice.serves, Some(1));
        let own = object("/bin/redis", &["malloc"], Allocator::Jemalloc);
        assert_eq!(choose(&[libc, own, other]).expect("a choice").serves, Some(1));
    }

    #[test]
    fn an_allocator_under_its_own_names_serves_those_who_call_it() {
        let program = object("/bin/rust", &["_rjem_malloc"], Allocator::Jemalloc);
        let libc = object("/lib/libc.so.6", &["malloc"], Allocator::Glibc);
        let choice = choose(&[program, libc]).expect("a choice");
        assert_eq!((choice.serves, choice.probed), (Some(1), vec![0, 1]));
    }

    #[test]
    fn a_stripped_static_program_is_told_with_what_to_do() {
        let mut program = object("/bin/static", &[], Allocator::Unknown);
        program.traces = vec![Allocator::Jemalloc];
        let Cannot { reason } = choose(&[program.clone()]).expect_err("nothing to probe");
        assert!(reason.starts_with("static carries jemalloc and is stripped"), "{reason}");
        program.has_symbols = true;
        let Cannot { reason } = choose(&[program]).expect_err("nothing to probe");
        assert!(reason.contains("--alloc-fn"), "{reason}");
        let Cannot { reason } = choose(&[]).expect_err("nothing to probe");
        assert!(reason.contains("cannot be read"), "{reason}");
    }

    #[test]
    fn a_nameless_allocator_beside_a_known_one_is_told() {
        let mut program = object("/bin/rust", &[], Allocator::Unknown);
        program.traces = vec![Allocator::Jemalloc];
        let libc = object("/lib/libc.so.6", &["malloc"], Allocator::Glibc);
        let choice = choose(&[program, libc]).expect("a choice");
        assert_eq!(choice.unseen.len(), 1);
        assert!(choice.unseen[0].starts_with("rust carries jemalloc without the names"));
    }
}
