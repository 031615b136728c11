//! The search, over the allocators that are installed: what it must find in any version of them.

use super::*;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use object::elf::{PF_X, PT_LOAD};

use crate::process::test_elf::{TestSegment, function, with_symbols};

/// The library whose name begins so; `None`, told, where it is not installed.
fn library(name: &str) -> Option<PathBuf> {
    let folders =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-musl"];
    let begins = |path: &PathBuf| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
    };
    let found = folders.iter().find_map(|folder| {
        let entries = std::fs::read_dir(folder).ok()?;
        entries.flatten().map(|entry| entry.path()).find(begins)
    });
    if found.is_none() {
        writeln!(std::io::stderr(), "skipped: no {name} here").expect("standard error");
    }
    found
}

fn found_in(path: &Path) -> Hooks {
    let file = File::open(path).expect("open the library");
    hooks(&file, None, &[]).expect("search the library")
}

fn hook<'a>(found: &'a Hooks, name: &str) -> &'a Hook {
    let hook = found.probed.iter().find(|hook| hook.name == name);
    hook.unwrap_or_else(|| panic!("a hook on {name} among {:?}", found.probed))
}

fn forwards(found: &Hooks, from: &str, to: &str) -> bool {
    found.forwarders.contains(&(from.to_owned(), to.to_owned()))
}

/// What holds of every allocator.
fn assert_sound(found: &Hooks, allocator: Allocator) {
    for hook in &found.probed {
        assert_eq!(hook.allocator, allocator, "{hook:?}");
        assert!(hook.emulated.is_some(), "a single step for {hook:?}");
        assert!((hook.entry..hook.entry + REACH).contains(&hook.offset), "{hook:?}");
    }
    let entries: BTreeSet<u64> = found.probed.iter().map(|hook| hook.entry).collect();
    assert_eq!(entries.len(), found.probed.len(), "each address once");
    assert!(found.own_calls.is_sorted());
    for role in [Role::Malloc, Role::Realloc, Role::Free] {
        assert!(found.probed.iter().any(|hook| hook.role == role), "{role:?} in {found:?}");
    }
}

#[test]
fn glibcs_functions_are_found_and_each_counts_once() {
    let Some(path) = library("libc.so.6") else { return };
    let found = found_in(&path);
    assert_sound(&found, Allocator::Glibc);
    for name in ["malloc", "calloc", "realloc", "memalign", "posix_memalign", "valloc", "free"] {
        hook(&found, name);
    }
    assert!(forwards(&found, "reallocarray", "realloc"));
    assert!(!found.probed.iter().any(|hook| hook.name.starts_with("__libc_")), "second names");
    // realloc of nothing goes on to malloc: it is either not counted there, or here.
    let realloc = hook(&found, "realloc");
    let end = realloc.entry + 0x1000;
    let is_own = found.own_calls.iter().any(|at| (realloc.entry..end).contains(at));
    assert!(realloc.null_is_malloc || is_own, "{found:?}");
}

#[test]
fn musls_calloc_counts_at_its_own_entry_and_not_in_malloc() {
    let Some(path) = library("libc.so").filter(|path| path.to_string_lossy().contains("musl"))
    else {
        return;
    };
    let found = found_in(&path);
    assert_sound(&found, Allocator::Musl);
    for name in ["calloc", "posix_memalign", "aligned_alloc"] {
        hook(&found, name);
    }
    // Those that call are hooked, and their calls known as the allocator's own.
    let calloc = hook(&found, "calloc");
    let body = calloc.entry..calloc.entry + 0x200;
    assert!(found.own_calls.iter().any(|at| body.contains(at)), "{found:x?}");
    // Those that jump on are not.
    assert!(forwards(&found, "memalign", "aligned_alloc"));
    assert!(forwards(&found, "reallocarray", "realloc"));
}

#[test]
fn jemallocs_own_functions_are_found() {
    let Some(path) = library("libjemalloc.so") else { return };
    let found = found_in(&path);
    assert_sound(&found, Allocator::Jemalloc);
    for name in ["mallocx", "rallocx", "xallocx", "dallocx", "sdallocx", "malloc", "free"] {
        hook(&found, name);
    }
    assert_eq!(hook(&found, "xallocx").role, Role::InPlace);
}

