//! `testing::fuzz::h2_to_h1` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman::testing::fuzz::h2_to_h1(data));
