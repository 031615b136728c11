//! Any bytes to `flame::fuzzing::debug_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::debug_frame(data));
