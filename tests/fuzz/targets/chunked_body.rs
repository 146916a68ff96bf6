//! `testing::fuzz::chunked_body` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman::testing::fuzz::chunked_body(data));
