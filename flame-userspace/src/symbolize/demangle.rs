//! Names for people from the linker's names.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions};

/// The longest name that is kept, in bytes. A mangled name can expand to any length.
pub(super) const LONGEST: usize = 4096;

/// The name that the source code has for a linker's name, if it is a mangled one.
pub(crate) fn demangle(name: &str) -> Option<String> {
    if name.len() > LONGEST {
        return None;
    }
    if is_rust(name) {
        let mut out = Bounded::default();
        // The alternate form leaves out the hash.
        write!(out, "{:#}", rustc_demangle::try_demangle(name).ok()?).ok()?;
        return Some(out.0);
    }
    if name.starts_with("_Z") || name.starts_with("__Z") {
        let options = ParseOptions::default().recursion_limit(160);
        let symbol = cpp_demangle::Symbol::new_with_options(name, &options).ok()?;
        let mut out = Bounded::default();
        let options = DemangleOptions::new().no_return_type().recursion_limit(160);
        symbol.structured_demangle(&mut out, &options).ok()?;
        return Some(out.0);
    }
    None
}

/// Whether a name is of one of Rust's two schemes. The older one looks like C++, but ends in a
/// hash: `17h`, 16 hexadecimal digits, `E`, and perhaps a suffix of the compiler's.
fn is_rust(name: &str) -> bool {
    if name.starts_with("_R") {
        return true;
    }
    let stem = name.split_once(".llvm.").map_or(name, |(stem, _)| stem);
    let Some(rest) = stem.strip_prefix("_ZN").and_then(|rest| rest.strip_suffix('E')) else {
        return false;
    };
    let Some((at, hash)) = rest.len().checked_sub(19).and_then(|at| Some((at, rest.get(at..)?)))
    else {
        return false;
    };
    at > 0
        && hash
            .strip_prefix("17h")
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A text that refuses to grow past [`LONGEST`].
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_and_cpp_are_told_apart() {
        let of = |name| demangle(name).unwrap_or_default();
        assert_eq!(of("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(of("_ZN4core3fmt5write17h0123456789abcdefE.llvm.123"), "core::fmt::write");
        assert_eq!(of("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(of("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(demangle("main"), None);
        assert_eq!(demangle("_Znonsense"), None);
    }

    #[test]
    fn a_name_that_expands_without_end_is_left_as_it_is() {
        // Each substitution doubles what the one before stands for.
        let mut name = String::from("_Z1fI1aE");
        for _ in 0..40 {
            name = name.replace("I1aE", "IS_S_1aE");
        }
        _ = demangle(&name);
        assert_eq!(demangle(&"_Z".repeat(10_000)), None);
    }
}
