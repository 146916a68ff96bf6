//! A second opinion on HTTP/1.1: a parser that was written from the RFCs alone and forgives nothing.
//!
//! Whoever judges the proxy's bytes must not share a mistake with it, so nothing here comes from
//! `httparse`, from hyper or from `src/http1`: each rule is read off the grammar of RFC 9112 and
//! RFC 9110, one byte after the other. Slow and obvious is the point. What two readers could take
//! for two different messages is a [`Violation`], even where a server would be allowed to shrug.

mod body;
mod fields;
mod grammar;
mod head;
mod message;
mod read;
mod stream;
#[cfg(test)]
mod tests;

pub use fields::belongs_into_head;
pub use message::{Asked, End, Field, Framing, Judged, Message, Parsed, Start, Violation};
pub use stream::{first_request, requests, responses, whole_request, whole_response};
