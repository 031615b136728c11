//! Any bytes to `flame::fuzzing::perf_map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::perf_map(data));
