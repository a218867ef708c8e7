//! Fuzzes an envelope whose signature is right and whose contents are anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::envelope(data));
