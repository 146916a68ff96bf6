//! Where requests go: backends, their endpoints, and the connections to them.
//!
//! A [`Backend`] is what the config says, immutable and shared. Everything that changes with every
//! request (idle connections, turns, counts) belongs to one worker and is never shared.

mod backend;

pub(crate) use backend::{Backend, Balance, Protocol, Target};
