//! What must hold for any bytes at all: one plain function a property, panicking where it does not.
//!
//! Each takes bytes of nobody's making. `tests/fuzz` hands them to a coverage-guided fuzzer; the
//! test `tests/it/fuzz.rs` replays what was found, and random changes of it, with every `cargo
//! test`. The first two bytes choose how the rest is cut into packets: nothing may depend on that.

mod client;
mod meaning;
mod packets;
mod server;
mod translation;

pub use client::{client_connection, response_head};
pub use server::{chunked_body, differential, request_head, server_connection};
pub use translation::h2_to_h1;

/// A property: panics where it does not hold.
pub type Target = fn(&[u8]);

/// Every property by the name of its fuzz target.
pub const TARGETS: [(&str, Target); 7] = [
    ("request_head", request_head),
    ("response_head", response_head),
    ("chunked_body", chunked_body),
    ("server_connection", server_connection),
    ("client_connection", client_connection),
    ("h2_to_h1", h2_to_h1),
    ("differential", differential),
];
