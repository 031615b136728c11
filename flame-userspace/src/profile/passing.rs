//! Functions that only pass on what they are asked for: a program's own `xmalloc`, the containers
//! of a language's library, the C library. A reader who asks who holds memory, or where to look
//! first, means whoever called them. Told by name, as there is nothing else to tell it by.

/// Libraries whose functions do what their callers want, by the beginning of their file names.
const LIBRARIES: [&str; 12] = [
    "libc.so",
    "libc-2.",
    "libpthread",
    "ld-linux",
    "ld-musl",
    "libc.musl",
    "libstdc++.so",
    "libc++",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "[vdso]",
];

/// The languages' own libraries, by the beginning of a function's name.
const NAMESPACES: [&str; 7] =
    ["std::", "__gnu_cxx::", "alloc::", "core::", "hashbrown::", "runtime.", "operator new"];

/// Whether the function `name` of the file `module` only passes on what it is asked for.
pub fn passes_on(name: &str, module: &str) -> bool {
    if LIBRARIES.iter().any(|library| module.starts_with(library)) {
        return true;
    }
    let bare = bare(name);
    let named = |text: &str| NAMESPACES.iter().any(|space| text.starts_with(space));
    let last = bare.rsplit(' ').next().unwrap_or_default();
    named(bare) || named(last) || allocates(name)
}

/// Whether the last part of a function's name says that it allocates: `xmalloc`, `PyMem_Calloc`.
/// What such a function calls belongs to it, if it has no name that says something else.
pub fn allocates(name: &str) -> bool {
    let name = bare(name).rsplit("::").next().unwrap_or_default().to_ascii_lowercase();
    ["alloc", "memalign", "strdup", "strndup"].iter().any(|word| name.contains(word))
}

/// Whether a function has no name, but is called by its place: `[git+0x289600]`, `[git]`.
pub fn is_nameless(name: &str) -> bool {
    name.is_empty() || name.starts_with('[')
}

/// A name without its arguments and what it implements.
fn bare(name: &str) -> &str {
    // Rust: `<alloc::vec::Vec<T> as Extend>::extend` is of `alloc`.
    let of_type = name.strip_prefix('<').and_then(|rest| rest.split(" as ").next());
    let name = of_type.unwrap_or(name).trim_start_matches('&');
    name.split(['(', '<']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::passes_on;

    #[test]
    fn allocators_and_libraries_pass_on_and_a_program_does_not() {
        for name in [
            "xmalloc",
            "zmalloc_usable",
            "ngx_memalign",
            "PyObject_Malloc",
            "operator new(unsigned long)",
            "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
            "std::string::_M_create(unsigned long&, unsigned long)",
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "app::Pool::allocate(int)",
            "runtime.makeslice",
        ] {
            assert!(passes_on(name, "app"), "{name}");
        }
        for name in [
            "main",
            "parse(std::string const&)",
            "cache_put",
            "Stack<std::string>::push(std::string)",
            "<app::Tree as core::iter::Extend<alloc::string::String>>::extend",
            "",
        ] {
            assert!(!passes_on(name, "app"), "{name}");
        }
        assert!(passes_on("write", "libc.so.6"));
        assert!(!passes_on("write", "libcrypto.so.3"));
    }
}
