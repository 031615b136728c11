//! Which functions allocate and free, by name: a table for each family of allocators.

use std::collections::HashSet;

use flame_common::heap::Arguments;
use flame_common::heap::Role::{
    self, Calloc, Free, InPlace, Malloc, Memalign, PosixMemalign, Realloc, ReallocArray,
};

use super::OwnFunction;

/// A family of allocators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Allocator {
    Glibc,
    Musl,
    Jemalloc,
    Tcmalloc,
    Mimalloc,
    /// Functions that the user named.
    Own,
    /// It exports `malloc`, and nothing tells whose it is.
    Unknown,
}

impl Allocator {
    /// Its name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Jemalloc => "jemalloc",
            Self::Tcmalloc => "tcmalloc",
            Self::Mimalloc => "mimalloc",
            Self::Own => "the program's own",
            Self::Unknown => "an unknown allocator",
        }
    }
}

/// The C library's interface, which every allocator that takes its place exports.
const C: &[(&str, Role)] = &[
    ("malloc", Malloc),
    ("calloc", Calloc),
    ("realloc", Realloc),
    ("reallocarray", ReallocArray),
    ("memalign", Memalign),
    ("aligned_alloc", Memalign),
    ("posix_memalign", PosixMemalign),
    ("valloc", Malloc),
    ("pvalloc", Malloc),
    ("free", Free),
    ("cfree", Free),
    ("free_sized", Free),
    ("free_aligned_sized", Free),
];

/// jemalloc's own, behind each of [`JEMALLOC_PREFIXES`].
const JEMALLOC: &[(&str, Role)] = &[
    ("mallocx", Malloc),
    ("rallocx", Realloc),
    ("xallocx", InPlace),
    ("dallocx", Free),
    ("sdallocx", Free),
    ("sdallocx_noflags", Free),
];

/// What a jemalloc that shares its process with another allocator puts before its names. Rust's
/// `tikv-jemallocator` uses `_rjem_`; its build keeps jemalloc's inner `je_` behind it.
const JEMALLOC_PREFIXES: &[&str] = &["", "je_", "_rjem_", "_rjem_je_"];

/// tcmalloc's own: gperftools' `tc_` functions, and those of google/tcmalloc.
const TCMALLOC: &[(&str, Role)] = &[
    ("tc_malloc", Malloc),
    ("tc_malloc_skip_new_handler", Malloc),
    ("tc_calloc", Calloc),
    ("tc_realloc", Realloc),
    ("tc_memalign", Memalign),
    ("tc_posix_memalign", PosixMemalign),
    ("tc_valloc", Malloc),
    ("tc_pvalloc", Malloc),
    ("tc_free", Free),
    ("tc_cfree", Free),
    ("tc_free_sized", Free),
    ("TCMallocInternalMalloc", Malloc),
    ("TCMallocInternalCalloc", Calloc),
    ("TCMallocInternalRealloc", Realloc),
    ("TCMallocInternalReallocArray", ReallocArray),
    ("TCMallocInternalMemalign", Memalign),
    ("TCMallocInternalAlignedAlloc", Memalign),
    ("TCMallocInternalPosixMemalign", PosixMemalign),
    ("TCMallocInternalValloc", Malloc),
    ("TCMallocInternalPvalloc", Malloc),
    ("TCMallocInternalFree", Free),
    ("TCMallocInternalCfree", Free),
    ("TCMallocInternalSdallocx", Free),
    ("TCMallocInternalFreeSized", Free),
    ("TCMallocInternalFreeAlignedSized", Free),
];