#[test]
fn tcmallocs_names_for_one_function_give_one_hook() {
    let Some(path) = library("libtcmalloc_minimal.so") else { return };
    let found = found_in(&path);
    assert_sound(&found, Allocator::Tcmalloc);
    hook(&found, "malloc");
    assert!(!found.probed.iter().any(|hook| hook.name == "tc_malloc"), "malloc's second name");
}

#[test]
fn mimallocs_arguments_are_followed_to_where_they_are() {
    let Some(path) = library("libmimalloc.so") else { return };
    let found = found_in(&path);
    assert_sound(&found, Allocator::Mimalloc);
    for name in ["malloc", "calloc", "realloc", "free"] {
        hook(&found, name);
    }
}

#[test]
fn the_cpp_library_hands_everything_on() {
    let Some(path) = library("libstdc++.so.6") else { return };
    let found = found_in(&path);
    assert_eq!(found.probed, [], "its operators reach malloc and free");
    assert!(forwards(&found, "_Znwm", "malloc"));
    assert!(forwards(&found, "_ZnwmSt11align_val_t", "aligned_alloc"));
    assert!(forwards(&found, "_ZdlPv", "free"));
}

#[test]
fn files_without_an_allocator_have_no_hooks() {
    for name in ["libm.so.6", "ld-linux-x86-64.so.2"] {
        let Some(path) = library(name) else { continue };
        assert_eq!(found_in(&path), Hooks::default(), "{name}");
    }
}

#[test]
fn functions_that_the_user_names_are_found_wherever_they_are() {
    // This test binary keeps the function to itself.
    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn flame_test_pool_get(size: usize) -> *const u8 {
        std::hint::black_box(size) as *const u8
    }
    std::hint::black_box(flame_test_pool_get(1));
    let file = File::open("/proc/self/exe").expect("this test binary");
    let own = [OwnFunction::alloc("flame_test_pool_get:size=arg1,ret").expect("a function")];
    let found = hooks(&file, None, &own).expect("search it");
    let hook = hook(&found, "flame_test_pool_get");
    assert_eq!((hook.allocator, hook.role), (Allocator::Own, Role::Malloc));
}

#[test]
fn what_is_no_program_is_an_error_and_no_panic() {
    let path = std::env::temp_dir().join(format!("flame-hooks-{}", std::process::id()));
    let whole = std::fs::read("/proc/self/exe").expect("this test binary");
    for length in [0, 3, 64, 1000, 100_000] {
        std::fs::write(&path, &whole[..length]).expect("room for it");
        let file = File::open(&path).expect("the temporary file");
        assert!(hooks(&file, None, &[]).is_err() || length > 64);
    }
    // Sections that lie anywhere.
    let mut damaged = whole[..100_000].to_vec();
    let mut state = 1_u64;
    for byte in &mut damaged[64..] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if state >> 60 == 0 {
            *byte = (state >> 32) as u8;
        }
    }
    damaged[40..48].copy_from_slice(&4096_u64.to_le_bytes());
    std::fs::write(&path, &damaged).expect("room for it");
    let _either = hooks(&File::open(&path).expect("the temporary file"), None, &[]);
    std::fs::remove_file(&path).expect("the temporary file");
}

#[test]
fn an_allocator_of_any_number_of_long_functions_is_refused() {
    // Each of them is zeroes, which are instructions, to the end of the code.
    let length = 2 << 30;
    let code = TestSegment { kind: PT_LOAD, flags: PF_X, offset: 0, address: 1 << 20, length };
    let functions = |count: u64| -> Vec<_> {
        (1..=count).map(|number| function(0, (1 << 20) + (number << 17))).collect()
    };
    for (count, is_found) in [(10, true), (4000, false)] {
        let file = with_symbols(&[code], b"malloc\0", &functions(count), length);
        let began = Instant::now();
        let found = hooks(&file, None, &[]);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(found.is_ok(), is_found, "{found:?}");
    }
}
