//! Any bytes to `flame::fuzzing::maps`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::maps(data));
