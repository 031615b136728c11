//! What fuzzing found worth keeping (`fuzz/corpus`), fed to the same readers: no panic, in time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use flame::fuzzing;

/// A reader that takes anything.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 7] = [
    ("debug_frame", fuzzing::debug_frame),
    ("eh_frame", fuzzing::eh_frame),
    ("elf", fuzzing::elf),
    ("gopclntab", fuzzing::gopclntab),
    ("maps", fuzzing::maps),
    ("perf_map", fuzzing::perf_map),
    ("stack", fuzzing::stack),
];
/// Far more than any input may take, also without optimization on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn every_kept_input_is_taken_in_time() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("an entry of the corpus").path();
            let bytes = fs::read(&path).expect("an input of the corpus");
            let began = Instant::now();
            target(&bytes);
            let took = began.elapsed();
            assert!(took < PATIENCE, "{} took {took:?}", path.display());
            count += 1;
        }
        assert!(count > 0, "no inputs in {}", folder.display());
    }
}
