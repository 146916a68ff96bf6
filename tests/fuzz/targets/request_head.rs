//! `testing::fuzz::request_head` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman::testing::fuzz::request_head(data));