/// mimalloc's own. Those that take a heap first have their size second, as `memalign` has.
const MIMALLOC: &[(&str, Role)] = &[
    ("mi_malloc", Malloc),
    ("mi_malloc_small", Malloc),
    ("mi_zalloc", Malloc),
    ("mi_zalloc_small", Malloc),
    ("mi_malloc_aligned", Malloc),
    ("mi_malloc_aligned_at", Malloc),
    ("mi_zalloc_aligned", Malloc),
    ("mi_zalloc_aligned_at", Malloc),
    ("mi_calloc", Calloc),
    ("mi_mallocn", Calloc),
    ("mi_calloc_aligned", Calloc),
    ("mi_calloc_aligned_at", Calloc),
    ("mi_realloc", Realloc),
    ("mi_rezalloc", Realloc),
    ("mi_realloc_aligned", Realloc),
    ("mi_realloc_aligned_at", Realloc),
    ("mi_rezalloc_aligned", Realloc),
    ("mi_rezalloc_aligned_at", Realloc),
    ("mi_reallocn", ReallocArray),
    ("mi_reallocarray", ReallocArray),
    ("mi_recalloc", ReallocArray),
    ("mi_recalloc_aligned", ReallocArray),
    ("mi_recalloc_aligned_at", ReallocArray),
    ("mi_memalign", Memalign),
    ("mi_aligned_alloc", Memalign),
    ("mi_posix_memalign", PosixMemalign),
    ("mi_valloc", Malloc),
    ("mi_pvalloc", Malloc),
    ("mi_new", Malloc),
    ("mi_new_nothrow", Malloc),
    ("mi_new_aligned", Malloc),
    ("mi_new_aligned_nothrow", Malloc),
    ("mi_new_n", Calloc),
    ("mi_new_realloc", Realloc),
    ("mi_new_reallocn", ReallocArray),
    ("mi_heap_malloc", Memalign),
    ("mi_heap_malloc_small", Memalign),
    ("mi_heap_zalloc", Memalign),
    ("mi_heap_malloc_aligned", Memalign),
    ("mi_heap_zalloc_aligned", Memalign),
    ("mi_free", Free),
    ("mi_cfree", Free),
    ("mi_free_size", Free),
    ("mi_free_size_aligned", Free),
    ("mi_free_aligned", Free),
];

/// C++'s operators new and delete, by the names that the Itanium ABI gives them on 64-bit machines.
const OPERATORS: &[(&str, Role)] = &[
    ("_Znwm", Malloc),
    ("_Znam", Malloc),
    ("_ZnwmRKSt9nothrow_t", Malloc),
    ("_ZnamRKSt9nothrow_t", Malloc),
    ("_ZnwmSt11align_val_t", Malloc),
    ("_ZnamSt11align_val_t", Malloc),
    ("_ZnwmSt11align_val_tRKSt9nothrow_t", Malloc),
    ("_ZnamSt11align_val_tRKSt9nothrow_t", Malloc),
    ("_ZdlPv", Free),
    ("_ZdaPv", Free),
    ("_ZdlPvm", Free),
    ("_ZdaPvm", Free),
    ("_ZdlPvRKSt9nothrow_t", Free),
    ("_ZdaPvRKSt9nothrow_t", Free),
    ("_ZdlPvSt11align_val_t", Free),
    ("_ZdaPvSt11align_val_t", Free),
    ("_ZdlPvmSt11align_val_t", Free),
    ("_ZdaPvmSt11align_val_t", Free),
    ("_ZdlPvSt11align_val_tRKSt9nothrow_t", Free),
    ("_ZdaPvSt11align_val_tRKSt9nothrow_t", Free),
];

/// Names that tell whose allocator a file holds, strongest first; none of them is hooked.
pub(crate) const MARKS: &[(&str, Allocator)] = &[
    ("mi_version", Allocator::Mimalloc),
    ("tc_version", Allocator::Tcmalloc),
    ("MallocExtension_Internal_GetNumericProperty", Allocator::Tcmalloc),
    ("mallctl", Allocator::Jemalloc),
    ("je_mallctl", Allocator::Jemalloc),
    ("_rjem_mallctl", Allocator::Jemalloc),
    ("gnu_get_libc_version", Allocator::Glibc),
    // A static program has it where malloc is glibc's.
    ("__libc_mallopt", Allocator::Glibc),
    ("_int_malloc", Allocator::Glibc),
    ("__libc_malloc_impl", Allocator::Musl),
    ("__malloc_donate", Allocator::Musl),
    ("__dls3", Allocator::Musl),
];

/// A function that is to be hooked where it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name in the symbol table.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Where its arguments are at its entry.
    pub(crate) arguments: Arguments,
    /// Whose it is; `None` for the C library's interface and C++'s operators, which are whoever's
    /// the file's other names tell.
    pub(crate) allocator: Option<Allocator>,
}

