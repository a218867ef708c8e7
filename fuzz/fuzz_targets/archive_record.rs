//! Fuzzes archive records.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::archive_record(data));
