//! gRPC through Pointsman: a real client, a real server, and what they see of each other.
//!
//! `probe` is the server and the client (tonic's, with messages that are plain bytes); `calls` is
//! what goes through unchanged; `outcomes` is what Pointsman makes of a call itself: deadlines,
//! answers of its own, and the numbers.

mod calls;
mod outcomes;
mod probe;
