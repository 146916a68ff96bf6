//! `testing::fuzz::client_connection` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman::testing::fuzz::client_connection(data));
