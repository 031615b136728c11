//! Any bytes to `flame::fuzzing::gopclntab`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::gopclntab(data));