impl Wanted {
    /// Whether an exception may leave it: of the operators `new` and mimalloc's functions for them
    /// that are not told not to, `bad_alloc` where there is no memory. Of the user's own that are
    /// named as C++'s and Rust's are, it is not known what they throw.
    pub(crate) fn may_throw(&self) -> bool {
        let throws = ["_Zn", "mi_new"].iter().any(|start| self.name.starts_with(start));
        let is_mangled = ["_Z", "_R"].iter().any(|start| self.name.starts_with(start));
        let is_own = self.allocator == Some(Allocator::Own);
        self.role.makes() && !self.name.contains("nothrow") && (throws || (is_own && is_mangled))
    }

    /// Whether a function of this name that the file keeps to itself is the allocator's too.
    /// Common words (`free`, `cfree`) may name anything within a file.
    pub(crate) fn may_be_local(&self) -> bool {
        self.allocator.is_some() && !JEMALLOC.iter().any(|(name, _)| *name == self.name)
    }
}

/// Every function known, and those that the user named.
pub(crate) fn wanted(own: &[OwnFunction]) -> Vec<Wanted> {
    let of = |allocator: Option<Allocator>, prefix: &str, table: &[(&str, Role)]| {
        let row = |&(name, role): &(&str, Role)| Wanted {
            name: format!("{prefix}{name}"),
            role,
            arguments: Arguments::AT_ENTRY,
            allocator,
        };
        table.iter().map(row).collect::<Vec<_>>()
    };
    let user = own.iter().map(|function| Wanted {
        name: function.name.clone(),
        role: function.role,
        arguments: function.arguments,
        allocator: Some(Allocator::Own),
    });
    let mut all: Vec<Wanted> = user.collect();
    all.extend(of(None, "", C));
    // glibc's second names for its own; other allocators take these over too.
    all.extend(of(None, "__libc_", C));
    all.extend(of(None, "__", &[("posix_memalign", PosixMemalign)]));
    for prefix in JEMALLOC_PREFIXES {
        all.extend(of(Some(Allocator::Jemalloc), prefix, JEMALLOC));
        if !prefix.is_empty() {
            all.extend(of(Some(Allocator::Jemalloc), prefix, C));
        }
    }
    all.extend(of(Some(Allocator::Tcmalloc), "", TCMALLOC));
    all.extend(of(Some(Allocator::Mimalloc), "", MIMALLOC));
    all.extend(of(None, "", OPERATORS));
    // What the user says of a function that is known goes for it.
    let mut names = HashSet::new();
    all.retain(|wanted| names.insert(wanted.name.clone()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_wanted_twice() {
        let all = wanted(&[]);
        let names: HashSet<&str> = all.iter().map(|wanted| wanted.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert!(MARKS.iter().all(|(mark, _)| !names.contains(mark)));
    }

    #[test]
    fn rusts_jemalloc_is_wanted_under_its_prefixes() {
        let all = wanted(&[]);
        let find = |name: &str| all.iter().find(|wanted| wanted.name == name);
        let sized = find("_rjem_sdallocx").expect("it is in the table");
        assert_eq!((sized.role, sized.allocator), (Free, Some(Allocator::Jemalloc)));
        let inner = find("_rjem_je_malloc").expect("it is in the table");
        assert!(inner.may_be_local());
        assert!(!find("free").expect("it is in the table").may_be_local());
        assert!(!find("mallocx").expect("it is in the table").may_be_local());
    }

    #[test]
    fn operators_that_throw_are_told_from_those_that_do_not() {
        let own = OwnFunction::alloc("_ZN4pool3getEm:size=arg2,ret").expect("a function");
        let all = wanted(&[own]);
        let may_throw = |name: &str| all.iter().find(|w| w.name == name).expect(name).may_throw();
        for name in ["_Znwm", "_ZnamSt11align_val_t", "mi_new", "mi_new_n", "_ZN4pool3getEm"] {
            assert!(may_throw(name), "{name}");
        }
        for name in ["malloc", "_ZnwmRKSt9nothrow_t", "mi_new_nothrow", "_ZdlPv", "mi_malloc"] {
            assert!(!may_throw(name), "{name}");
        }
    }

    #[test]
    fn what_the_user_names_comes_first() {
        let own = ["pool_get", "mi_malloc"]
            .map(|name| OwnFunction::alloc(&format!("{name}:size=arg2,ret")).expect("a function"));
        let all = wanted(&own);
        assert_eq!(all[0].name, "pool_get");
        assert_eq!(all[0].allocator, Some(Allocator::Own));
        assert_eq!(all.iter().filter(|wanted| wanted.name == "mi_malloc").count(), 1);
    }
}
