//! Any bytes to `flame::fuzzing::elf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flame::fuzzing::elf(data));
