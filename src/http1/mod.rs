//! HTTP/1.1 as a codec: bytes in, events out; messages in, bytes out (RFC 9112).
//!
//! A [`Server`] reads requests and writes responses, a [`Client`] the other way round. Each is a
//! state machine over two buffers that somebody else fills and drains: no socket, no clock, no task
//! is known here, which is why every rule can be tested on plain bytes, cut at any place.
//!
//! What a proxy must not misunderstand is decided here, once, and strictly: where a message ends
//! ([`framing`](self)), what a line is ([`head`](self)), which fields belong to one connection only
//! (they do not leave this folder). What is accepted is written out anew in one form, so that the
//! next hop cannot read it in another way.
//!
//! What is absent: HTTP/2, obsolete line folding, transfer codings other than `chunked`, repair.

mod chunked;
mod client;
mod encode;
mod error;
mod fields;
mod framing;
mod head;
mod maps;
mod names;
mod output;
mod server;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use client::{Answer, Client};
pub(crate) use encode::Length;
pub(crate) use error::Malformed;
pub(crate) use fields::{Upgrade, are_named_well, is_for_one_hop, is_trailer};
pub(crate) use framing::Piece;
pub(crate) use maps::recycle;
pub(crate) use output::Output;
pub(crate) use server::{RequestHead, Server};
pub(crate) use target::settle;
