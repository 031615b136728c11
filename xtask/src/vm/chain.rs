//! Whether stacks are those that the workload is known to have (`tests/workloads/c/known_chain.c`).

/// A part of a chain of frames, outermost first.
enum Part {
    /// The frame of this function.
    Frame(&'static str),
    /// So many frames of one function.
    Times(&'static str, usize),
    /// Frames of the C library, at least and at most so many, of any names.
    Library(usize, usize),
}

use Part::{Frame, Library, Times};

/// Every chain that the workload burns time in, by its innermost function.
const CHAINS: &[(&str, &[Part])] = &[
    (
        "burn_chain",
        &[START, CALLS_MAIN, MAIN, Frame("chain_a"), Frame("chain_b"), Frame("chain_c")],
    ),
    (DEEP, &[START, CALLS_MAIN, MAIN, Times("recurse", 91)]),
    ("burn_alloca", &[START, CALLS_MAIN, MAIN, Frame("with_alloca")]),
    ("burn_callback", &[START, CALLS_MAIN, MAIN, Frame("sort"), Library(1, 9), Frame("compare")]),
    (
        "burn_signal",
        &[START, CALLS_MAIN, MAIN, Frame("raise_one"), Library(1, 5), Frame("handler")],
    ),
    // clone3, start_thread
    ("burn_thread", &[Library(2, 2), Frame("thread")]),
];
/// The innermost function of the one chain that is deeper than a few frames.
const DEEP: &str = "burn_deep";
const START: Part = Frame("_start");
const CALLS_MAIN: Part = Library(1, 2);
const MAIN: Part = Frame("main");

/// What was found in a profile's folded stacks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Weight of the stacks that end in one of the known functions.
    pub(super) known: u64,
    /// Weight of those among them that are exactly as they are to be.
    pub(super) whole: u64,
    /// How many of the known functions were seen.
    pub(super) functions: usize,
    /// The heaviest stack that is not whole.
    pub(super) broken: Option<String>,
}

impl Found {
    /// Reads folded stacks. Without `deep` those of the deep recursion are not judged.
    pub(super) fn read(folded: &str, deep: bool) -> Self {
        let mut found = Self::default();
        let mut seen = [false; CHAINS.len()];
        let mut heaviest = 0;
        for line in folded.lines() {
            let Some((path, weight)) = line.rsplit_once(' ') else { continue };
            let weight = weight.parse().unwrap_or(0);
            let frames: Vec<&str> = path.split(';').collect();
            // An interrupted function has the kernel's frames within.
            let burning = frames.iter().rposition(|frame| CHAINS.iter().any(|c| c.0 == *frame));
            let Some(burning) = burning else { continue };
            let (function, outside) = (frames[burning], &frames[..burning]);
            let which = CHAINS.iter().position(|chain| chain.0 == function);
            let Some(which) = which else { continue };
            seen[which] = true;
            if function == DEEP && !deep {
                continue;
            }
            found.known += weight;
            if is(outside, CHAINS[which].1) {
                found.whole += weight;
            } else if weight > heaviest {
                heaviest = weight;
                found.broken = Some(path.to_owned());
            }
        }
        found.functions = seen.into_iter().filter(|seen| *seen).count();
        found
    }

    /// The share of whole stacks, in percent.
    pub(super) fn percent(&self) -> f64 {
        self.whole as f64 * 100.0 / self.known.max(1) as f64
    }

    /// Whether every known function was seen.
    pub(super) fn has_all(&self) -> bool {
        self.functions == CHAINS.len()
    }
}

/// Whether frames are these parts.
fn is(frames: &[&str], parts: &[Part]) -> bool {
    let Some((part, rest)) = parts.split_first() else { return frames.is_empty() };
    match *part {
        Frame(name) => frames.split_first().is_some_and(|(f, inner)| *f == name && is(inner, rest)),
        Times(name, count) => {
            let same = frames.iter().take_while(|frame| **frame == name).count();
            same == count && is(&frames[count..], rest)
        }
        Library(least, most) => (least..=most.min(frames.len())).any(|n| is(&frames[n..], rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_known_by_all_its_frames() {
        let deep = "recurse;".repeat(91);
        for (path, whole) in [
            ("_start;[libc];main;chain_a;chain_b;chain_c;burn_chain".to_owned(), true),
            ("_start;a;b;main;chain_a;chain_b;chain_c;burn_chain;asm_irq;do_irq".to_owned(), true),
            ("main;chain_a;chain_b;chain_c;burn_chain".to_owned(), false),
            ("_start;a;main;chain_a;chain_c;burn_chain".to_owned(), false),
            (format!("_start;a;main;{deep}burn_deep"), true),
            (format!("_start;a;main;recurse;{deep}burn_deep"), false),
            ("_start;a;main;sort;qsort;msort;msort;compare;burn_callback".to_owned(), true),
            ("_start;a;main;raise_one;raise;kill;restore;handler;burn_signal".to_owned(), true),
            ("clone3;start_thread;thread;burn_thread".to_owned(), true),
            ("thread;burn_thread".to_owned(), false),
        ] {
            let found = Found::read(&format!("{path} 7\n"), true);
            assert_eq!((found.known, found.whole), (7, if whole { 7 } else { 0 }), "{path}");
        }
    }

    #[test]
    fn other_stacks_are_not_judged_and_absent_functions_are_told() {
        let found = Found::read("_start;main 5\nrubbish\nx;thread;burn_thread 3\n", true);
        assert_eq!((found.known, found.whole, found.functions), (3, 0, 1));
        assert_eq!(found.broken.as_deref(), Some("x;thread;burn_thread"));
        assert!(!found.has_all());
        let truncated = "recurse;recurse;burn_deep 3\n";
        assert_eq!(Found::read(truncated, true).known, 3);
        let found = Found::read(truncated, false);
        assert_eq!((found.known, found.functions), (0, 1));
    }
}
