//! See `src/acl.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kora_fuzz::acl::check(bytes));
