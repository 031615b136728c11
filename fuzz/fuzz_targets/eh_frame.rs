//! Any bytes to `flame::fuzzing::eh_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::eh_frame(data));
