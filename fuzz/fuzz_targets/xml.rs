//! Fuzzes XML of apps and group robots.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::xml(data));
