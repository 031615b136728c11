//! Any bytes to `flame::fuzzing::stack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::stack(data));
