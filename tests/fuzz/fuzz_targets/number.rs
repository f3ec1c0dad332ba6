//! See `src/number.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kora_fuzz::number::check(bytes));
