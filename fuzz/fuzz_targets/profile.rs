//! Any bytes to `flame::fuzzing::profile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::profile(data));
