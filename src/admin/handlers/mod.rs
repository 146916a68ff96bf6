//! One file for each thing that can be asked about or changed.
//!
//! A handler reads the request, asks the store or the numbers, and shows the answer; it decides
//! nothing.

pub(super) mod backends;
pub(super) mod compare;
pub(super) mod config;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod health;
pub(super) mod routes;
pub(super) mod split;
mod tag;
