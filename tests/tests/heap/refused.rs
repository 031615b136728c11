//! Functions that throw where memory is refused: what catches the exception without flame catches
//! it beside flame. A return address that the kernel has replaced would end the program.

use flame_tests::machine::{Machine, measured};
use flame_tests::{Flame, Workload};

use crate::estimates::preloaded;

/// Allocators whose own `operator new` throws.
const THROWING: [&str; 2] = ["libjemalloc.so.2", "libtcmalloc.so.4"];

/// How the kernel takes returns: as this one does, and before Linux 6.13 and 6.6.
const KERNELS: [Option<&str>; 3] = [None, Some("6.6"), Some("6.1")];

#[test]
fn an_exception_of_operator_new_is_caught_as_ever() {
    let Some(_machine) = Machine::take() else { return };
    let refused = Workload::cpp("refused");
    for allocator in THROWING {
        let library = preloaded(allocator);
        for how in ["huge", "limited", "limits"] {
            for kernel in KERNELS {
                let mut options = vec!["-t", "heap", "--heap-mode", "exact"];
                options.extend(kernel.iter().flat_map(|version| ["--heap-as-kernel", version]));
                let limit = if how == "limited" { "4194304" } else { "unlimited" };
                let script = format!("ulimit -v {limit} && exec \"$0\" \"$@\"");
                let command = ["--", "sh", "-c", &script, refused.path(), how, "700"];
                let line = [&options[..], &command].concat();
                let mut flame = Flame::record(&line);
                flame.command().env("LD_PRELOAD", &library);
                let outcome = flame.run();
                let what = format!("{allocator}, {how}, {}", kernel.unwrap_or("this kernel"));
                assert_eq!(outcome.code(), 0, "{what}: {}", outcome.stderr);
                assert!(outcome.printed().contains("refused 20"), "{what}: {}", outcome.printed());
                let heap = outcome.heap();
                let column = heap.sample_type_index("alloc_space").expect("a column");
                let made = heap.total(column);
                let left_out = outcome.stderr.contains("left out: of functions that throw");
                measured(&format!("{what}: {} MiB allocated, left out: {left_out}", made >> 20));
                match (how, kernel) {
                    ("huge", _) => assert!(left_out && made < 1 << 30, "{what}: {made}"),
                    // A limit that was not there when the process was probed.
                    ("limits", None) => assert!(left_out, "{what}: {made}"),
                    // Twenty times some GiB, though they are not followed.
                    _ => assert!(made > 30 << 30 && made < 81 << 30, "{what}: {made}"),
                }
            }
        }
    }
}
